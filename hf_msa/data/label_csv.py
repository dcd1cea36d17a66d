"""A folder with `label.csv`, MMSA-FET's form of a corpus before any feature was extracted.

    label.csv    video_id, clip_id, text, label, mode, and perhaps label_T, label_A, label_V, annotation, start, end
    words.json   {"<video_id>_<clip_id>": [[word, start, end], ...]}, perhaps; seconds of the full video, perhaps null
    Raw/<video_id>/<clip_id>.mp4, perhaps

Word times become seconds from the start of the clip. A time that is null, lies before the clip's start, or more than
a second after its end is of no use: such words share the gap between their neighbours, and are counted.
Audio and visual are missing, (0, 0): their features are still to be extracted.
"""

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Value

from hf_msa.models.alignment_msa import fill_times

from .rows import MOSI_RANGE, SIMS_RANGE, SPLITS, CorpusError, OpenCorpus, brief, check_splits

_LABELS = {"label_text": "label_T", "label_audio": "label_A", "label_visual": "label_V"}
_TOLERANCE = 1.0  # seconds a word may begin after the clip's end: word and clip times were made independently


def open_label_csv(
    folder: Path,
    audio_rate: float | None = None,
    visual_rate: float | None = None,
    label_range: tuple[float, float] | None = None,
) -> OpenCorpus:
    """Open a folder with `label.csv`.

    Beside the columns of every corpus the rows have `media`, the clip's path in the folder or null, and where the file
    has them `clip_start` and `clip_end`, seconds in the full video.

    Args:
        folder: The folder.
        audio_rate: Frames per second, for the rows.
        visual_rate: The same.
        label_range: Lowest and highest label; None is (-1, 1) where each modality has labels (SIMS), else (-3, 3).

    Raises:
        CorpusError: When a column is missing or a value is none; it names file, line and column.
    """
    path = folder / "label.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            table, names = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: expected a table with commas in UTF-8, got {error}") from error
    wanted = ("video_id", "clip_id", "text", "label", "mode")
    if missing := [name for name in wanted if name not in names]:
        raise CorpusError(f"{path}: expected the columns {', '.join(wanted)}, got no {', '.join(missing)}")
    lines_of: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for number, line in enumerate(table, 2):
        if None in line.values() or None in line:
            raise CorpusError(f"{path}: line {number}: expected {len(names)} values, got another number of them")
        if line["mode"] not in SPLITS:
            raise CorpusError(f"{path}: line {number}: mode: expected train, valid or test, got {brief(line['mode'])}")
        lines_of.setdefault(line["mode"], []).append((number, line))
    check_splits(str(path), lines_of)
    words = _read_words(folder / "words.json")
    extra = [column for column, name in _LABELS.items() if name in names]
    has_times = "start" in names and "end" in names
    counts: Counter[str] = Counter()

    def rows(split: str) -> Iterator[dict[str, Any]]:
        for number, line in lines_of[split]:
            place = f"{path}: line {number}"
            video, clip = line["video_id"], line["clip_id"]
            media = Path("Raw") / video / f"{clip}.mp4"
            row: dict[str, Any] = {
                "id": f"{video}$_${clip}",
                "speaker": video,
                "text": line["text"],
                "words": None,
                "audio": np.zeros((0, 0), np.float32),
                "visual": np.zeros((0, 0), np.float32),
                "audio_rate": audio_rate,
                "visual_rate": visual_rate,
                "label": _number(place, "label", line["label"]),
                "media": media.as_posix() if (folder / media).is_file() else None,
            }
            for column in extra:
                row[column] = _number(place, _LABELS[column], line[_LABELS[column]]) if line[_LABELS[column]] else None
            start, end = 0.0, math.inf
            if has_times:
                start, end = (_number(place, name, line[name]) for name in ("start", "end"))
                if not 0 <= start <= end < math.inf:
                    raise CorpusError(f"{place}: start, end: expected 0 <= start <= end, got {start} and {end}")
                row |= {"clip_start": start, "clip_end": end}
                if start == end:  # CMU-MOSI has one: its end is not known
                    counts["clips_without_end"] += 1
                    end = math.inf
            if (own := words.get(f"{video}_{clip}")) is not None:
                row["words"] = _timed(f"{folder / 'words.json'}: {video}_{clip}", own, start, end - start, counts)
            yield row

    columns = {"media": Value("string")} | {column: Value("float32") for column in extra}
    if has_times:
        columns |= {"clip_start": Value("float64"), "clip_end": Value("float64")}
    return OpenCorpus(
        str(path),
        {split: len(lines) for split, lines in lines_of.items()},
        rows,
        {"audio": 0, "visual": 0},
        label_range or (SIMS_RANGE if extra else MOSI_RANGE),
        columns,
        counts,
        {"format": "label.csv"},
    )


def _read_words(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{path}: expected a JSON object, got {error}") from error
    if not isinstance(words, dict):
        raise CorpusError(f"{path}: expected a JSON object, got {type(words).__name__}")
    return words


def _timed(place: str, words: Any, start: float, duration: float, counts: Counter[str]) -> list[dict[str, Any]]:
    """Return words with seconds from the clip's start, those without useful times interpolated."""
    read: list[tuple[str, float | None, float | None]] = []
    reasons = set()
    for index, entry in enumerate(words if isinstance(words, list) else [words]):
        try:
            word, first, last = entry
            first, last = (None if time is None or math.isnan(time) else float(time) for time in (first, last))
        except (TypeError, ValueError) as error:
            raise CorpusError(f"{place}: [{index}]: expected [word, start, end], got {brief(entry)}") from error
        reason = ""
        if first is None or last is None:
            reason = "without_times"
        elif last < first:
            raise CorpusError(f"{place}: [{index}]: expected end >= start, got {brief(entry)}")
        elif first < start:
            reason = "before_the_clip"
        elif first > start + duration + _TOLERANCE:
            reason = "after_the_clip"
        if first is None or last is None or reason:
            counts[f"words_{reason}"] += 1
            reasons.add(reason)
            read.append((word, None, None))
        else:
            read.append((word, first - start, last - start))
    for reason in reasons:
        counts[f"utterances_with_words_{reason}"] += 1
    if math.isinf(duration):
        duration = max([0.0, *(last for _, _, last in read if last is not None)])
    times, num_filled = fill_times(read, duration)
    counts["words_interpolated"] += num_filled
    return [{"word": word, "start": s, "end": e} for (word, _, _), (s, e) in zip(read, times, strict=True)]


def _number(place: str, name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise CorpusError(f"{place}: {name}: expected a number, got {brief(value)}") from None


__all__ = ["open_label_csv"]
