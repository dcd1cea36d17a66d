r"""DeepMLF's audiovisual encoder: a model of its own, trained before any language model is there (stage one).

Paper: DeepMLF, "Multimodal Language Model with Learnable Tokens for Deep Fusion in Sentiment Analysis", Efthymios
Georgiou, Vassilis Katsouros, Yannis Avrithis and Alexandros Potamianos, arXiv 2504.11082; here after the authors'
code (efthymisgeo/deepmlf), where it is "BI_ENC".

The layers are in `av_encoder_deepmlf.py`.

Diagram:

     audio (T_a, F_a)          visual (T_v, F_v)
       |  SeqAug                 |  SeqAug                  while training
       |  align to T steps       |  align to T steps        strided means
       |  batch norm             |  batch norm              where the corpus wants it
       |  sqrt(D) W x + p        |  sqrt(D) W x + p
       |  3 Transformer layers   |  3 Transformer layers
       '-----------+-------------'
                   |  W [a; v] + b                          (T, D)
             the last step ---- linear ----> score

Differences from the paper:

- Rows are aligned from their true length, and a missing stream is a row of zeros that enters neither batch norm nor
  the score (the authors have no masks).
- Linear layers start as torch's own.

Shapes: B batch, L text length, T steps, F raw feature size, D width, C classes.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from transformers.utils import can_return_tuple

from .av_encoder_deepmlf import AudioVisualEncoder, StreamLinear
from .configuration_deepmlf_av import DeepMLFAudioVisualConfig
from .errors_msa import MsaError
from .inputs_msa import masked_stream
from .modeling_msa import MsaExplanation, MsaOutput, MsaPreTrainedModel, explain_by_leaving_out, msa_loss
from .streams_msa import FRAME_STREAMS

if TYPE_CHECKING:
    # As in modeling_pgf_net.py: with these lines processor and pipeline travel with a saved model.
    from .pipeline_msa import MsaPipeline  # noqa: F401
    from .processing_deepmlf import DeepMLFProcessor  # noqa: F401


class DeepMLFAudioVisualEncoder(MsaPreTrainedModel):
    """Score utterances by audio and video alone.

    Args:
        config: The configuration.
    """

    config_class = DeepMLFAudioVisualConfig
    base_model_prefix = "deepmlf_av"
    main_input_name = "audio_values"
    supports_gradient_checkpointing = False
    modules_to_save: ClassVar[tuple[str, ...]] = ("av_encoder", "classifier")
    _no_split_modules = ("StreamEncoder",)

    def __init__(self, config: DeepMLFAudioVisualConfig) -> None:
        super().__init__(config)
        self.av_encoder = AudioVisualEncoder(config.audio_dim, config.visual_dim, config)
        self.classifier = StreamLinear(config.av_hidden_size, config.num_labels)
        self.post_init()

    @classmethod
    def from_text_pretrained(
        cls, name_or_path: str, config: DeepMLFAudioVisualConfig | None = None, **kwargs: Any
    ) -> Any:
        """Build a new model; of the text model only the place is recorded, since its tokenizer is the processor's.

        Args:
            name_or_path: Repository or folder of the text model of stage two.
            config: A whole configuration in place of single fields.
            kwargs: Fields of the configuration, and `dtype`.
        """
        dtype = kwargs.pop("dtype", torch.float32)
        if config is None:
            config = cls.config_class(**{"text_model_name_or_path": str(name_or_path)} | kwargs)
        elif kwargs:
            raise MsaError(f"config: expected either a configuration or its fields, got both, with {sorted(kwargs)}")
        return cls._from_config(config, dtype=dtype)

    def freeze_text_model(self) -> None:
        """Do nothing: there is no text model."""

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        audio_values: Tensor | None = None,
        audio_attention_mask: Tensor | None = None,
        visual_values: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        token_type_ids: Tensor | None = None,
    ) -> MsaOutput:
        """Score utterances. Masks: 1 real, 0 padding; None means all real.

        Args:
            input_ids: Not read; here so that both stages take the batches of one processor. (B, L).
            attention_mask: Not read.
            audio_values: (B, T_a, F_a) frames, or None when missing.
            audio_attention_mask: (B, T_a); a row of zeros is a missing stream.
            visual_values: (B, T_v, F_v) frames, or None when missing.
            visual_attention_mask: (B, T_v); a row of zeros is a missing stream.
            labels: (B,) scores, or class numbers with `num_labels > 1`.
            output_hidden_states: Return the joint steps (B, T, D), and as fused state the last of them.
            token_type_ids: Not read.

        Raises:
            MsaError: For a stream or labels of a shape or value that does not fit, and for no stream at all.
        """
        given = next((x for x in (audio_values, visual_values, input_ids) if x is not None), None)
        if given is None:
            raise MsaError("audio_values: expected audio_values or visual_values, got neither")
        if output_hidden_states is None:
            output_hidden_states = bool(self.config.output_hidden_states)
        size, like = given.shape[0], self.classifier.weight
        steps_BTD = self.av_encoder(
            *masked_stream("audio", audio_values, audio_attention_mask, self.config.audio_dim, size, like),
            *masked_stream("visual", visual_values, visual_attention_mask, self.config.visual_dim, size, like),
        )
        fused_BD = steps_BTD[:, -1]
        logits = self.classifier(fused_BD)
        return MsaOutput(
            loss=None if labels is None else msa_loss(logits, labels, self.config),
            logits=logits,
            fused_state=fused_BD if output_hidden_states else None,
            hidden_states=(steps_BTD,) if output_hidden_states else None,
        )

    @property
    def can_explain(self) -> bool:
        """Whether `explain` gives shares: always, since it leaves streams out and reads no gates."""
        return True

    @torch.no_grad()
    def explain(self, **batch: Tensor) -> MsaExplanation:
        """Return the scores with the share of each stream: how far the scores move when it is left out.

        Args:
            batch: What `forward` takes.
        """
        return explain_by_leaving_out(self, batch, FRAME_STREAMS)


DeepMLFAudioVisualEncoder.register_for_auto_class("AutoModel")
DeepMLFAudioVisualEncoder.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = ["DeepMLFAudioVisualEncoder"]
