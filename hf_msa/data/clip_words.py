"""Word times beside a `label.csv`: a `words.json` of seconds in full videos, for the clips that were cut out of them.

Word times become seconds from the start of the clip. A time is of no use when it is null, lies before the clip's start
or more than a second after its end, or when the word would last longer than ten seconds: such words share the gap
between their neighbours, and are counted. Where too many clips have no useful time at all, the file has another clock,
seconds of the clip or milliseconds, and is refused.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hf_msa.errors import MsaError
from hf_msa.models.alignment_msa import Word, fill_times, read_words

from .aligned_words import MAX_UNTIMED
from .file_kinds import check_kind
from .rows import CorpusError, brief

_TOLERANCE = 1.0  # seconds a word may begin after the clip's end: word and clip times were made independently
_LONGEST = 10.0  # seconds a word may last; the longest of CMU-MOSI lasts less


class ClipWords:
    """The words of clips, by the clips' ids.

    Args:
        path: The file; without one no clip has words.
        clips: Video and clip of every row. The file may call them `video_clip`, or `video$_$clip` as the rows do.
        repairs: Where what is mended is counted.

    Raises:
        CorpusError: When the file is no JSON object, names a clip twice or none at all, or a name fits two clips.
    """

    def __init__(self, path: Path, clips: Iterable[tuple[str, str]], repairs: Counter[str]) -> None:
        self.path = path
        self.repairs = repairs
        self.words: dict[str, tuple[str, Any]] = {}
        self.total = 0
        self.first_missed = ""
        if not path.exists():
            return
        content = _read(path)
        owners: dict[str, str] = {}
        for video, clip in dict.fromkeys(clips):
            key = f"{video}$_${clip}"
            for name in [name for name in (f"{video}_{clip}", key) if name in content]:
                if owners.setdefault(name, key) != key:
                    raise CorpusError(
                        f"{path}: {name}: expected the name of one clip, got that of {owners[name]} and {key}; "
                        "write video$_$clip"
                    )
                if key in self.words:
                    raise CorpusError(f"{path}: {name}: expected every clip once, got it as {self.words[key][0]} too")
                self.words[key] = (name, content[name])
        if not self.words:
            raise CorpusError(
                f"{path}: expected the words of some clips of label.csv, by the name video_clip, "
                f"got {brief(list(content)[:3])}"
            )
        repairs["words_of_no_clip"] += len(content) - len(owners)

    def of_clip(self, key: str, start: float, duration: float) -> list[dict[str, Any]] | None:
        """Return the words of a clip with seconds from its start, None when it has none.

        Args:
            key: Its id, `video$_$clip`.
            start: Where it starts in its video, seconds.
            duration: How long it is, perhaps infinite.

        Raises:
            CorpusError: For what is no list of words with times; it names clip and word.
        """
        if key not in self.words:
            return None
        name, words = self.words.pop(key)
        try:
            read = read_words(words)
        except MsaError as error:
            reason = str(error).removeprefix("words[0]").lstrip(": ")
            raise CorpusError(f"{self.path}: {name}: {reason}") from error
        reasons = [_useless(first, last, start, start + duration) for _, first, last in read]
        for reason, count in Counter(filter(None, reasons)).items():
            self.repairs[f"words_{reason}"] += count
            self.repairs[f"utterances_with_words_{reason}"] += 1
        self.total += 1
        # A start alone, as of the last word of a recording, says at least that the clock is the right one.
        if read and all(
            reason and (first is None or last is not None)
            for reason, (_, first, last) in zip(reasons, read, strict=True)
        ):
            self.repairs["utterances_without_word_times"] += 1
            self.first_missed = self.first_missed or name
        useful: list[Word] = []
        for reason, (word, first, last) in zip(reasons, read, strict=True):
            if reason or first is None or last is None:
                useful.append((word, None, None))
            else:
                useful.append((word, first - start, last - start))
        if math.isinf(duration):
            duration = max([0.0, *(last for _, _, last in useful if last is not None)])
        times, num_filled = fill_times(useful, duration)
        self.repairs["words_interpolated"] += num_filled
        return [{"word": word, "start": s, "end": e} for (word, _, _), (s, e) in zip(useful, times, strict=True)]

    def check(self) -> None:
        """Refuse a file in which too many clips have no useful time.

        Raises:
            CorpusError: It says what the times should be.
        """
        missed = self.repairs["utterances_without_word_times"]
        if missed > MAX_UNTIMED * self.total:
            raise CorpusError(
                f"{self.path}: expected word times in seconds of the full video, got none within the clip for "
                f"{missed} of {self.total} clips, first {self.first_missed!r}; to times of the clip add its start, "
                "divide milliseconds by 1000"
            )


def _useless(first: float | None, last: float | None, start: float, end: float) -> str:
    """Return why the times of a word are of no use, in words of the counters; "" when they are."""
    if first is None or last is None:
        return "without_times"
    if last - first > _LONGEST:
        return "of_more_than_ten_seconds"
    if first < start:
        return "before_the_clip"
    return "after_the_clip" if first > end + _TOLERANCE else ""


def _read(path: Path) -> dict[str, Any]:
    check_kind(path, "text")
    try:
        words = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_once)
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{path}: expected a JSON object, got {error}") from error
    if not isinstance(words, dict):
        raise CorpusError(f"{path}: expected a JSON object, got {type(words).__name__}")
    return words


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        name = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{name!r} twice")
    return content


__all__ = ["ClipWords"]
