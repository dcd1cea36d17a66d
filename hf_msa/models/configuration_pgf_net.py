"""The configuration of PGF-Net."""

import math
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict

from .configuration_msa import MsaConfig, Paper, PaperResult
from .errors_msa import MsaError


@strict
class PGFNetConfig(MsaConfig):
    r"""Describe a PGF-Net: a frozen BERT-family encoder with gated cross-attention inside its layers.

    The defaults are the paper's main result where it says what it did (LoRA of rank 32 belongs to the training, fusion
    from layer 0, adapters of bottleneck 64), and otherwise MMA's official code, on which the paper seems to be built,
    or ours. On BERT-base with 5 and 20 features they train 3,085,949 parameters, which prints as the paper's 3.09M.
    "Ours" marks what neither states.

    Args:
        fusion_start_layer: First encoder layer that fuses, counted from 0 (paper: 0).
        use_cross_attention: Off: every token gets the mean of the bank (the paper's ablation).
        use_gate: Off: the context is added to the text (the paper's ablation).
        use_adapter: Off: no post-fusion adapter (the paper's ablation).
        cross_attention_type: "parameter_free" as MMA, or "multihead" with four projections per layer.
        attention_scale: Scores are divided by the square root of the "head_width" (ours) or the "model_width" (MMA).
        fusion_attention_heads: Heads of the cross-attention; None takes the text model's own number (MMA: 12).
        gate_type: "low_rank" (ours: the only trainable gate per layer that fits into the paper's 3.09M) or "full".
        gate_rank: Inner width of the low-rank gate (ours).
        gate_init_bias: Gate logit before training (ours; 2.0 starts near the text, 0.88).
        adapter_bottleneck: Inner width of the adapters (paper: 64), or a list of one per fused layer, 0 for none.
        adapter_dropout: Dropout inside the adapters (MMA).
        fusion_placement: "before_ffn", or "after_ffn": the change that the fusion makes is added to the layer's output
            (MMA adds there).
        classifier_hidden_size: Inner width of the SubNet head (MMA).
        classifier_dropout: Dropout in front of it (MMA).
        freeze_text_encoder: Keep BERT as it was pretrained (paper: True; LoRA is the training's business).
        kwargs: The fields of [`MsaConfig`], and those of every transformers configuration.
    """

    model_type = "pgf_net"
    exported_classes: ClassVar[dict[str, str]] = {
        "AutoConfig": "configuration_pgf_net.PGFNetConfig",
        "AutoModel": "modeling_pgf_net.PGFNetModel",
        "AutoModelForSequenceClassification": "modeling_pgf_net.PGFNetForSequenceClassification",
        "AutoProcessor": "processing_pgf_net.PGFNetProcessor",
    }
    supported_text_models: ClassVar[tuple[str, ...]] = ("bert", "roberta", "xlm-roberta", "electra")
    paper: ClassVar[Paper | None] = Paper(
        name="PGF-Net",
        title="PGF-Net: A Progressive Gated-Fusion Framework for Efficient Multimodal Sentiment Analysis",
        authors=("Wen, Bin", "Tan, Tien-Ping"),
        year=2025,
        arxiv="2508.15852",
        results=(PaperResult("mosi", {"mae": 0.691, "f1_non0": 0.869}, "BERT-base, seeds not stated"),),
    )

    fusion_start_layer: int = 0
    use_cross_attention: bool = True
    use_gate: bool = True
    use_adapter: bool = True
    cross_attention_type: Literal["parameter_free", "multihead"] = "parameter_free"
    attention_scale: Literal["head_width", "model_width"] = "head_width"
    fusion_attention_heads: int | None = None
    gate_type: Literal["low_rank", "full"] = "low_rank"
    gate_rank: int = 20
    gate_init_bias: float | int = 2.0
    adapter_bottleneck: int | list[int] = 64
    adapter_dropout: float | int = 0.2
    fusion_placement: Literal["before_ffn", "after_ffn"] = "before_ffn"
    classifier_hidden_size: int = 128
    classifier_dropout: float | int = 0.2
    freeze_text_encoder: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        """Check what depends on the text model's sizes."""
        super().__post_init__(**kwargs)
        num_layers, width = self.text_config.num_hidden_layers, self.text_config.hidden_size
        if not 0 <= self.fusion_start_layer < num_layers:
            raise MsaError(
                f"fusion_start_layer: expected 0 to {num_layers - 1} for a text model of {num_layers} layers, "
                f"got {self.fusion_start_layer}"
            )
        if self.fusion_attention_heads == 0 or self.num_fusion_heads < 1 or width % self.num_fusion_heads:
            raise MsaError(
                f"fusion_attention_heads: expected a divisor of the hidden size {width}, "
                f"got {self.num_fusion_heads if self.fusion_attention_heads is None else self.fusion_attention_heads}"
            )
        sizes = self.adapter_bottleneck
        if isinstance(sizes, list) and len(sizes) != self.num_fusion_layers:
            raise MsaError(
                f"adapter_bottleneck: expected one size for each of the {self.num_fusion_layers} fused layers, "
                f"got {len(sizes)}"
            )
        if min(sizes) < 0 if isinstance(sizes, list) else sizes < 0:
            raise MsaError(f"adapter_bottleneck: expected sizes of 0 or more, got {sizes}")
        if not math.isfinite(self.gate_init_bias):
            raise MsaError(f"gate_init_bias: expected a finite number, got {self.gate_init_bias}")
        for name in ("gate_rank", "classifier_hidden_size"):
            if getattr(self, name) < 1:
                raise MsaError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("adapter_dropout", "classifier_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise MsaError(f"{name}: expected a rate in [0, 1), got {getattr(self, name)}")

    @property
    def has_gates(self) -> bool:
        """Whether `output_gates` gives gates."""
        return self.use_gate

    @property
    def num_fusion_layers(self) -> int:
        """Number of encoder layers that fuse."""
        return self.text_config.num_hidden_layers - self.fusion_start_layer

    @property
    def num_fusion_heads(self) -> int:
        """Heads of the cross-attention."""
        return self.fusion_attention_heads or self.text_config.num_attention_heads

    @property
    def adapter_bottlenecks(self) -> list[int]:
        """Bottleneck of the adapter of each fused layer, 0 where there is none."""
        if not self.use_adapter:
            return [0] * self.num_fusion_layers
        if isinstance(self.adapter_bottleneck, list):
            return self.adapter_bottleneck
        return [self.adapter_bottleneck] * self.num_fusion_layers


PGFNetConfig.register_for_auto_class()

__all__ = ["PGFNetConfig"]
