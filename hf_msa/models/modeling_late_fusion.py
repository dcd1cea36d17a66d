r"""Late fusion: the first token of an encoder and the means of both streams, side by side.

The baseline that every table of fusion models wants: same text encoder, same LoRA, same kind of head, and no fusion
but concatenation. What a model scores above it, its fusion is worth.

Diagram:

     text              audio X_a         visual X_v
       |                   |                  |
     BERT               mean_t             mean_t        over real frames; 0 where there are none
       |                   |                  |
     h_CLS                 |                  |
       '-------------------+------------------'
                           |
             h = [h_CLS ; mean X_a ; mean X_v]
                           |
                head: W_2 ReLU(W_1 h)  ----> score

Choices:

- There is no paper; all is ours. Its kin are the early and late fusion LSTMs of every table since 2017.
- A missing stream is 0 on the normalised scale, the mean of the training rows: the head cannot tell it from a stream
  that says nothing. A text that is masked everywhere is 0 too; one that was not given is the special tokens.

Shapes: B batch, L text length, T frames, F raw feature size, D width, C classes.
"""

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.utils import can_return_tuple

from .configuration_late_fusion import LateFusionConfig
from .inputs_msa import encoder_positions, first_token, masked_mean, masked_stream, read_text
from .modeling_msa import (
    MsaExplanation,
    MsaForSequenceClassification,
    MsaModelOutput,
    MsaPreTrainedModel,
    explain_by_leaving_out,
    text_encoder_from_config,
)
from .streams_msa import STREAMS

if TYPE_CHECKING:
    # As in modeling_pgf_net.py: with these lines processor and pipeline travel with a saved model.
    from .pipeline_msa import MsaPipeline  # noqa: F401
    from .processing_late_fusion import LateFusionProcessor  # noqa: F401


class ConcatHead(nn.Module):
    """Score what stands side by side: dropout, a hidden layer with ReLU, an output layer.

    Args:
        config: The configuration.
    """

    def __init__(self, config: LateFusionConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.hidden = nn.Linear(config.fused_size, config.classifier_hidden_size)
        self.output = nn.Linear(config.classifier_hidden_size, config.num_labels)

    def forward(self, fused_state: Tensor) -> Tensor:
        """Return logits (B, C) from (B, D + F_a + F_v)."""
        return self.output(F.relu(self.hidden(self.dropout(fused_state))))


class LateFusionPreTrainedModel(MsaPreTrainedModel):
    """The base class of both late-fusion models."""

    config_class = LateFusionConfig
    base_model_prefix = "late_fusion"
    modules_to_save: ClassVar[tuple[str, ...]] = ("classifier",)
    _no_split_modules = ("BertLayer", "RobertaLayer", "XLMRobertaLayer", "ElectraLayer")


class LateFusionModel(LateFusionPreTrainedModel):
    """An encoder and two means.

    Args:
        config: The configuration.
    """

    _keys_to_ignore_on_load_unexpected = (r"^classifier\.",)

    def __init__(self, config: LateFusionConfig) -> None:
        super().__init__(config)
        self.text_encoder = text_encoder_from_config(config.text_config)
        self.post_init()
        self.freeze_text_model()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        audio_values: Tensor | None = None,
        audio_attention_mask: Tensor | None = None,
        visual_values: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        output_gates: bool = False,
    ) -> MsaModelOutput:
        r"""Encode the text and average the frames, $\sum_t m_t x_t / \max(1, \sum_t m_t)$.

        Masks: 1 real, 0 padding; None means all real.

        Args:
            input_ids: (B, L) tokens; or `inputs_embeds`.
            attention_mask: (B, L) of the text.
            audio_values: (B, T_a, F_a) frames, or None when missing.
            audio_attention_mask: (B, T_a); a row of zeros is a missing stream.
            visual_values: (B, T_v, F_v) frames, or None when missing.
            visual_attention_mask: (B, T_v); a row of zeros is a missing stream.
            inputs_embeds: (B, L, D) token embeddings in place of `input_ids`.
            output_attentions: Changes nothing: no stream attends to another.
            output_hidden_states: Return the text model's states, all layers.
            output_gates: Changes nothing: there are no gates.

        Raises:
            MsaError: For a text or a stream of another feature size, batch size or mask shape.
        """
        mask = read_text(input_ids, inputs_embeds, attention_mask)
        if output_hidden_states is None:
            output_hidden_states = bool(self.config.output_hidden_states)
        encoded = self.text_encoder(
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=mask,
            position_ids=encoder_positions(mask, self.text_encoder.config),
            output_hidden_states=output_hidden_states,
        )
        text = first_token(encoded.last_hidden_state, mask)
        text = text.masked_fill(~mask.bool().any(dim=1, keepdim=True), 0)  # an encoder without a token reads padding
        size, config = len(mask), self.config
        audio = masked_mean(*masked_stream("audio", audio_values, audio_attention_mask, config.audio_dim, size, text))
        visual = masked_mean(
            *masked_stream("visual", visual_values, visual_attention_mask, config.visual_dim, size, text)
        )
        return MsaModelOutput(
            last_hidden_state=encoded.last_hidden_state,
            fused_state=torch.cat([text, audio, visual], dim=-1),
            hidden_states=encoded.hidden_states if output_hidden_states else None,
        )


class LateFusionForSequenceClassification(LateFusionPreTrainedModel, MsaForSequenceClassification):
    """Late fusion with its head: one sentiment score, or classes with `num_labels > 1`.

    Args:
        config: The configuration.
    """

    def __init__(self, config: LateFusionConfig) -> None:
        super().__init__(config)
        self.late_fusion = LateFusionModel(config)
        self.classifier = ConcatHead(config)
        self.post_init()

    def score(self, output: MsaModelOutput) -> Tensor:
        """Return the logits (B, C) of the fused state."""
        return self.classifier(output.fused_state)

    @property
    def can_explain(self) -> bool:
        """Whether `explain` gives shares; leaving a stream out is always possible."""
        return True

    @torch.no_grad()
    def explain(self, **batch: Tensor) -> MsaExplanation:
        """Return the scores with the share of each stream: how far the scores move when it is left out.

        Args:
            batch: What `forward` takes.
        """
        return explain_by_leaving_out(self, batch, STREAMS)


LateFusionModel.register_for_auto_class("AutoModel")
LateFusionForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = ["LateFusionForSequenceClassification", "LateFusionModel", "LateFusionPreTrainedModel"]
