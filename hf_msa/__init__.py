"""Multimodal sentiment analysis on the Hugging Face Hub.

PGF-Net, AGFN and DeepMLF read sentiment from what is said (text), how it sounds (audio) and how the speaker looks
(visual). Importing the package makes transformers' Auto classes know its models; peft, datasets and the rest are
imported when they are used.
"""

from typing import TYPE_CHECKING, Any

from ._version import __version__
from .models import (
    AGFNConfig,
    AGFNForSequenceClassification,
    AGFNModel,
    AGFNProcessor,
    DeepMLFAudioVisualConfig,
    DeepMLFAudioVisualEncoder,
    DeepMLFConfig,
    DeepMLFForSequenceClassification,
    DeepMLFModel,
    DeepMLFProcessor,
    MsaFeatureExtractor,
    MsaOutput,
    MsaPipeline,
    PGFNetConfig,
    PGFNetForSequenceClassification,
    PGFNetModel,
    PGFNetProcessor,
)

if TYPE_CHECKING:
    from .training.adapters import load_adapter


def __getattr__(name: str) -> Any:
    if name == "load_adapter":
        from .training.adapters import load_adapter

        return load_adapter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AGFNConfig",
    "AGFNForSequenceClassification",
    "AGFNModel",
    "AGFNProcessor",
    "DeepMLFAudioVisualConfig",
    "DeepMLFAudioVisualEncoder",
    "DeepMLFConfig",
    "DeepMLFForSequenceClassification",
    "DeepMLFModel",
    "DeepMLFProcessor",
    "MsaFeatureExtractor",
    "MsaOutput",
    "MsaPipeline",
    "PGFNetConfig",
    "PGFNetForSequenceClassification",
    "PGFNetModel",
    "PGFNetProcessor",
    "__version__",
    "load_adapter",
]
