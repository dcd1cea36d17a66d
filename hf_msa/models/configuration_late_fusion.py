"""The configuration of late fusion."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_msa import MsaConfig
from .errors_msa import MsaError


@strict
class LateFusionConfig(MsaConfig):
    r"""Describe late fusion, the baseline: what a model gains that does no more than average frames.

    All defaults are ours; sizes and dropout are those of PGF-Net's head, so that the fusion alone differs.

    Args:
        classifier_hidden_size: Inner width of the head.
        classifier_dropout: Dropout in front of it.
        freeze_text_encoder: Keep the text encoder as it was pretrained; LoRA is the training's business, as PGF-Net's.
        kwargs: The fields of [`MsaConfig`], and those of every transformers configuration.
    """

    model_type = "late_fusion"
    exported_classes: ClassVar[dict[str, str]] = {
        "AutoConfig": "configuration_late_fusion.LateFusionConfig",
        "AutoModel": "modeling_late_fusion.LateFusionModel",
        "AutoModelForSequenceClassification": "modeling_late_fusion.LateFusionForSequenceClassification",
        "AutoProcessor": "processing_late_fusion.LateFusionProcessor",
    }
    supported_text_models: ClassVar[tuple[str, ...]] = ("bert", "roberta", "xlm-roberta", "electra")

    classifier_hidden_size: int = 128
    classifier_dropout: float | int = 0.2
    freeze_text_encoder: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        """Check sizes and ranges."""
        super().__post_init__(**kwargs)
        if self.classifier_hidden_size < 1:
            raise MsaError(f"classifier_hidden_size: expected at least 1, got {self.classifier_hidden_size}")
        if not 0 <= self.classifier_dropout < 1:
            raise MsaError(f"classifier_dropout: expected a rate in [0, 1), got {self.classifier_dropout}")

    @property
    def fused_size(self) -> int:
        """Width of the fused state: the text's, and the columns of both streams."""
        return self.text_config.hidden_size + self.audio_dim + self.visual_dim


LateFusionConfig.register_for_auto_class()

__all__ = ["LateFusionConfig"]
