"""The processor of AGFN."""

from typing import ClassVar

from .processing_msa import MsaProcessor


class AGFNProcessor(MsaProcessor):
    """Turn utterances into batches for AGFN; see [`MsaProcessor`].

    Streams keep their own time axis by default: its LSTMs read them frame by frame.
    """

    default_alignment: ClassVar[str] = "none"


AGFNProcessor.register_for_auto_class("AutoProcessor")

__all__ = ["AGFNProcessor"]
