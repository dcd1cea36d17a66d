"""Does a tokenizer know a text? A word that it does not know says nothing to the text model."""

import warnings
from collections.abc import Iterable
from typing import Any

from hf_msa.errors import MsaWarning

MAX_UNKNOWN = 0.1  # share of tokens that may be unknown without a word; ours


class KnownText:
    """Count the tokens of texts, and warn where too many are unknown to the tokenizer.

    Args:
        processor: Whose tokenizer will read the texts. One that writes every text in bytes knows all.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.num_tokens = 0
        self.num_unknown = 0

    def read_rows(self, rows: Any) -> "KnownText":
        """Count the tokens of the texts of a dataset or a list of rows.

        Args:
            rows: With or without `text`.
        """
        if not hasattr(rows, "column_names"):
            return self.read(row.get("text") for row in rows)
        # All at once: a column of `datasets` takes milliseconds for each of its entries.
        return self.read(rows["text"][:] if "text" in rows.column_names else [])

    def read(self, texts: Iterable[str | None]) -> "KnownText":
        """Count the tokens of texts.

        Args:
            texts: One per row; None where it is missing.
        """
        unknown = self.processor.tokenizer.unk_token_id
        known = [text.lower() if self.processor.lowercase else text for text in texts if text]
        if unknown is not None and known and "text" in self.processor.streams:
            for tokens in self.processor.tokenizer(known, add_special_tokens=False, verbose=False)["input_ids"]:
                self.num_tokens += len(tokens)
                self.num_unknown += tokens.count(unknown)
        return self

    def warn(self, name: str) -> None:
        """Warn once of all that was read, when more than a tenth of it is unknown.

        Args:
            name: What was read, as "train".

        Warns:
            MsaWarning: With the share and the remedy.
        """
        if self.num_unknown > MAX_UNKNOWN * self.num_tokens:
            warnings.warn(
                f"{name}: text: expected words that the text model's tokenizer knows, got "
                f"{self.num_unknown / self.num_tokens:.0%} of {self.num_tokens:,} tokens that it does not "
                f"({self.processor.tokenizer.unk_token}); take a text model of this language and script",
                MsaWarning,
                stacklevel=2,
            )


__all__ = ["MAX_UNKNOWN", "KnownText"]
