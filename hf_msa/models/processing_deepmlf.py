"""The processor of DeepMLF, of both its stages."""

from typing import ClassVar

from transformers import BatchEncoding

from .errors_msa import MsaError
from .processing_msa import MsaProcessor


class DeepMLFProcessor(MsaProcessor):
    """Turn utterances into batches for DeepMLF; see [`MsaProcessor`].

    Streams keep their own time axis by default: the model aligns them itself. Decoders ask for some care: texts are
    padded on the right, with the end-of-sequence token where there is no padding token (GPT-2), and a missing text
    becomes the beginning-of-sequence token, or the end-of-sequence token, where the tokenizer puts none of its own. A
    text leaves room in the model's context for the fusion tokens.

    Raises:
        MsaError: As [`MsaProcessor`]; and for a tokenizer without any of these tokens.
    """

    default_alignment: ClassVar[str] = "none"
    # More than any of the authors' configurations has fusion tokens (20).
    reserved_positions: ClassVar[int] = 32

    def _prepare_tokenizer(self) -> None:
        self.tokenizer.padding_side = self.tokenizer.truncation_side = "right"
        if self.tokenizer.pad_token is None:
            if self.tokenizer.eos_token is None:
                raise MsaError("tokenizer: expected a padding or an end-of-sequence token, got neither")
            self.tokenizer.pad_token = self.tokenizer.eos_token

    def _tokenize(self, texts: list[str], padding: str, max_length: int | None = None) -> BatchEncoding:
        if not all(texts) and not self.tokenizer("")["input_ids"]:
            token = self.tokenizer.bos_token or self.tokenizer.eos_token
            if token is None:
                raise MsaError("tokenizer: expected a token for a missing text, got neither bos_token nor eos_token")
            texts = [text or token for text in texts]
        return super()._tokenize(texts, padding, max_length)


DeepMLFProcessor.register_for_auto_class("AutoProcessor")

__all__ = ["DeepMLFProcessor"]
