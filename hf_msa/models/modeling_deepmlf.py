r"""DeepMLF: a frozen decoder language model whose last tokens read audio and video, layer by layer.

Paper: DeepMLF, "Multimodal Language Model with Learnable Tokens for Deep Fusion in Sentiment Analysis", Efthymios
Georgiou, Vassilis Katsouros, Yannis Avrithis and Alexandros Potamianos, arXiv 2504.11082; here after the authors'
code (efthymisgeo/deepmlf).

Fusion tokens stand behind the text, so that causal attention lets them read it and never the other way round: the
text's states do not depend on the streams.

The text below the first MM block, and with `ffn_on_text=False` all of it, needs no gradient: it runs first, without
one, and fusion tokens follow over its keys and values.

The layers are in `layers_deepmlf.py` and `av_encoder_deepmlf.py`, the language model's handling in
`decoder_deepmlf.py`.

Diagram:

     text tokens            n fusion tokens          audio, visual
        |  SeqAug                  |                       |
        '------- [X ; F] ----------'              AudioVisualEncoder, LN
                    |                                      |
           language model block l (frozen, causal)         |  Z (T, 30)
                    |                                      |
           if l is a fusion layer, the MM block            |
             F = F + g1 CA(norm F, Z)  <-------------------+
             [X ; F] += g2 FFW(norm [X ; F])               |
                    |                                      |
              ... next block, final norm ...               |
                    |                                      |
      [mean of F ; last X ; mean of Z] -- head ----> score |
         |            |           |                        |
      fusion head  text head   av head       their losses, and next-token loss of X, are added in training

Differences from the paper:

- Positions are counted from the mask, so fusion tokens follow the last real token, where the authors count through the
  padding.
- Streams are aligned from their true length, and a missing one adds nothing.
- A text without tokens is read as the beginning-of-sequence token.
- SeqAug permutes real positions only.
- What the last token of a padded row should predict is the padding id, whatever stands there.
- What is the authors' and odd is a field of the configuration.

Shapes: B batch, L text length, n fusion tokens, T audiovisual steps, F raw feature size, D width, C classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, DynamicCache
from transformers.utils import can_return_tuple

from .av_encoder_deepmlf import AudioVisualEncoder, seqaug
from .configuration_deepmlf import DeepMLFConfig
from .decoder_deepmlf import (
    cache_argument,
    can_run_alone,
    causal_mask,
    embed_positions,
    final_norm,
    language_model_layers,
    next_token_loss,
    position_arguments,
    positions_of,
    special_token_id,
)
from .errors_msa import MsaError
from .inputs_msa import last_token, masked_stream, read_text
from .layers_deepmlf import FusionTokens, MMBlock, TaskHead
from .modeling_deepmlf_av import DeepMLFAudioVisualEncoder
from .modeling_msa import (
    MsaExplanation,
    MsaForSequenceClassification,
    MsaModelOutput,
    MsaPreTrainedModel,
    explain_by_leaving_out,
    msa_loss,
)
from .streams_msa import FRAME_STREAMS, STREAMS

if TYPE_CHECKING:
    # As in modeling_pgf_net.py: with these lines processor and pipeline travel with a saved model.
    from .pipeline_msa import MsaPipeline  # noqa: F401
    from .processing_deepmlf import DeepMLFProcessor  # noqa: F401


@dataclass
class DeepMLFModelOutput(MsaModelOutput):
    """Output of [`DeepMLFModel`]: beside text states and the fused state, what the other heads read.

    Args:
        fusion_states: (B, n, D) fusion tokens behind the final norm.
        last_text_state: (B, D) the text's state at its last real token.
        av_states: (B, T, D_av) the audiovisual context Z.
    """

    fusion_states: Tensor | None = None
    last_text_state: Tensor | None = None
    av_states: Tensor | None = None


class DeepMLFPreTrainedModel(MsaPreTrainedModel):
    """The base class of both DeepMLF models."""

    config_class = DeepMLFConfig
    base_model_prefix = "deepmlf"
    text_auto_class: ClassVar[Any] = AutoModelForCausalLM
    modules_to_save: ClassVar[tuple[str, ...]] = (
        "fusion_tokens",
        "av_encoder",
        "av_norm",
        "attention_norm",
        "cross_attention",
        "attention_gate",
        "feed_forward_norm",
        "feed_forward",
        "feed_forward_gate",
        "classifier",
        "fusion_head",
        "text_head",
        "av_head",
    )
    _no_split_modules = (
        "GPT2Block",
        "LlamaDecoderLayer",
        "Qwen2DecoderLayer",
        "Qwen3DecoderLayer",
        "StreamEncoder",
        "MMBlock",
    )

    def freeze_text_model(self) -> None:
        """Freeze what the configuration says, and matrices that LoRA mends; called again after loading."""
        super().freeze_text_model()
        for block in self.base_model.fusion_blocks:
            for matrix in block.feed_forward.matrices:
                matrix.freeze()
        if self.config.freeze_av_encoder:
            self.base_model.av_encoder.requires_grad_(False).eval()

    def bare_text_inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the bare language model reads: the text, and n tokens behind it as the fusion tokens stand.

        Args:
            batch: With `input_ids` and `attention_mask` (B, L).
        """
        added_Bn = batch["input_ids"].new_ones(len(batch["input_ids"]), self.config.num_fusion_tokens)
        return {name: torch.cat([value, added_Bn], dim=1) for name, value in super().bare_text_inputs(batch).items()}

    def part_without_counterpart(self, batch: Mapping[str, Tensor]) -> Callable[[], Any] | None:
        """Return what runs the audiovisual encoder, which no language model has.

        Args:
            batch: With both streams and their masks.
        """
        audio, visual = (
            (batch[f"{stream}_values"], batch[f"{stream}_attention_mask"].bool()) for stream in FRAME_STREAMS
        )
        return partial(self.base_model.av_encoder, *audio, *visual)

    @torch.no_grad()
    def copy_feed_forwards(self) -> None:
        """Start every MM block's feed-forward as a copy of that of its language-model block."""
        layers = language_model_layers(self.text_model)
        for number, block in zip(self.config.fusion_layers, self.base_model.fusion_blocks, strict=True):
            block.feed_forward.copy_from(layers[number].mlp, self.config.copy_ffn_bias)

    @classmethod
    def from_text_pretrained(cls, name_or_path: str, config: DeepMLFConfig | None = None, **kwargs: Any) -> Any:
        """Build a new model around a pretrained language model and, where the configuration names one, stage one.

        Args:
            name_or_path: Repository or folder of the language model.
            config: As for [`MsaPreTrainedModel.from_text_pretrained`].
            kwargs: The same.

        Raises:
            MsaError: The same; and for an audiovisual encoder of other sizes.
        """
        model = super().from_text_pretrained(name_or_path, config, **kwargs)
        model.copy_feed_forwards()
        if model.config.av_encoder_name_or_path is not None:
            model.load_av_encoder(model.config.av_encoder_name_or_path)
        model.freeze_text_model()
        return model

    def load_av_encoder(self, name_or_path: str, **kwargs: Any) -> None:
        """Take over the weights of stage one.

        Args:
            name_or_path: Repository or folder of a [`DeepMLFAudioVisualEncoder`].
            kwargs: Of its `from_pretrained`: `revision`, `token`, ...

        Raises:
            MsaError: When it is of other sizes, or has batch norms where this model has none.
        """
        stage_one = DeepMLFAudioVisualEncoder.from_pretrained(name_or_path, **kwargs)
        for name in ("av_num_attention_heads", "position_on_zero_steps"):
            theirs, ours = getattr(stage_one.config, name), getattr(self.config, name)
            if theirs != ours:
                raise MsaError(f"{name}: expected {theirs} as in {name_or_path}, got {ours}")
        try:
            self.base_model.av_encoder.load_state_dict(stage_one.av_encoder.state_dict())
        except RuntimeError as error:
            raise MsaError(f"av_encoder_name_or_path: expected the sizes of {name_or_path}: {error}") from error


class DeepMLFModel(DeepMLFPreTrainedModel):
    """Language model, audiovisual encoder and the MM blocks between them.

    Args:
        config: The configuration.
    """

    _keys_to_ignore_on_load_unexpected = (r"^(classifier|fusion_head|text_head|av_head|lm_head)\.",)

    def __init__(self, config: DeepMLFConfig) -> None:
        super().__init__(config)
        self.text_encoder = AutoModel.from_config(config.text_config)
        self.fusion_tokens = FusionTokens(config.num_fusion_tokens, config.text_config.hidden_size)
        self.av_encoder = AudioVisualEncoder(config.audio_dim, config.visual_dim, config)
        self.av_norm = nn.LayerNorm(config.av_hidden_size)
        self.fusion_blocks = nn.ModuleList(MMBlock(config) for _ in config.fusion_layers)
        self.post_init()
        self.copy_feed_forwards()
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
    ) -> DeepMLFModelOutput:
        """Encode the streams and let the fusion tokens read them. Masks: 1 real, 0 padding; None means all real.

        Args:
            input_ids: (B, L) tokens, padded on the right; or `inputs_embeds`.
            attention_mask: (B, L) of the text; a row of zeros is a missing text, read as the beginning-of-sequence
                token (or, without one, the end-of-sequence token).
            audio_values: (B, T_a, F_a) frames, or None when missing.
            audio_attention_mask: (B, T_a); a row of zeros is a missing stream.
            visual_values: (B, T_v, F_v) frames, or None when missing.
            visual_attention_mask: (B, T_v); a row of zeros is a missing stream.
            inputs_embeds: (B, L, D) token embeddings in place of `input_ids`.
            output_attentions: Return the cross-attention weights of every MM block, (B, H, n, T).
            output_hidden_states: Return the text's states, all layers.
            output_gates: Return both gates of every MM block, (2,): cross-attention, feed-forward; None without gates.

        Raises:
            MsaError: For a stream of another feature size, batch size or mask shape, and for a text that does not
                fit into the language model's context together with the fusion tokens.
        """
        embeds, text_mask = self._embed_text(input_ids, inputs_embeds, attention_mask)
        if output_attentions is None:
            output_attentions = bool(self.config.output_attentions)
        if output_hidden_states is None:
            output_hidden_states = bool(self.config.output_hidden_states)
        size, config = len(embeds), self.config
        context = self.av_norm(
            self.av_encoder(
                *masked_stream("audio", audio_values, audio_attention_mask, config.audio_dim, size, embeds),
                *masked_stream("visual", visual_values, visual_attention_mask, config.visual_dim, size, embeds),
            )
        )
        text, fusion, hidden_states, read = self._run(embeds, text_mask, context, output_attentions)

        last_text = last_token(text, text_mask)
        return DeepMLFModelOutput(
            last_hidden_state=text,
            fused_state=torch.cat([fusion.mean(dim=1), last_text, context.mean(dim=1)], dim=-1),
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            attentions=tuple(weights for _, weights in read if weights is not None) if output_attentions else None,
            gates=tuple(gates for gates, _ in read) if output_gates and config.has_gates else None,
            fusion_states=fusion,
            last_text_state=last_text,
            av_states=context,
        )

    def _embed_text(
        self, input_ids: Tensor | None, inputs_embeds: Tensor | None, attention_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return token embeddings (B, L, D), zeros in the padding, and their mask (B, L) of bool."""
        mask = read_text(input_ids, inputs_embeds, attention_mask).bool()
        length = mask.shape[1]
        num_tokens, limit = self.config.num_fusion_tokens, self.config.context_length
        if length < 1 or length + num_tokens > limit:
            raise MsaError(
                f"input_ids: expected 1 to {limit - num_tokens} tokens, so that with {num_tokens} fusion tokens they "
                f"fit into the text model's context of {limit}, got {length}"
            )
        table = self.text_encoder.get_input_embeddings()
        embeds = table(input_ids) if inputs_embeds is None else inputs_embeds
        is_missing_BL = ~mask.any(dim=1, keepdim=True) & (torch.arange(length, device=mask.device) == 0)
        beginning = special_token_id(self.config.text_config, "bos_token_id", "eos_token_id")
        beginning_11D = table(torch.full((1, 1), beginning, device=mask.device))
        mask = mask | is_missing_BL
        embeds = torch.where(is_missing_BL.unsqueeze(-1), beginning_11D, embeds).masked_fill(~mask.unsqueeze(-1), 0)
        # One number for the batch, from the CPU's generator: nothing waits for the device.
        if self.training and self.config.text_seqaug_apply and torch.rand(()).item() < self.config.text_seqaug_apply:
            embeds = seqaug(embeds, mask, self.config.text_seqaug_rate)
        return embeds, mask

    def _run(
        self, embeds: Tensor, text_mask: Tensor, context: Tensor, need_weights: bool
    ) -> tuple[Tensor, Tensor, list[Tensor], list[tuple[Tensor, Tensor | None]]]:
        """Run the language model with the MM blocks; everything that a call needs is in its arguments.

        Returns:
            Text (B, L, D) and fusion states (B, n, D) behind the final norm, the text's states of every layer, and of
            every MM block its gates and weights.
        """
        lm = self.text_encoder
        layers, norm = language_model_layers(lm), final_norm(lm)
        blocks = dict(zip(self.config.fusion_layers, self.fusion_blocks, strict=True))
        length = embeds.shape[1]
        fusion = self.fusion_tokens(len(embeds)).to(embeds.dtype)
        mask = torch.cat([text_mask, text_mask.new_ones(fusion.shape[:2])], dim=1)
        positions = positions_of(mask)
        read: list[tuple[Tensor, Tensor | None]] = []

        def fuse(number: int, states: Tensor, text_length: int) -> Tensor:
            if number in blocks:
                states, gates, weights = blocks[number](states, context, text_length, need_weights)
                read.append((gates, weights))
            return states

        # First the text alone, as far as nothing in it is trained; its keys and values are kept.
        num_alone, cache = 0, DynamicCache()
        if can_run_alone(lm, embeds):
            num_alone = self.config.fusion_layers[0] + 1 if self.config.ffn_on_text else len(layers)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not num_alone):
            text = embed_positions(lm, embeds, positions[:, :length])
            hidden_states = [text]
            if num_alone:
                options = position_arguments(lm, text, positions[:, :length])
                options |= {"attention_mask": causal_mask(lm, text, text_mask)} | cache_argument(lm, cache)
                for number in range(num_alone):
                    text = layers[number](text, **options)
                    hidden_states.append(text)
        # Then the fusion tokens through the same blocks.
        fusion = embed_positions(lm, fusion, positions[:, length:])
        if num_alone:
            options = position_arguments(lm, fusion, positions[:, length:])
            options |= {"attention_mask": causal_mask(lm, fusion, mask, cache)} | cache_argument(lm, cache)
            for number in range(num_alone):
                fusion = layers[number](fusion, **options)
                if not self.config.ffn_on_text:
                    fusion = fuse(number, fusion, 0)
        # From there on both together.
        hidden = torch.cat([text, fusion], dim=1)
        if num_alone and self.config.ffn_on_text:
            hidden = fuse(num_alone - 1, hidden, length)
            hidden_states[-1] = hidden[:, :length]
        if num_alone < len(layers):
            options = position_arguments(lm, hidden, positions)
            options["attention_mask"] = causal_mask(lm, hidden, mask)
        for number in range(num_alone, len(layers)):
            hidden = fuse(number, layers[number](hidden, **options), length)
            hidden_states.append(hidden[:, :length])
        hidden = norm(hidden)
        hidden_states[-1] = hidden[:, :length]
        return hidden[:, :length], hidden[:, length:], hidden_states, read


class DeepMLFForSequenceClassification(DeepMLFPreTrainedModel, MsaForSequenceClassification):
    """DeepMLF with its heads: one sentiment score, or classes with `num_labels > 1`.

    Args:
        config: The configuration.
    """

    def __init__(self, config: DeepMLFConfig) -> None:
        super().__init__(config)
        width, text_config = config.text_config.hidden_size, config.text_config
        self.deepmlf = DeepMLFModel(config)
        self.classifier = TaskHead(config)
        self.fusion_head = nn.Linear(width, config.num_labels) if config.fusion_loss_weight else None
        self.text_head = nn.Linear(width, config.num_labels) if config.text_loss_weight else None
        self.av_head = nn.Linear(config.av_hidden_size, config.num_labels) if config.av_loss_weight else None
        # Where the language model shares one table for both ends, that of its embeddings serves.
        needs_lm_head = bool(config.lm_loss_weight) and not text_config.tie_word_embeddings
        self.lm_head = nn.Linear(width, text_config.vocab_size, bias=False) if needs_lm_head else None
        self.post_init()
        self.deepmlf.copy_feed_forwards()
        self.freeze_text_model()

    def freeze_text_model(self) -> None:
        """Freeze as the base class, and the language model's head with it."""
        super().freeze_text_model()
        if self.config.freeze_text_encoder and self.lm_head is not None:
            self.lm_head.requires_grad_(False)

    @torch.no_grad()
    def adopt_text_model(self, pretrained: Any) -> None:
        """Take over the language model's head, where it is a matrix of its own.

        Args:
            pretrained: The language model with its head.
        """
        if self.lm_head is not None:
            self.lm_head.weight.copy_(pretrained.get_output_embeddings().weight)

    def score(self, output: DeepMLFModelOutput) -> Tensor:
        """Return the logits (B, C) of fusion tokens, text and audiovisual context side by side."""
        return self.classifier(output.fused_state)

    def further_losses(
        self, output: Any, labels: Tensor, *, input_ids: Tensor | None, attention_mask: Tensor | None
    ) -> dict[str, tuple[Tensor, float]]:
        """Return those of "fusion", "av", "text" and "lm" that have a weight; "lm" needs `input_ids`."""
        losses, config = {}, self.config
        if self.fusion_head is not None:
            losses["fusion"] = self._fusion_loss(self.fusion_head(output.fusion_states), labels)
        if self.av_head is not None:
            losses["av"] = msa_loss(self.av_head(output.av_states.mean(dim=1)), labels, config)
        if self.text_head is not None:
            losses["text"] = msa_loss(self.text_head(output.last_text_state), labels, config)
        if config.lm_loss_weight and input_ids is not None:
            table = (self.lm_head or self.get_input_embeddings()).get_parameter("weight")
            losses["lm"] = self._next_token_loss(output.last_hidden_state, table, input_ids, attention_mask)
        return {name: (loss, getattr(config, f"{name}_loss_weight")) for name, loss in losses.items()}

    def _fusion_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits (B, n, C), all of which should say the utterance's label."""
        labels_Bn = labels.to(logits.device).reshape(-1, 1).expand(logits.shape[:2])
        return msa_loss(logits.flatten(0, 1), labels_Bn.flatten(), self.config)

    def _next_token_loss(self, text: Tensor, table: Tensor, input_ids: Tensor, mask: Tensor | None) -> Tensor:
        """Return the language model's loss on the text's states (B, L, D)."""
        return next_token_loss(
            nn.functional.linear(text, table),
            input_ids,
            torch.ones_like(input_ids).bool() if mask is None else mask.bool(),
            special_token_id(self.config.text_config, "pad_token_id", "eos_token_id"),
            self.config.last_token_target == "padding",
        )

    def text_only_loss(
        self, hidden: Tensor, batch: Mapping[str, Tensor], head: nn.Module, *, table: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the same losses for the bare language model: one head serves the last token, added ones and the text.

        Args:
            hidden: (B, L + n, D) states of the bare language model on `bare_text_inputs`.
            batch: With `input_ids`, `attention_mask` and `labels`.
            head: (..., D) to (..., C).
            table: (V, D) embeddings of the language model that gave the states; None takes this model's.
        """
        config, labels, mask = self.config, batch["labels"], batch["attention_mask"]
        text, added = hidden.tensor_split([batch["input_ids"].shape[1]], dim=1)
        logits = head(hidden[:, -1])
        loss = msa_loss(logits, labels, config)
        if config.fusion_loss_weight:
            loss = loss + config.fusion_loss_weight * self._fusion_loss(head(added), labels)
        if config.text_loss_weight:
            loss = loss + config.text_loss_weight * msa_loss(head(last_token(text, mask)), labels, config)
        if config.lm_loss_weight:
            table = self.get_input_embeddings().get_parameter("weight") if table is None else table
            loss = loss + config.lm_loss_weight * self._next_token_loss(text, table, batch["input_ids"], mask)
        return loss, logits

    @property
    def can_explain(self) -> bool:
        """Whether `explain` gives shares: always, since it leaves streams out and reads no gates."""
        return True

    @torch.no_grad()
    def explain(self, **batch: Tensor) -> MsaExplanation:
        """Return the scores with the share of each stream: how far the scores move when it is left out.

        Four forward passes. There is no share per word; and this is no proof of cause.

        Args:
            batch: What `forward` takes.
        """
        return explain_by_leaving_out(self, batch, STREAMS)


DeepMLFModel.register_for_auto_class("AutoModel")
DeepMLFForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = ["DeepMLFForSequenceClassification", "DeepMLFModel", "DeepMLFModelOutput", "DeepMLFPreTrainedModel"]
