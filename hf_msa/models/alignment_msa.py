"""Word alignment: from words with times to one vector per text token.

A word is `(word, start, end)` or `{"word": ..., "start": ..., "end": ...}`, seconds from the start of the stream;
times may be null. The steps, in order: read the words, fill in missing times, find the words in the text, give every
token the interval of its word, average the frames inside.

Shapes: L tokens, T frames, F features.
"""

import math
from typing import Any

import torch
from torch import Tensor

Word = tuple[str, float | None, float | None]
Interval = tuple[float, float] | None


def read_words(words: Any, row: int = 0) -> list[Word]:
    """Return the words of one utterance as tuples, with None for times that are null or NaN.

    Args:
        words: Tuples or dicts, one per word; or one dict of lists, as `datasets` may hand them out.
        row: Row of the batch, for the error.

    Raises:
        ValueError: For an entry that is neither, and for a word that ends before it starts.
    """
    if isinstance(words, dict):
        words = [dict(zip(words, values, strict=True)) for values in zip(*words.values(), strict=True)]
    read = []
    for index, entry in enumerate(words):
        try:
            if isinstance(entry, dict):
                word, start, end = entry["word"], entry["start"], entry["end"]
            else:
                word, start, end = entry
            start, end = _seconds(start), _seconds(end)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"words[{row}][{index}]: expected (word, start, end) in seconds, got {entry!r}"
            ) from error
        if not isinstance(word, str) or not word.strip():
            raise ValueError(f"words[{row}][{index}]: expected a word that is not empty, got {word!r}")
        if start is not None and end is not None and end < start:
            raise ValueError(f"words[{row}][{index}]: expected end >= start, got {entry!r}")
        read.append((word.strip(), start, end))
    return read


def _seconds(value: Any) -> float | None:
    if value is None or math.isnan(float(value)):
        return None
    return float(value)


def fill_times(words: list[Word], duration: float) -> tuple[list[tuple[float, float]], int]:
    """Return an interval for every word, and the number of words whose times were interpolated.

    A run of words without times shares the gap between its neighbours in equal parts; at the ends the gap reaches to 0
    and to the stream's duration.

    Args:
        words: As `read_words` gives them. A word with only one of its two times counts as without.
        duration: Length of the longest stream in seconds.
    """
    times = {i: (start, end) for i, (_, start, end) in enumerate(words) if start is not None and end is not None}
    known = list(times)
    for before, after in zip([-1, *known], [*known, len(words)], strict=True):
        run = range(before + 1, after)
        left = times[before][1] if before >= 0 else 0.0
        right = max(left, times[after][0] if after < len(words) else duration)
        step = (right - left) / max(1, len(run))
        times |= {i: (left + step * k, left + step * (k + 1)) for k, i in enumerate(run)}
    return [times[i] for i in range(len(words))], len(words) - len(known)


def find_words(text: str, words: list[Word], row: int = 0) -> list[tuple[int, int]]:
    """Return where each word stands in the text, as character positions.

    Case and what stands between the words (spaces, punctuation) do not matter; letters and digits that belong to no
    word do, because their frames would silently be lost.

    Args:
        text: The utterance.
        words: Its words in order.
        row: Row of the batch, for the error.

    Raises:
        ValueError: When words and text do not match; it names the first word that does not.
    """
    folded, spans, position = _fold(text), [], 0
    for index, (word, _, _) in enumerate(words):
        start = folded.find(_fold(word), position)
        if start < 0 or _has_letters(text[position:start]):
            raise ValueError(
                f"words[{row}][{index}]: expected the words of the text in order, "
                f"got {word!r} where the text goes on {text[position : position + 20].strip()!r}"
            )
        position = start + len(word)
        spans.append((start, position))
    if _has_letters(text[position:]):
        raise ValueError(f"words[{row}]: expected all words of the text, got none for {text[position:].strip()!r}")
    return spans


def _fold(text: str) -> str:
    # Letter by letter, so that positions stay: some letters grow when lowered as a whole.
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


def _has_letters(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def words_of_tokens(offsets: list[tuple[int, int]], spans: list[tuple[int, int]]) -> list[range]:
    """Return, for every token, the numbers of the words that it covers; empty for special tokens and punctuation.

    Mostly one; several where a tokenizer merges what has times of its own (XLM-R on Chinese characters).

    Args:
        offsets: Character positions of the tokens, (0, 0) for special ones.
        spans: Character positions of the words, ascending.
    """
    covered, first = [], 0
    for start, end in offsets:
        while first < len(spans) and spans[first][1] <= start:
            first += 1
        last = first
        while start < end and last < len(spans) and spans[last][0] < end:
            last += 1
        covered.append(range(first, last))
    return covered


def token_intervals(covered: list[range], times: list[tuple[float, float]]) -> list[Interval]:
    """Return every token's interval, from the start of its first word to the end of its last; None without one."""
    return [(times[words[0]][0], times[words[-1]][1]) if words else None for words in covered]


def interval_means(frames: Tensor, intervals: list[Interval], rate: float) -> tuple[Tensor, Tensor]:
    """Return the mean of the frames inside each interval (L, F) and whether there were any (L,) as 0 and 1.

    Frame k spans [k, k + 1) / rate and lies in an interval when its middle does. An interval that holds no middle, a
    word shorter than a frame, takes the frame around its own middle. An interval outside of the stream takes nothing.

    Args:
        frames: (T, F) of finite values.
        intervals: L of (start, end) in seconds, or None.
        rate: Frames per second.
    """
    num_frames = frames.shape[0]
    starts, ends = torch.tensor([interval or (1.0, 0.0) for interval in intervals], dtype=torch.float64).T * rate
    middles_T = torch.arange(num_frames, dtype=torch.float64) + 0.5
    inside_LT = (starts[:, None] <= middles_T) & (middles_T < ends[:, None])
    # In a gap narrower than a frame: the frame that holds the interval's own middle, if the stream reaches so far.
    nearest_L = ((starts + ends) / 2).floor()
    is_short_L = (starts <= ends) & ~inside_LT.any(dim=1)
    inside_LT |= is_short_L[:, None] & (nearest_L[:, None] == torch.arange(num_frames))
    counts_L1 = inside_LT.sum(dim=1, keepdim=True)
    weights_LT = inside_LT.to(frames.dtype) / counts_L1.clamp(min=1)
    return weights_LT @ frames, (counts_L1[:, 0] > 0).long()


__all__ = [
    "Interval",
    "Word",
    "fill_times",
    "find_words",
    "interval_means",
    "read_words",
    "token_intervals",
    "words_of_tokens",
]
