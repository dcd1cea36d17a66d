r"""PGF-Net: gated cross-attention inside a frozen BERT.

Paper: PGF-Net, Bin Wen and Tien-Ping Tan, arXiv 2508.15852. Only its abstract and summaries were at hand, and no
code; what they leave open follows the official code of MMA ("Mixture of Multimodal Adapters", NAACL 2025), on which
the paper seems to be built, or is ours. The [CLS] state of the last layer goes through the SubNet head.

The layers are in `layers_pgf_net.py`.

Diagram:

    one encoder layer l >= fusion_start_layer

       H_l                         audio X_a     visual X_v
        |                              |             |
  self-attention (frozen, LoRA)      W_a           W_v         one projection for all layers
        |                              |             |
        |-----.                     [ W_a X_a ; W_v X_v ]      the bank
        |     |                              |
        |     '--- query --> cross-attention <-- keys, values
        |                          |
        |                          C
        '------> gate g <----------|       g = sigmoid(W_g [H; C] + b)
                   |                       M = g * H + (1 - g) * C
                   M
                   |
                adapter                    P = M + s * Up(ReLU(Down(LayerNorm(M))))
                   |
        feed-forward (frozen)
                   |
                H_{l+1}

Differences from the paper:

- Where the paper is open, each choice is a field of the configuration.
- 3.09M trainable parameters leave no room for a full gate or a full attention in every layer (1.18M and 2.36M each):
  the gate has low rank, the attention no parameters of its own (so in MMA). "full" and "multihead" are there.
- Scores are divided by the square root of the head width, not of the model width as in MMA.
- A row without any frame keeps its text state: M = H.
- "after_ffn" adds P - H, the change that the fusion makes, to the layer's output. MMA adds its adapters there; adding
  all of P would carry the text state a second time.

Shapes: B batch, L text length, T frames of the bank (audio then visual), F raw feature size, D width, H heads.
"""

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from transformers.masking_utils import create_bidirectional_mask
from transformers.utils import can_return_tuple

from .configuration_pgf_net import PGFNetConfig
from .errors_msa import MsaError
from .inputs_msa import encoder_positions, first_token, masked_stream, read_text
from .layers_pgf_net import AudioVisualBank, PGFNetLayer, SubNet
from .modeling_msa import (
    MsaExplanation,
    MsaForSequenceClassification,
    MsaModelOutput,
    MsaPreTrainedModel,
    evaluating,
    text_encoder_from_config,
)

if TYPE_CHECKING:
    # Saving a model copies every file named in a relative import. With these two lines processor and pipeline travel
    # too, so that no entry of config.json points to a file that is not there.
    from .pipeline_msa import MsaPipeline  # noqa: F401
    from .processing_pgf_net import PGFNetProcessor  # noqa: F401


class PGFNetPreTrainedModel(MsaPreTrainedModel):
    """The base class of both PGF-Net models."""

    config_class = PGFNetConfig
    base_model_prefix = "pgf_net"
    modules_to_save: ClassVar[tuple[str, ...]] = ("bank", "fusion", "classifier")
    # Text layers are not named here: the fused layer calls their parts, past what FSDP hangs on a layer as a whole.
    # With a device map, accelerate moves what a layer is called with to the layer's device, and would the text layer.
    _skip_keys_device_placement: ClassVar[tuple[str, ...]] = ("text_layer",)
    _no_split_modules = (
        "PGFNetLayer",
        "BertEmbeddings",
        "RobertaEmbeddings",
        "XLMRobertaEmbeddings",
        "ElectraEmbeddings",
    )


class PGFNetModel(PGFNetPreTrainedModel):
    """A BERT-family encoder that fuses audio and visual frames inside its layers.

    Args:
        config: The configuration.
    """

    _keys_to_ignore_on_load_unexpected = (r"^classifier\.",)

    def __init__(self, config: PGFNetConfig) -> None:
        super().__init__(config)
        self.text_encoder = text_encoder_from_config(config.text_config)
        self.bank = AudioVisualBank(config)
        self.fusion_layers = nn.ModuleList(PGFNetLayer(config, size) for size in config.adapter_bottlenecks)
        self.post_init()
        self.freeze_text_model()

    def embed_text(self, input_ids: Tensor | None, inputs_embeds: Tensor | None, positions: Tensor) -> Tensor:
        """Return the text model's embeddings (B, L, D)."""
        hidden = self.text_encoder.embeddings(input_ids=input_ids, inputs_embeds=inputs_embeds, position_ids=positions)
        # ELECTRA projects where its embeddings are narrower than its layers.
        project = self.text_encoder._modules.get("embeddings_project")
        return hidden if project is None else project(hidden)

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
        """Encode the text and fuse the frames into it. Masks: 1 real, 0 padding; None means all real.

        Args:
            input_ids: (B, L) tokens; or `inputs_embeds`.
            attention_mask: (B, L) of the text.
            audio_values: (B, T_a, F_a) frames, or None when missing.
            audio_attention_mask: (B, T_a); a row of zeros is a missing stream.
            visual_values: (B, T_v, F_v) frames, or None when missing.
            visual_attention_mask: (B, T_v); a row of zeros is a missing stream.
            inputs_embeds: (B, L, D) token embeddings in place of `input_ids`.
            output_attentions: Return the cross-attention weights, one (B, H, L, T_a + T_v) per fused layer, audio
                first; a stream that is None counts as one frame.
            output_hidden_states: Return all states.
            output_gates: Return the gates, one (B, L, D) per fused layer, None in a variant without gates.

        Raises:
            MsaError: For a text or a stream of another feature size, batch size or mask shape.
        """
        mask = read_text(input_ids, inputs_embeds, attention_mask)
        if output_attentions is None:
            output_attentions = bool(self.config.output_attentions)
        if output_hidden_states is None:
            output_hidden_states = bool(self.config.output_hidden_states)

        positions = encoder_positions(mask, self.text_encoder.config)
        hidden, batch_size = self.embed_text(input_ids, inputs_embeds, positions), len(mask)
        audio, audio_mask = masked_stream(
            "audio", audio_values, audio_attention_mask, self.config.audio_dim, batch_size, hidden
        )
        visual, visual_mask = masked_stream(
            "visual", visual_values, visual_attention_mask, self.config.visual_dim, batch_size, hidden
        )
        bank, bank_mask = self.bank(audio, visual), torch.cat([audio_mask, visual_mask], dim=1)
        text_mask = create_bidirectional_mask(
            config=self.text_encoder.config, inputs_embeds=hidden, attention_mask=mask
        )

        # Kept on request only: twelve gates of BERT-base take as much memory as all else that a forward pass holds.
        states = [hidden] if output_hidden_states else []
        gates, attentions = [], []
        start = self.config.fusion_start_layer
        for depth, text_layer in enumerate(self.text_encoder.encoder.layer):
            if depth < start:
                hidden = text_layer(hidden, text_mask)
            else:
                hidden, gate, weights = self.fusion_layers[depth - start](
                    hidden, bank, bank_mask, text_layer=text_layer, text_mask=text_mask, need_weights=output_attentions
                )
                if output_gates and gate is not None:
                    gates.append(gate)
                if output_attentions:
                    attentions.append(weights)
            if output_hidden_states:
                states.append(hidden)

        return MsaModelOutput(
            last_hidden_state=hidden,
            fused_state=first_token(hidden, mask),
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
            gates=tuple(gates) or None,
        )


class PGFNetForSequenceClassification(PGFNetPreTrainedModel, MsaForSequenceClassification):
    """PGF-Net with its head: one sentiment score, or classes with `num_labels > 1`.

    Args:
        config: The configuration.
    """

    def __init__(self, config: PGFNetConfig) -> None:
        super().__init__(config)
        self.pgf_net = PGFNetModel(config)
        self.classifier = SubNet(config)
        self.post_init()

    def score(self, output: MsaModelOutput) -> Tensor:
        """Return the logits (B, C) of the first token's state."""
        return self.classifier(output.fused_state)

    @property
    def can_explain(self) -> bool:
        """Whether there are gates to read the shares from."""
        return self.config.has_gates

    @torch.no_grad()
    def explain(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        audio_values: Tensor | None = None,
        **batch: Tensor,
    ) -> MsaExplanation:
        """Return the scores with the share of each stream, read from gates and attention.

        The text's share in a token is the mean of its gates over channels and layers; what is left went to the frames
        it attended to. This describes what was mixed inside the encoder; it is no proof of cause.

        Args:
            input_ids: (B, L) tokens.
            attention_mask: (B, L) of the text, or None for all real.
            audio_values: (B, T_a, F_a) frames, or None.
            batch: The rest of what `forward` takes.

        Raises:
            MsaError: In a variant without gates.
        """
        if not self.can_explain:
            raise MsaError("explain: expected a model with gates, got use_gate=False")
        with evaluating(self):
            output = self(
                input_ids=input_ids,
                attention_mask=attention_mask,
                audio_values=audio_values,
                output_attentions=True,
                output_gates=True,
                return_dict=True,
                **batch,
            )
        # A missing or empty stream was one masked frame in the bank.
        num_audio = 1 if audio_values is None else max(1, audio_values.shape[1])
        mask_BL = (torch.ones_like(input_ids) if attention_mask is None else attention_mask).to(output.logits.device)
        shares_3BL = torch.zeros(3, *mask_BL.shape, device=mask_BL.device)
        for gate_BLD, weights_BHLT in zip(output.gates, output.attentions, strict=True):
            text_BL = gate_BLD.float().mean(dim=-1).to(mask_BL.device)
            weights_BLT = weights_BHLT.float().mean(dim=1).to(mask_BL.device)
            drawn_2BL = torch.stack([part.sum(dim=-1) for part in weights_BLT.tensor_split([num_audio], dim=-1)])
            shares_3BL += torch.cat([text_BL[None], (1 - text_BL) * drawn_2BL]) / len(output.gates)
        shares_3BL *= mask_BL
        stream_shares = shares_3BL.sum(dim=-1).T / mask_BL.sum(dim=-1, keepdim=True)
        return MsaExplanation(logits=output.logits, text_share=shares_3BL[0], stream_shares=stream_shares)


PGFNetModel.register_for_auto_class("AutoModel")
PGFNetForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = ["PGFNetForSequenceClassification", "PGFNetModel", "PGFNetPreTrainedModel"]
