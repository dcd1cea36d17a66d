"""The processor of late fusion."""

from typing import ClassVar

from .processing_msa import MsaProcessor


class LateFusionProcessor(MsaProcessor):
    """Turn utterances into batches for late fusion; see [`MsaProcessor`].

    Streams keep their own time axis by default, and so need no word times: their means are all that is read.
    """

    default_alignment: ClassVar[str] = "none"


LateFusionProcessor.register_for_auto_class("AutoProcessor")

__all__ = ["LateFusionProcessor"]
