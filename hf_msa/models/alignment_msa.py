"""Word alignment: from words with times to one vector per text token.

A word is `(word, start, end)` or `{"word": ..., "start": ..., "end": ...}`, seconds from the start of the stream;
times may be null. The steps, in order: read the words, fill in missing times, find the words in the text, give every
token the intervals of its words, average the frames inside. Here is no torch: a model that was exported needs the same
steps where there is none.

Shapes: L tokens, N intervals, T frames, F features.
"""

import math
import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors_msa import MsaError

Word = tuple[str, float | None, float | None]
Interval = tuple[float, float]


def read_words(words: Any, row: int = 0) -> list[Word]:
    """Return the words of one utterance as tuples, with None for times that are null or NaN.

    Args:
        words: Tuples or dicts, one per word; or one dict of lists, as `datasets` may hand them out; or what a pipeline
            of transformers gives for speech with `return_timestamps="word"`, whole or its `chunks`.
        row: Row of the batch, for the error.

    Raises:
        MsaError: For an entry that is none of these, and for a word that ends before it starts.
    """
    try:
        if isinstance(words, dict) and "chunks" in words:
            words = words["chunks"]
        if isinstance(words, dict) and "word" not in words:
            raise ValueError("no words")
        if isinstance(words, (str, bytes)):
            raise TypeError("a text")
        if isinstance(words, dict):
            words = [dict(zip(words, values, strict=True)) for values in zip(*words.values(), strict=True)]
        words = list(words)
    except (TypeError, ValueError) as error:
        raise MsaError(f"words[{row}]: expected a list of (word, start, end), got {words!r}") from error
    read = []
    for index, entry in enumerate(words):
        try:
            if isinstance(entry, dict) and "timestamp" in entry:
                word, (start, end) = entry["text"], entry["timestamp"] or (None, None)
            elif isinstance(entry, dict):
                word, start, end = entry["word"], entry.get("start"), entry.get("end")
            else:
                word, start, end = entry
            start, end = _seconds(start), _seconds(end)
        except (KeyError, TypeError, ValueError) as error:
            raise MsaError(f"words[{row}][{index}]: expected (word, start, end) in seconds, got {entry!r}") from error
        if isinstance(entry, dict) and "timestamp" in entry and len(str(word).split()) > 1:
            raise MsaError(
                f"words[{row}][{index}]: expected one word per chunk, as return_timestamps='word' gives, got {entry!r}"
            )
        if not isinstance(word, str) or not word.strip():
            raise MsaError(f"words[{row}][{index}]: expected a word that is not empty, got {word!r}")
        if start is not None and end is not None and end < start:
            raise MsaError(f"words[{row}][{index}]: expected end >= start, got {entry!r}")
        read.append((word.strip(), start, end))
    return read


def _seconds(value: Any) -> float | None:
    if isinstance(value, (str, bytes, bool)):
        raise TypeError(f"{value!r} is no number")
    if value is None or math.isnan(float(value)):
        return None
    if math.isinf(float(value)):
        raise MsaError("infinite")
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
    """Return where each word stands in the text, as character positions; an empty span for one without letters.

    Only letters and digits are compared, without accents and case, whether a letter has one capital or two: spaces,
    punctuation and the forms of Unicode differ between transcripts. But every letter of the text must belong to a
    word, or its frames would silently be lost.

    Args:
        text: The utterance.
        words: Its words in order.
        row: Row of the batch, for the error.

    Raises:
        MsaError: When words and text do not match; it names the first word that does not.
    """
    letters = [(position, letter) for position, character in enumerate(text) for letter in _letters(character)]
    spans: list[tuple[int, int]] = []
    done = 0
    for index, (word, _, _) in enumerate(words):
        wanted = _letters(word)
        found = letters[done : done + len(wanted)]
        if [letter for _, letter in found] != wanted:
            rest = text[letters[done][0] :][:20] if done < len(letters) else ""
            raise MsaError(
                f"words[{row}][{index}]: expected the words of the text in order, "
                f"got {word!r} where the text goes on {rest!r}"
            )
        end = spans[-1][1] if spans else 0
        spans.append((found[0][0], found[-1][0] + 1) if found else (end, end))
        done += len(wanted)
    if done < len(letters):
        raise MsaError(f"words[{row}]: expected all words of the text, got none for {text[letters[done][0] :]!r}")
    return spans


def _letters(text: str) -> list[str]:
    # Letter by letter the same as at once, which `lower` is not: it knows where a Greek word ends. Turkish has an i
    # without a dot, whose capital is the I of everybody else.
    folded = unicodedata.normalize("NFKD", text).casefold().replace("\u0131", "i")
    return [letter for letter in unicodedata.normalize("NFKD", folded) if letter.isalnum()]


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


def token_intervals(covered: list[range], times: list[Interval]) -> list[list[Interval]]:
    """Return the intervals of every token, one per word that it covers."""
    return [[times[word] for word in words] for words in covered]


def interval_means(
    frames: NDArray[np.floating], intervals: list[list[Interval]], rate: float
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Return the mean of the frames inside each token's intervals (L, F), and whether there were any (L,) as 0 and 1.

    Frame k spans [k, k + 1) / rate and lies in an interval when its middle does. An interval that holds no middle, a
    word shorter than a frame, takes the nearest frame. An interval outside of the stream takes nothing.

    Args:
        frames: (T, F) of finite values.
        intervals: Per token its intervals (start, end) in seconds; none for special tokens and punctuation.
        rate: Frames per second.
    """
    num_frames = len(frames)
    owners_N = np.array([token for token, spans in enumerate(intervals) for _ in spans], dtype=np.int64)
    times_N2 = np.array([span for spans in intervals for span in spans], dtype=np.float64).reshape(-1, 2) * rate
    starts_N1, ends_N1 = times_N2[:, :1], times_N2[:, 1:]
    numbers_T = np.arange(num_frames, dtype=np.float64)
    inside_NT = (starts_N1 <= numbers_T + 0.5) & (numbers_T + 0.5 < ends_N1)
    nearest_N1 = np.floor((starts_N1 + ends_N1) / 2).clip(0, num_frames - 1)
    is_within_N1 = (starts_N1 < num_frames) & ((ends_N1 > 0) | (starts_N1 >= 0))
    inside_NT |= is_within_N1 & ~inside_NT.any(axis=1, keepdims=True) & (nearest_N1 == numbers_T)
    inside_LT = np.zeros((len(intervals), num_frames), dtype=bool)
    np.logical_or.at(inside_LT, owners_N, inside_NT)
    counts_L1 = inside_LT.sum(axis=1, keepdims=True)
    # Double precision, so that a single frame comes out as it went in and large ones do not overflow in the sum.
    means_LF = inside_LT / counts_L1.clip(min=1) @ frames.astype(np.float64)
    return means_LF.astype(frames.dtype), (counts_L1[:, 0] > 0).astype(np.int64)


def align_frames(
    frames: NDArray[np.floating], intervals: list[list[Interval]], rate: float
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Return one vector per token (L, F) and their mask (L,), 1 real.

    Args:
        frames: (T, F) of finite values; without any there is no vector at all.
        intervals: Per token its intervals in seconds; without any there is no text, and the one vector is the mean of
            all frames.
        rate: Frames per second.
    """
    if not len(frames):
        return frames, np.zeros(0, dtype=np.int64)
    if not intervals:
        mean_1F = frames.mean(axis=0, dtype=np.float64, keepdims=True)
        return mean_1F.astype(frames.dtype), np.ones(1, dtype=np.int64)
    return interval_means(frames, intervals, rate)


__all__ = [
    "Interval",
    "Word",
    "align_frames",
    "fill_times",
    "find_words",
    "interval_means",
    "read_words",
    "token_intervals",
    "words_of_tokens",
]
