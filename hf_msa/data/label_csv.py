"""A folder with `label.csv`, MMSA-FET's form of a corpus before any feature was extracted.

    label.csv    video_id, clip_id, text, label, mode, and perhaps label_T, label_A, label_V, annotation, start, end
    words.json   {"<video_id>_<clip_id>": [[word, start, end], ...]}, perhaps; seconds of the full video, or of the
                 clip where label.csv has no start and end; perhaps null; read by `clip_words.py`
    Raw/<video_id>/<clip_id>.mp4, perhaps

A clip that starts before its video starts with it; one without length has no known end; both are counted. Audio and
visual are missing, (0, 0): their features are still to be extracted.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Value

from .clip_words import ClipWords
from .file_kinds import check_kind
from .rows import SIMS_RANGE, SPLITS, CorpusError, OpenCorpus, brief, check_splits
from .spans import read_span

_LABELS = {"label_text": "label_T", "label_audio": "label_A", "label_visual": "label_V"}


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
        label_range: Lowest and highest label; None is (-1, 1) where each modality has labels (SIMS), else not said.

    Raises:
        CorpusError: When a column is missing or a value is none; it names file, line and column.
    """
    path = folder / "label.csv"
    check_kind(path, "text")
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
    repairs: Counter[str] = Counter()
    clips = [(line["video_id"], line["clip_id"]) for own in lines_of.values() for _, line in own]
    words = ClipWords(folder / "words.json", clips, repairs)
    extra = [column for column, name in _LABELS.items() if name in names]
    # CMU-MOSI's file has the columns too, and nothing in them.
    is_sims = len(extra) == len(_LABELS) and all(any(line[name] for line in table) for name in _LABELS.values())
    has_times = "start" in names and "end" in names
    if not has_times and {"start", "end"} & set(names):
        raise CorpusError(f"{path}: expected both of the columns start and end or none, got one of them")

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
                start, end = read_span(place, start, end, repairs)
                row |= {"clip_start": start, "clip_end": start if math.isinf(end) else end}
            row["words"] = words.of_clip(row["id"], start, end - start)
            yield row
        words.check()

    columns = {"media": Value("string")} | {column: Value("float32") for column in extra}
    if has_times:
        columns |= {"clip_start": Value("float64"), "clip_end": Value("float64")}
    return OpenCorpus(
        str(path),
        {split: len(lines) for split, lines in lines_of.items()},
        rows,
        {"audio": 0, "visual": 0},
        label_range or (SIMS_RANGE if is_sims else None),
        columns,
        repairs,
        {"format": "label.csv"},
    )


def _number(place: str, name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise CorpusError(f"{place}: {name}: expected a number, got {brief(value)}") from None


__all__ = ["open_label_csv"]
