"""Word times for the rows of an aligned pickle, so that any tokenizer can be aligned to them again.

An aligned file says which row belongs to which token of BERT, not to which word. Two layouts exist:

    "tokens"  row 0 is [CLS], then one row per WordPiece, all pieces of a word alike, then [SEP]; recognised by
              rows of zeros at [CLS]. The rows of [CLS] and [SEP] are left out: they are no frames.
    "words"   row k is word k.

In the layout "tokens" the words are found, in this order: by the tokenizer that the file was made with, if given
(exact); as many tokens as words (exact); as many runs of equal rows as words (exact unless two errors cancel). A word
beyond the last row gets no time. An utterance in which none of these holds keeps its rows and gets words without
times, which the processor spreads evenly; too many of these are an error.

Shapes: L rows, T rows that are kept, F features of both streams, W words.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from hf_msa.models.alignment_msa import words_of_tokens

from .rows import CorpusError

Word = dict[str, Any]
_WORD = re.compile(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")  # a Chinese character is a word, as BERT has it
MAX_UNTIMED = 0.02  # share of utterances of which no word has a time; ours


class AlignedWords:
    """Find the words of aligned rows.

    Args:
        name: The file, for errors.
        tokenizer: The fast tokenizer that `text_bert` was made with, or its folder or repository; None for none.
        repairs: Where what is mended is counted.

    Raises:
        CorpusError: For a tokenizer that cannot be loaded or knows no positions.
    """

    def __init__(self, name: str, tokenizer: Any, repairs: Counter[str]) -> None:
        self.name = name
        self.repairs = repairs
        self.tokenizer = _load_tokenizer(tokenizer) if isinstance(tokenizer, (str, Path)) else tokenizer
        if self.tokenizer is not None and not getattr(self.tokenizer, "is_fast", False):
            raise CorpusError(f"tokenizer: expected a fast tokenizer, got {type(self.tokenizer).__name__}")
        self.layout = "words"
        self.total = 0
        self.first_missed = ""

    def recognise(self, rows_NLF: np.ndarray, masks_NL: np.ndarray | None) -> None:
        """Decide which layout a split has.

        Args:
            rows_NLF: Audio, or visual, of all its utterances.
            masks_NL: Which tokens of `text_bert` are real; None without `text_bert`.
        """
        some = (rows_NLF != 0).any(axis=(1, 2))
        starts = (rows_NLF[:, 0] != 0).any(axis=1)
        is_tokens = masks_NL is not None and (not some.any() or starts[some].mean() < 0.5)
        self.layout = "tokens" if is_tokens else "words"

    def find(self, key: str, text: str, rows_LF: np.ndarray, ids_L: np.ndarray | None) -> tuple[slice, list[Word]]:
        """Return which rows to keep, and the words with times, where row k of those kept spans [k, k + 1).

        Args:
            key: Id of the utterance, for errors.
            text: Its words.
            rows_LF: Audio and visual side by side, (L, F_a + F_v).
            ids_L: Token ids without padding, or None.
        """
        self.total += 1
        spans = [match.span() for match in _WORD.finditer(text)]
        if not spans:
            filled = np.flatnonzero((rows_LF != 0).any(axis=1))
            return slice(0, filled[-1] + 1 if len(filled) else 0), []
        if self.layout == "words" or ids_L is None:
            return self._find_rows(key, text, spans, rows_LF)
        kept = slice(1, max(1, len(ids_L) - 1))
        rows_TF = rows_LF[kept]
        if (groups := self._by_tokenizer(text, spans, rows_TF, ids_L)) is None:
            groups = self._by_runs(spans, rows_TF, is_cut=len(ids_L) == len(rows_LF))
        if groups is None:
            self._miss(key)
            groups = [(*span, None) for span in spans]
        elif groups[-1][2] is None:
            self.repairs["utterances_cut"] += 1
        return kept, [_word(text, *group) for group in groups]

    def check(self) -> None:
        """Refuse a corpus in which too many utterances have no word times.

        Raises:
            CorpusError: It says how to give them times.
        """
        missed = self.repairs["utterances_without_word_times"]
        if missed > MAX_UNTIMED * self.total:
            raise CorpusError(
                f"{self.name}: expected rows that match the words of the text, got {missed} of {self.total} "
                f"utterances where they do not, first {self.first_missed!r}; give the tokenizer that made text_bert, "
                "load_corpus(..., tokenizer='bert-base-"
                "uncased'), or aligned=False to keep the rows without words"
            )

    def _find_rows(
        self, key: str, text: str, spans: list[tuple[int, int]], rows_LF: np.ndarray
    ) -> tuple[slice, list[Word]]:
        filled = np.flatnonzero((rows_LF != 0).any(axis=1))
        num_rows = min(len(spans), len(rows_LF))
        if len(filled) and filled[-1] >= num_rows:
            self._miss(key)
            return slice(0, filled[-1] + 1), [_word(text, *span, None) for span in spans]
        if len(spans) > num_rows:
            self.repairs["utterances_cut"] += 1
        return slice(0, num_rows), [
            _word(text, *span, (k, k + 1) if k < num_rows else None) for k, span in enumerate(spans)
        ]

    def _miss(self, key: str) -> None:
        self.repairs["utterances_without_word_times"] += 1
        self.first_missed = self.first_missed or str(key)

    def _by_tokenizer(
        self, text: str, spans: list[tuple[int, int]], rows_TF: np.ndarray, ids_L: np.ndarray
    ) -> list[tuple[int, int, tuple[int, int] | None]] | None:
        """Return start and end in the text and rows of every word, or None when the tokenizer is another one."""
        if self.tokenizer is None:
            return None
        encoding = self.tokenizer(text, truncation=True, max_length=len(ids_L), return_offsets_mapping=True)
        if list(encoding["input_ids"]) != ids_L.tolist():
            self.repairs["utterances_of_another_tokenizer"] += 1
            return None
        offsets = encoding["offset_mapping"][1:-1]
        tokens: dict[int, list[int]] = {}
        for token, covered in enumerate(words_of_tokens(offsets, spans)):
            for word in covered:
                tokens.setdefault(word, []).append(token)
        groups: list[tuple[int, int, tuple[int, int] | None]] = []
        for word, (start, end) in enumerate(spans):
            own = tokens.get(word, [])
            if own and _differ(rows_TF[own], rows_TF[own[0]]).any():
                # Rows of one word that differ: each piece becomes a word of its own, and no row is lost.
                groups += [(*offsets[token], (token, token + 1)) for token in own]
            else:
                groups.append((start, end, (own[0], own[-1] + 1) if own else None))
        return groups

    def _by_runs(
        self, spans: list[tuple[int, int]], rows_TF: np.ndarray, is_cut: bool
    ) -> list[tuple[int, int, tuple[int, int] | None]] | None:
        """The same from runs of equal rows; None when their number is not that of the words."""
        starts = [0, *(np.flatnonzero(_differ(rows_TF[1:], rows_TF[:-1])) + 1).tolist()]
        if len(rows_TF) == len(spans) and not is_cut:
            starts = list(range(len(spans)))
        if not len(rows_TF) or (len(starts) != len(spans) and not (is_cut and len(starts) < len(spans))):
            return None
        runs: list[tuple[int, int] | None] = list(zip(starts, [*starts[1:], len(rows_TF)], strict=True))
        runs += [None] * (len(spans) - len(runs))
        return [(*span, run) for span, run in zip(spans, runs, strict=True)]


def _differ(rows_TF: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which rows are not the same, where a NaN is the same as a NaN: one frame written twice holds it twice."""
    return ((rows_TF != others) & ~(np.isnan(rows_TF) & np.isnan(others))).any(axis=1)


def _word(text: str, start: int, end: int, rows: tuple[int, int] | None) -> Word:
    first, last = (None, None) if rows is None else (float(rows[0]), float(rows[1]))
    return {"word": text[start:end], "start": first, "end": last}


def _load_tokenizer(name: str | Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(name), trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(
            f"tokenizer: expected a tokenizer or where to load it, got {str(name)!r}: {reason}"
        ) from error


__all__ = ["MAX_UNTIMED", "AlignedWords"]
