"""The processor of PGF-Net."""

from typing import ClassVar

from .processing_msa import MsaProcessor


class PGFNetProcessor(MsaProcessor):
    """Turn utterances into batches for PGF-Net; see [`MsaProcessor`].

    Streams are aligned to words by default, as in MMA, whose data the paper seems to use ("aligned_50").
    """

    default_alignment: ClassVar[str] = "word"


PGFNetProcessor.register_for_auto_class("AutoProcessor")

__all__ = ["PGFNetProcessor"]
