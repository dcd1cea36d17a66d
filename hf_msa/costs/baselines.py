"""What one would do without a model: the bare text model on the same batch, and its full fine-tuning.

Shapes: B batch, L text length, n fusion tokens, D width, C classes.
"""

import copy

import torch
from torch import Tensor, nn

from hf_msa.models import DeepMLFConfig, MsaOutput, MsaPreTrainedModel
from hf_msa.models.decoder_deepmlf import next_token_loss, special_token_id
from hf_msa.models.modeling_msa import msa_loss


def bare_inputs(model: MsaPreTrainedModel, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what the bare text model reads: the text, and for a decoder as many tokens behind it as the model adds.

    Args:
        model: A model with a head.
        batch: With `input_ids` and `attention_mask` (B, L).
    """
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    if isinstance(model.config, DeepMLFConfig):
        added_Bn = batch["input_ids"].new_ones(len(batch["input_ids"]), model.config.num_fusion_tokens)
        inputs = {name: torch.cat([value, added_Bn], dim=1) for name, value in inputs.items()}
    return inputs


class FineTunedEncoder(nn.Module):
    """All of a copy of the text encoder, trained with a linear head on its first token.

    Args:
        model: A model with a head, whose text encoder is copied.
    """

    def __init__(self, model: MsaPreTrainedModel) -> None:
        super().__init__()
        self.config = model.config
        self.text_model = copy.deepcopy(model.text_model).requires_grad_(True)
        width = model.text_model.config.hidden_size
        self.head = nn.Linear(width, model.config.num_labels, device=model.device, dtype=model.dtype)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, **_: Tensor) -> MsaOutput:
        """Return loss and logits (B, C) of the text; the other streams are ignored."""
        hidden = self.text_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits = self.head(hidden[:, 0])
        return MsaOutput(loss=msa_loss(logits, labels, self.config), logits=logits)


class FineTunedDecoder(FineTunedEncoder):
    """All of a copy of the language model, trained on the same L + n tokens with the same losses as DeepMLF.

    One linear head serves the last of all tokens, the n tokens behind the text, and the text's last token.

    Args:
        model: A DeepMLF with its heads.
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, **_: Tensor) -> MsaOutput:
        """Return the weighted sum of the losses and logits (B, C); the streams are ignored."""
        config, length = self.config, input_ids.shape[1]
        added_Bn = input_ids.new_ones(len(input_ids), config.num_fusion_tokens)
        hidden = self.text_model(
            input_ids=torch.cat([input_ids, added_Bn], dim=1),
            attention_mask=torch.cat([attention_mask, added_Bn], dim=1),
            use_cache=False,
        ).last_hidden_state
        logits = self.head(hidden[:, -1])
        loss = msa_loss(logits, labels, config)
        if config.fusion_loss_weight:
            every = self.head(hidden[:, length:]).flatten(0, 1)
            labels_Bn = labels.reshape(-1, 1).expand(added_Bn.shape).flatten()
            loss = loss + config.fusion_loss_weight * msa_loss(every, labels_Bn, config)
        if config.text_loss_weight:
            last_B = attention_mask.sum(dim=1).clamp(min=1) - 1
            last_BD = hidden[torch.arange(len(hidden), device=hidden.device), last_B]
            loss = loss + config.text_loss_weight * msa_loss(self.head(last_BD), labels, config)
        if config.lm_loss_weight:
            table = self.text_model.get_input_embeddings().weight
            padding = special_token_id(config.text_config, "pad_token_id", "eos_token_id")
            has_last = config.last_token_target == "padding"
            vocabulary = nn.functional.linear(hidden[:, :length], table)
            next_token = next_token_loss(vocabulary, input_ids, attention_mask.bool(), padding, has_last)
            loss = loss + config.lm_loss_weight * next_token
        return MsaOutput(loss=loss, logits=logits)


def fine_tuned_text_model(model: MsaPreTrainedModel) -> FineTunedEncoder:
    """Return the text model with a head, all of it trained, to set beside a model's training step.

    Args:
        model: A model with a head.
    """
    return (FineTunedDecoder if isinstance(model.config, DeepMLFConfig) else FineTunedEncoder)(model)


__all__ = ["FineTunedDecoder", "FineTunedEncoder", "bare_inputs", "fine_tuned_text_model"]
