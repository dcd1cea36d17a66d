"""The configuration of DeepMLF."""

import math
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig
from transformers.configuration_utils import SubConfigSpec

from .configuration_deepmlf_av import AudioVisualFields
from .configuration_msa import MsaConfig, Paper, PaperResult
from .errors_msa import MsaError


@strict
class DeepMLFConfig(MsaConfig, AudioVisualFields):
    r"""Describe a DeepMLF: a frozen decoder language model whose last tokens read audio and video, layer by layer.

    The defaults are the authors' setting on CMU-MOSEI with GPT-2 (their code; the paper's tables were not found).
    Where their code does what no textbook does, a field says so, and its other value is the textbook's.

    Args:
        fusion_layers: Language-model blocks, counted from 0, behind which an MM block stands (authors: 5 to 7).
        num_fusion_tokens: Tokens n behind the text that gather what the streams say (authors: 8 to 20).
        num_attention_heads: Heads of the cross-attention, whatever the language model's number is (authors: 16).
        attention_scale: Scores of the cross-attention are divided by the root of the "model_width" (authors' code) or
            of the "head_width" (textbook).
        swiglu_merge: In the feed-forward of Llama and Qwen, "add" the gate to the projection (authors' code) or
            "multiply" (textbook, and what the copied weights were trained for).
        copy_ffn_bias: Copy the biases too where the feed-forward starts as a copy of the language model's. False is
            the authors' code: biases start at zero.
        gate_type: "sigmoid" gates start at 0.5 (authors), "tanh" gates at 0, closed (Flamingo's), "none" has none.
        ffn_on_text: Whether the MM block's feed-forward also works on the text's states, which never see a stream
            (authors: yes).
        head_norm: "batch" norm in the head (authors) or "layer" norm, with which rows do not depend on each other.
        classifier_hidden_size: Inner width of the head (authors: 64).
        lora_rank: Rank of LoRA on a copied feed-forward whose matrices are then frozen (authors: 512 on MOSI); 0
            trains the copies themselves (authors: with GPT-2).
        lora_scale: Factor of LoRA, $\alpha / r$ (authors: 8192 / 512).
        lora_dropout: Dropout in front of LoRA (authors: 0.05).
        fusion_dropout: Dropout in the MM blocks: on attention weights, on their output, and behind the feed-forward of
            the GPT-2 flavour (authors: 0.1).
        fusion_loss_weight: Weight of the mean absolute error of every fusion token; at 0 there is no head for them.
        av_loss_weight: Weight of the audiovisual head's error; at 0 there is none.
        text_loss_weight: Weight of the text head's error; at 0 there is none.
        lm_loss_weight: Weight of predicting the next token (authors: 1.1; large and SIMS 1.0, MOSI 0); 0 for none.
        last_token_target: What the last token of a text should predict: the "padding" behind it, and id 0 where the
            row fills the batch (authors' code), or "none" (textbook).
        text_seqaug_apply: Probability per batch of SeqAug on the token embeddings (authors: 0.30; others 0.25).
        text_seqaug_rate: Share of channels that SeqAug then permutes in time (authors: 0.20; others 0.30).
        freeze_text_encoder: Keep the language model as it was pretrained (authors: True).
        freeze_av_encoder: Keep the audiovisual encoder as stage one left it (authors: False).
        av_encoder_name_or_path: Repository or folder of stage one, a [`DeepMLFAudioVisualEncoder`];
            `from_text_pretrained` loads it, `from_pretrained` never does.
        kwargs: The fields of [`AudioVisualFields`] and [`MsaConfig`], and those of every transformers configuration.
    """

    model_type = "deepmlf"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="gpt2")
    }
    exported_classes: ClassVar[dict[str, str]] = {
        "AutoConfig": "configuration_deepmlf.DeepMLFConfig",
        "AutoModel": "modeling_deepmlf.DeepMLFModel",
        "AutoModelForSequenceClassification": "modeling_deepmlf.DeepMLFForSequenceClassification",
        "AutoProcessor": "processing_deepmlf.DeepMLFProcessor",
    }
    supported_text_models: ClassVar[tuple[str, ...]] = ("gpt2", "llama", "qwen2", "qwen3")
    trains_with_lora: ClassVar[bool] = False  # it has its own, inside of the MM blocks
    stage_one_field: ClassVar[str | None] = "av_encoder_name_or_path"
    stage_one_type: ClassVar[str | None] = "deepmlf_av"
    paper: ClassVar[Paper | None] = Paper(
        name="DeepMLF",
        title="DeepMLF: Multimodal Language Model with Learnable Tokens for Deep Fusion in Sentiment Analysis",
        authors=("Georgiou, Efthymios", "Katsouros, Vassilis", "Avrithis, Yannis", "Potamianos, Alexandros"),
        year=2025,
        arxiv="2504.11082",
        # The paper's own tables were not at hand; these stand in a later paper of the same group.
        results=(
            PaperResult("mosei", {"acc_2_non0": 0.8677, "f1_non0": 0.8677}, "as arXiv 2607.12686 quotes it"),
            PaperResult("sims", {"acc_2": 0.8258, "f1": 0.8277}, "as arXiv 2607.12686 quotes it"),
        ),
    )

    fusion_layers: list[int] | tuple[int, ...] = (3, 5, 7, 8, 9, 10, 11)
    num_fusion_tokens: int = 12
    num_attention_heads: int = 16
    attention_scale: Literal["model_width", "head_width"] = "model_width"
    swiglu_merge: Literal["add", "multiply"] = "add"
    copy_ffn_bias: bool = False
    gate_type: Literal["sigmoid", "tanh", "none"] = "sigmoid"
    ffn_on_text: bool = True
    head_norm: Literal["batch", "layer"] = "batch"
    classifier_hidden_size: int = 64
    lora_rank: int = 0
    lora_scale: float | int = 16
    lora_dropout: float | int = 0.05
    fusion_dropout: float | int = 0.1
    fusion_loss_weight: float | int = 1.0
    av_loss_weight: float | int = 1.0
    text_loss_weight: float | int = 1.0
    lm_loss_weight: float | int = 1.1
    last_token_target: Literal["padding", "none"] = "padding"
    text_seqaug_apply: float | int = 0.30
    text_seqaug_rate: float | int = 0.20
    freeze_text_encoder: bool = True
    freeze_av_encoder: bool = False
    av_encoder_name_or_path: str | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Check sizes and ranges."""
        super().__post_init__(**kwargs)
        self._check_audiovisual()
        self.fusion_layers = tuple(self.fusion_layers)
        num_layers, width = self.text_config.num_hidden_layers, self.text_config.hidden_size
        is_ordered = all(a < b for a, b in zip(self.fusion_layers, self.fusion_layers[1:], strict=False))
        if (
            not self.fusion_layers
            or not is_ordered
            or self.fusion_layers[0] < 0
            or self.fusion_layers[-1] >= num_layers
        ):
            raise MsaError(
                f"fusion_layers: expected increasing numbers from 0 to {num_layers - 1}, got {self.fusion_layers}"
            )
        for name in ("num_fusion_tokens", "num_attention_heads", "classifier_hidden_size"):
            if getattr(self, name) < 1:
                raise MsaError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.num_fusion_tokens >= self.context_length:
            raise MsaError(
                f"num_fusion_tokens: expected fewer than the text model's context of {self.context_length}, "
                f"got {self.num_fusion_tokens}"
            )
        if width % self.num_attention_heads:
            raise MsaError(
                f"num_attention_heads: expected a divisor of the text model's width {width}, "
                f"got {self.num_attention_heads}"
            )
        if self.lora_rank < 0:
            raise MsaError(f"lora_rank: expected 0 or more, got {self.lora_rank}")
        for name in ("lora_dropout", "fusion_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise MsaError(f"{name}: expected a rate in [0, 1), got {getattr(self, name)}")
        for name in ("text_seqaug_apply", "text_seqaug_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise MsaError(f"{name}: expected a share in [0, 1], got {getattr(self, name)}")
        for name in ("fusion_loss_weight", "av_loss_weight", "text_loss_weight", "lm_loss_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise MsaError(f"{name}: expected 0 or more, got {getattr(self, name)}")

    @property
    def has_gates(self) -> bool:
        """Whether `output_gates` gives gates; here they are learned numbers, which no utterance moves."""
        return self.gate_type != "none"

    @property
    def context_length(self) -> int:
        """Tokens and fusion tokens that the language model can hold together."""
        limit = self.text_config.max_position_embeddings
        is_sliding = "sliding_attention" in (getattr(self.text_config, "layer_types", None) or ())
        # Within one window, sliding attention is ordinary attention.
        return min(limit, self.text_config.sliding_window) if is_sliding else limit

    @property
    def fused_size(self) -> int:
        """Width of the fused state: fusion tokens, text, and audiovisual context side by side."""
        return 2 * self.text_config.hidden_size + self.av_hidden_size


DeepMLFConfig.register_for_auto_class()

__all__ = ["DeepMLFConfig"]
