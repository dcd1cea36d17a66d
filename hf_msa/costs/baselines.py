"""What one would do without a model: full fine-tuning of its bare text model, with one linear head.

Shapes: B batch, L text length, C classes.
"""

import copy

from torch import Tensor, nn

from hf_msa.models import MsaOutput, MsaPreTrainedModel


class FineTunedTextModel(nn.Module):
    """All of a copy of a model's text model, trained with one linear head under the model's own losses.

    What the bare text model reads, and which of its states the head, only the model itself can say.

    Args:
        model: A model with a head, whose text model is copied.
    """

    def __init__(self, model: MsaPreTrainedModel) -> None:
        super().__init__()
        self._model = (model,)  # in a tuple, so that its parameters are not those of this module
        self.text_model = copy.deepcopy(model.text_model).requires_grad_(True)
        self.text_model.config.use_cache = False  # a decoder would keep keys and values for tokens that never come
        width = model.text_model.config.hidden_size
        self.head = nn.Linear(width, model.config.num_labels, device=model.device, dtype=model.dtype)

    def forward(self, **batch: Tensor) -> MsaOutput:
        """Return loss and logits (B, C) of the text; the other streams are ignored.

        Args:
            batch: A batch with `input_ids` and `attention_mask` (B, L), and `labels`.
        """
        (model,) = self._model
        hidden = self.text_model(**model.bare_text_inputs(batch)).last_hidden_state
        table = self.text_model.get_input_embeddings().weight
        loss, logits = model.text_only_loss(hidden, batch, self.head, table=table)
        return MsaOutput(loss=loss, logits=logits)


__all__ = ["FineTunedTextModel"]
