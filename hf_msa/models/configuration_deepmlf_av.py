"""The configuration of DeepMLF's audiovisual encoder, which is a model of its own in the first stage of training."""

from dataclasses import dataclass
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_msa import MsaConfig
from .errors_msa import MsaError


@dataclass
class AudioVisualFields:
    """Hold the fields of the audiovisual encoder, which both of DeepMLF's configurations have.

    Args:
        av_length: Steps T to which both streams are aligned (authors: 50; SIMS 39 in stage one, 55 in stage two).
        av_hidden_size: Width of a step; even (authors: 30).
        av_num_hidden_layers: Transformer layers per stream (authors: 3).
        av_num_attention_heads: Heads (authors: 6).
        av_intermediate_size: Width of the feed-forward (authors: 120).
        av_dropout: Dropout on embedded steps, attention, feed-forward and residuals (authors: 0.1).
        audio_batch_norm: Batch norm over the columns of the aligned audio (authors: SIMS, and MOSI in stage one).
        visual_batch_norm: The same for the visual stream (authors: SIMS).
        position_on_zero_steps: Whether a step whose first projected channel is exactly 0 has a position, as in any
            textbook. In the authors' code it has none; this happens to steps of zeros without batch norm.
        stream_seqaug_rate: Share of columns that SeqAug permutes in time, in every training step (authors: 0.2; MOSI
            0.3); 0 for none.
    """

    av_length: int = 50
    av_hidden_size: int = 30
    av_num_hidden_layers: int = 3
    av_num_attention_heads: int = 6
    av_intermediate_size: int = 120
    av_dropout: float | int = 0.1
    audio_batch_norm: bool = False
    visual_batch_norm: bool = False
    position_on_zero_steps: bool = False
    stream_seqaug_rate: float | int = 0.2

    def _check_audiovisual(self) -> None:
        for name in ("av_length", "av_num_hidden_layers", "av_num_attention_heads", "av_intermediate_size"):
            if getattr(self, name) < 1:
                raise MsaError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.av_hidden_size < 4 or self.av_hidden_size % 2 or self.av_hidden_size % self.av_num_attention_heads:
            raise MsaError(
                f"av_hidden_size: expected an even multiple of av_num_attention_heads {self.av_num_attention_heads} "
                f"from 4 on, got {self.av_hidden_size}"
            )
        if not 0 <= self.av_dropout < 1:
            raise MsaError(f"av_dropout: expected a rate in [0, 1), got {self.av_dropout}")
        if not 0 <= self.stream_seqaug_rate <= 1:
            raise MsaError(f"stream_seqaug_rate: expected a share in [0, 1], got {self.stream_seqaug_rate}")


@strict
class DeepMLFAudioVisualConfig(MsaConfig, AudioVisualFields):
    r"""Describe DeepMLF's audiovisual encoder with a head: stage one, trained before any language model is there.

    The defaults are the authors' setting on CMU-MOSEI.

    Args:
        kwargs: The fields of [`AudioVisualFields`], those of [`MsaConfig`] (but there is no text model:
            `text_model_name_or_path` only records whose tokenizer the processor has), and those of every transformers
            configuration.
    """

    model_type = "deepmlf_av"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {}
    exported_classes: ClassVar[dict[str, str]] = {
        "AutoConfig": "configuration_deepmlf_av.DeepMLFAudioVisualConfig",
        "AutoModel": "modeling_deepmlf_av.DeepMLFAudioVisualEncoder",
        "AutoModelForSequenceClassification": "modeling_deepmlf_av.DeepMLFAudioVisualEncoder",
        "AutoProcessor": "processing_deepmlf.DeepMLFProcessor",
    }
    trains_with_lora: ClassVar[bool] = False  # there is no text model to put it on

    def __post_init__(self, **kwargs: Any) -> None:
        """Check sizes and ranges."""
        super().__post_init__(**kwargs)
        self._check_audiovisual()


DeepMLFAudioVisualConfig.register_for_auto_class()

__all__ = ["AudioVisualFields", "DeepMLFAudioVisualConfig"]
