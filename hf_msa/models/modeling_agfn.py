r"""AGFN: two gates that weigh text, audio and visual by how certain and how important they are.

Paper: AGFN, "Adaptive Gated Fusion Network", Han Wu, Yanming Sun, Yunhe Yang and Derek F. Wong, arXiv 2510.01677. No
code of the authors is known.

A missing modality gets weight 0 in both gates and is read by no one. A text of nothing but the tokenizer's two special
tokens, as the processor leaves a missing one, counts as missing.

The layers are in `layers_agfn.py`.

Diagram:

     text                 audio               visual
       |                    |                    |
   BERT, W_t           BiLSTM             BiLSTM                 h_T, h_A, h_V
       |                    |                    |
   cross-modal attention: each reads the other two             h' = LN(h + MHA(h, others))
       |                    |                    |
     mean                 mean                 mean               over what is real
       '--------------------+--------------------'
                            |  z = MLP([h_T; h_A; h_V])
              .-------------+-------------.
              |                           |
      entropy gate                importance gate
   w = softmax(z exp(-H/tau))     h_imp = W_f [sigma(z_m) h_m]
   h_ent = sum w_m h_m                    |
              |                           |
              '---- alpha --- 1 - alpha --'
                            |
                         h_fused ---- f ----> score        + lambda MSE(f(h + r), f(h)), while training

Differences from the paper:

- Ours where the paper is open, as the configuration says: the width, one z for both gates (the paper has one symbol),
  softmax of a state as its distribution and entropy divided by log D, keys and values of the attention from both other
  modalities, mean pooling.
- What the paper's ablation rows mean is unclear, since labels and text contradict each other; `gate_variant` names
  what is there.

Shapes: B batch, L text length, T frames, F raw feature size, D width, M modalities, C classes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_agfn import AGFNConfig
from .errors_msa import MsaError
from .inputs_msa import encoder_positions, masked_stream, read_text
from .layers_agfn import (
    STREAM_ENCODERS,
    CrossModalAttention,
    DualGate,
    PredictionHead,
    in_full_precision,
    stack_states,
    virtual_adversarial_loss,
)
from .modeling_msa import (
    MsaExplanation,
    MsaForSequenceClassification,
    MsaModelOutput,
    MsaPreTrainedModel,
    evaluating,
    text_encoder_from_config,
)

if TYPE_CHECKING:
    # As in modeling_pgf_net.py: with these lines processor and pipeline travel with a saved model.
    from .pipeline_msa import MsaPipeline  # noqa: F401
    from .processing_agfn import AGFNProcessor  # noqa: F401

# [CLS] and [SEP], or <s> and </s>: all that the processor makes of a missing text.
_NUM_SPECIAL_TOKENS = 2


@dataclass
class AGFNGates(ModelOutput):
    """What the gates decided; None for what a variant does not have.

    Args:
        entropy_weights: (B, 3) weights of text, audio and visual, summing to 1.
        importance_gates: (B, 3) gates in (0, 1).
        alpha: (1,) share of the entropy gate in the blend.
    """

    entropy_weights: Tensor | None = None
    importance_gates: Tensor | None = None
    alpha: Tensor | None = None


class AGFNPreTrainedModel(MsaPreTrainedModel):
    """The base class of both AGFN models."""

    config_class = AGFNConfig
    base_model_prefix = "agfn"
    modules_to_save: ClassVar[tuple[str, ...]] = (
        "text_proj",
        "audio_encoder",
        "visual_encoder",
        "text_attention",
        "audio_attention",
        "visual_attention",
        "gate",
        "classifier",
    )
    _no_split_modules = (
        "BertLayer",
        "RobertaLayer",
        "XLMRobertaLayer",
        "ElectraLayer",
        "BertEmbeddings",
        "RobertaEmbeddings",
        "XLMRobertaEmbeddings",
        "ElectraEmbeddings",
        "LSTMEncoder",
        "TransformerEncoder",
        "CrossModalAttention",
        "DualGate",
    )


class AGFNModel(AGFNPreTrainedModel):
    """Three encoders, cross-modal attention and the dual gate.

    Args:
        config: The configuration.
    """

    _keys_to_ignore_on_load_unexpected = (r"^classifier\.",)

    def __init__(self, config: AGFNConfig) -> None:
        super().__init__(config)
        self.text_encoder = text_encoder_from_config(config.text_config)
        self.text_proj = nn.Linear(config.text_config.hidden_size, config.hidden_size)
        self.audio_encoder = STREAM_ENCODERS[config.audio_encoder](config.audio_dim, config)
        self.visual_encoder = STREAM_ENCODERS[config.visual_encoder](config.visual_dim, config)
        self.text_attention = CrossModalAttention(config)
        self.audio_attention = CrossModalAttention(config)
        self.visual_attention = CrossModalAttention(config)
        self.gate = DualGate(config)
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
        """Encode the three streams and fuse them. Masks: 1 real, 0 padding; None means all real.

        Args:
            input_ids: (B, L) tokens with the tokenizer's special ones; or `inputs_embeds`.
            attention_mask: (B, L) of the text; two tokens or less are the special ones of a missing text.
            audio_values: (B, T_a, F_a) frames, or None when missing.
            audio_attention_mask: (B, T_a); a row of zeros is a missing stream.
            visual_values: (B, T_v, F_v) frames, or None when missing.
            visual_attention_mask: (B, T_v); a row of zeros is a missing stream.
            inputs_embeds: (B, L, D) token embeddings in place of `input_ids`.
            output_attentions: Return the cross-modal attention weights of text, audio and visual, (B, H, L, S) each.
            output_hidden_states: Return the text model's states, all layers.
            output_gates: Return [`AGFNGates`].

        Raises:
            MsaError: For a text or a stream of another feature size, batch size or mask shape.
        """
        mask = read_text(input_ids, inputs_embeds, attention_mask)
        batch_size = len(mask)
        if output_attentions is None:
            output_attentions = bool(self.config.output_attentions)
        if output_hidden_states is None:
            output_hidden_states = bool(self.config.output_hidden_states)

        encoded = self.text_encoder(
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=mask,
            position_ids=encoder_positions(mask, self.text_encoder.config),
            output_hidden_states=output_hidden_states,
        )
        text = self.text_proj(encoded.last_hidden_state)
        has_text_B1 = mask.sum(dim=1, keepdim=True) > _NUM_SPECIAL_TOKENS
        text_mask = mask.bool() & has_text_B1
        audio, audio_mask = self.audio_encoder(
            *masked_stream("audio", audio_values, audio_attention_mask, self.config.audio_dim, batch_size, text)
        )
        visual, visual_mask = self.visual_encoder(
            *masked_stream("visual", visual_values, visual_attention_mask, self.config.visual_dim, batch_size, text)
        )

        refined, attentions = [], []
        streams = ((text, text_mask), (audio, audio_mask), (visual, visual_mask))
        for i, attention in enumerate((self.text_attention, self.audio_attention, self.visual_attention)):
            others, masks = zip(*(streams[j] for j in range(3) if j != i), strict=True)
            states, weights = attention(
                streams[i][0], torch.cat(others, dim=1), torch.cat(masks, dim=1), output_attentions
            )
            refined.append(states)
            attentions.append(weights)
        pooled_BMD, present_BM = stack_states(refined, [mask for _, mask in streams])
        fused, entropy_weights, importance_gates, alpha = self.gate(pooled_BMD, present_BM)

        return MsaModelOutput(
            last_hidden_state=encoded.last_hidden_state,
            fused_state=fused,
            hidden_states=encoded.hidden_states if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
            gates=AGFNGates(entropy_weights, importance_gates, alpha) if output_gates else None,
        )


class AGFNForSequenceClassification(AGFNPreTrainedModel, MsaForSequenceClassification):
    """AGFN with its head: one sentiment score, or classes with `num_labels > 1`.

    Args:
        config: The configuration.
    """

    def __init__(self, config: AGFNConfig) -> None:
        super().__init__(config)
        self.agfn = AGFNModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = PredictionHead(config)
        self.post_init()

    def score(self, output: MsaModelOutput) -> Tensor:
        """Return the logits (B, C) of the fused state."""
        return self.classifier(self.dropout(output.fused_state))

    def further_losses(
        self, output: Any, labels: Tensor, *, input_ids: Tensor | None, attention_mask: Tensor | None
    ) -> dict[str, tuple[Tensor, float]]:
        """Return the virtual "adversarial" loss, while training and where it has a weight."""
        config = self.config
        if not self.training or config.virtual_adversarial_weight == 0:
            return {}
        adversarial = virtual_adversarial_loss(
            in_full_precision(self.classifier),
            output.fused_state,
            config.virtual_adversarial_steps,
            config.virtual_adversarial_xi,
            config.virtual_adversarial_epsilon,
        )
        return {"adversarial": (adversarial, config.virtual_adversarial_weight)}

    @property
    def can_explain(self) -> bool:
        """Whether there are gates to read the shares from."""
        return self.config.has_gates

    @torch.no_grad()
    def explain(self, **batch: Tensor) -> MsaExplanation:
        """Return the scores with the share of each stream, read from the gates; there is no share per word.

        The entropy gate's weights, the importance gates divided by their sum, or both blended by alpha. This describes
        what was mixed; it is no proof of cause.

        Args:
            batch: What `forward` takes.

        Raises:
            MsaError: In the variant without gates.
        """
        if not self.can_explain:
            raise MsaError("explain: expected a model with gates, got gate_variant='concat'")
        with evaluating(self):
            output = self(**batch, output_gates=True, return_dict=True)
        gates = output.gates
        parts = []
        if gates.entropy_weights is not None:
            parts.append(gates.entropy_weights)
        if gates.importance_gates is not None:
            sums_B1 = gates.importance_gates.sum(dim=1, keepdim=True)
            parts.append(gates.importance_gates / sums_B1.clamp(min=torch.finfo(sums_B1.dtype).tiny))
        shares = parts[0] if len(parts) == 1 else gates.alpha * parts[0] + (1 - gates.alpha) * parts[1]
        return MsaExplanation(logits=output.logits, stream_shares=shares.float())


AGFNModel.register_for_auto_class("AutoModel")
AGFNForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = ["AGFNForSequenceClassification", "AGFNGates", "AGFNModel", "AGFNPreTrainedModel"]
