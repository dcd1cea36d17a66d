"""Computational sequences of the CMU Multimodal SDK, `.csd`: HDF5 files with features and their times in full videos.

    <name>/data/<video>/features   (n, F) numbers, or words as bytes
    <name>/data/<video>/intervals  (n, 2) seconds

A folder holds one sequence each of labels, words, audio and visual, and `folds.json`, {"train": [video, ...], "valid":
..., "test": ...}, since the files do not say which video belongs to which split. One row per interval of the labels:
frames and words whose middle lies inside of it, with times from its start. Pauses (`sp`) are no words. An interval
that starts before the video, as some of CMU-MOSEI do, starts with it; one without length reaches to the next one.

Shapes: n entries of a sequence, T frames, F features.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_msa.models.streams_msa import FRAME_STREAMS

from .csd_file import SequenceFile
from .file_kinds import check_kind
from .rows import SPLITS, CorpusError, OpenCorpus, brief, check_splits
from .spans import read_span

_ROLES = ("label", "words", *FRAME_STREAMS)
# By what the published sequences are called; the first that fits decides.
_NAMES = {
    "label": ("label",),
    "words": ("word", "transcript"),
    "audio": ("covarep", "opensmile", "egemaps", "acoustic", "audio"),
    "visual": ("facet", "openface", "visual", "vision"),
}
_NO_WORDS = ("word vector", "wordvector", "glove")


def open_csd(
    folder: Path,
    sequences: Mapping[str, str] | None = None,
    folds: Mapping[str, Sequence[str]] | None = None,
    audio_rate: float | None = None,
    visual_rate: float | None = None,
    label_range: tuple[float, float] | None = None,
) -> OpenCorpus:
    """Open a folder of `.csd` files.

    Args:
        folder: The folder.
        sequences: File name of `label`, `words`, `audio` and `visual`; those not named are found by their names.
            Only `label` is needed.
        folds: Videos of `train`, `valid` and `test`; None reads `folds.json`. Videos without labels are counted.
        audio_rate: Frames per second; None measures it in each utterance, as the median step of its intervals.
        visual_rate: The same.
        label_range: Lowest and highest label; None is not said. Of several label columns the first is taken, the
            sentiment of MOSEI's "All Labels".

    Raises:
        CorpusError: When the extra is not installed, a file is none, two files could be meant, or folds are missing.
    """
    try:
        import h5py  # noqa: F401
    except ModuleNotFoundError as error:
        raise CorpusError(f'{folder}: .csd files need h5py: pip install "hf_msa[csd]"') from error
    paths = _assign(folder, dict(sequences or {}))
    if folds is None:
        folds = _read_folds(folder / "folds.json")
    else:
        _check_folds(f"{folder}: folds", folds)
    data = {role: SequenceFile(path) for role, path in paths.items()}
    labels = data["label"]
    repairs: Counter[str] = Counter()
    videos = {split: [video for video in folds[split] if video in labels] for split in SPLITS}
    repairs["videos_without_labels"] += sum(len(folds[split]) - len(videos[split]) for split in SPLITS)
    for role in data:
        if not any(video in data[role] for own in videos.values() for video in own) and any(videos.values()):
            raise CorpusError(f"{paths[role]}: expected some of the labelled videos, got none of them")
    dims = {stream: data[stream].dim if stream in data else 0 for stream in FRAME_STREAMS}
    rates = {"audio": audio_rate, "visual": visual_rate}

    def rows(split: str) -> Iterator[dict[str, Any]]:
        for video in videos[split]:
            entries = {role: file.read(video) for role, file in data.items() if video in file}
            for stream in FRAME_STREAMS:
                if stream in entries:
                    _check_frames(paths[stream], video, entries[stream][0], dims[stream])
            values, intervals = entries["label"]
            _check_frames(paths["label"], video, values, values.shape[1] or 1)
            for number, ((start, end), value) in enumerate(zip(intervals.tolist(), values, strict=True)):
                start, end = read_span(f"{paths['label']}: {video}: interval {number}", start, end, repairs)
                if math.isinf(end):
                    end = min((other for other in intervals[:, 0].tolist() if other > start), default=math.inf)
                row: dict[str, Any] = {"id": f"{video}$_${number}", "speaker": video, "text": "", "words": None}
                if "words" in entries:
                    row["words"] = _words(f"{paths['words']}: {video}", *entries["words"], (start, end), repairs)
                    row["text"] = " ".join(word["word"] for word in row["words"])
                for stream in FRAME_STREAMS:
                    frames, rate = np.zeros((0, dims[stream]), np.float32), rates[stream]
                    if stream in entries:
                        frames, times = (part[_inside(entries[stream][1], start, end)] for part in entries[stream])
                        if rate is None and len(times) > 1:
                            rate = _rate(times)
                    row[stream], row[f"{stream}_rate"] = frames, rate
                row["label"] = float(value[0])
                yield row

    return OpenCorpus(
        str(folder),
        {split: sum(labels.count(video) for video in own) for split, own in videos.items()},
        rows,
        dims,
        label_range,
        {},
        repairs,
        {"format": "csd", "sequences": {role: path.name for role, path in paths.items()}},
    )


def _assign(folder: Path, named: dict[str, str]) -> dict[str, Path]:
    """Return the file of every sequence that there is."""
    if unknown := sorted(set(named) - set(_ROLES)):
        raise CorpusError(f"sequences: expected {', '.join(_ROLES)}, got {', '.join(map(repr, unknown))}")
    files = sorted(folder.glob("*.csd"))
    paths = {role: folder / name for role, name in named.items()}
    for role in _ROLES:
        if role in paths:
            continue
        found = [path for path in files if path not in paths.values() and _is_called(path.stem.lower(), role)]
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise CorpusError(
                f"{folder}: expected one file of {role}, got {names}; choose by sequences={{{role!r}: ...}}"
            )
        if found:
            paths[role] = found[0]
    if "label" not in paths:
        raise CorpusError(
            f"{folder}: expected a .csd of labels, got {brief([path.name for path in files])}; "
            "name it by sequences={'label': ...}"
        )
    return paths


def _is_called(name: str, role: str) -> bool:
    plain = name.replace("_", " ").replace("-", " ")
    if role == "words" and any(other in plain for other in _NO_WORDS):
        return False
    return any(part in plain for part in _NAMES[role])


def _read_folds(path: Path) -> Mapping[str, Sequence[str]]:
    try:
        if path.exists():
            check_kind(path, "text")
        folds = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"{path}: expected the videos of train, valid and test as JSON, or the argument folds, got {error}"
        ) from error
    _check_folds(str(path), folds)
    return folds


def _check_folds(name: str, folds: Any) -> None:
    """Refuse what are no lists of videos, one per split."""
    lists = list(folds.values()) if isinstance(folds, Mapping) else [None]
    if not all(isinstance(own, (list, tuple)) and all(isinstance(video, str) for video in own) for own in lists):
        raise CorpusError(f"{name}: expected lists of videos for train, valid and test, got {brief(folds)}")
    check_splits(name, folds)


def _check_frames(path: Path, video: str, features: np.ndarray, dim: int) -> None:
    """Refuse features that are no numbers, or of another width than the sequence's first video has."""
    if features.dtype.kind not in "biuf" or features.shape[1] != dim:
        raise CorpusError(
            f"{path}: {video}: expected {dim} number(s) per entry, got {features.shape[1]} of {features.dtype}"
        )


def _inside(intervals: np.ndarray, start: float, end: float) -> np.ndarray:
    middles = intervals.mean(axis=1)
    return (start <= middles) & (middles < end)


def _words(
    place: str, features: np.ndarray, intervals: np.ndarray, span: tuple[float, float], repairs: Counter[str]
) -> list[dict[str, Any]]:
    """Return the words of an interval, with times from its start."""
    words = []
    inside, start = _inside(intervals, *span), span[0]
    for entry, (first, last) in zip(features[inside], intervals[inside].tolist(), strict=True):
        if not isinstance(entry[0], (bytes, str)):
            raise CorpusError(f"{place}: expected words as bytes, got {brief(entry[0])}")
        word = entry[0]
        if isinstance(word, bytes):
            word = word.decode("utf-8", "replace")
            repairs["words_of_wrong_bytes"] += "\N{REPLACEMENT CHARACTER}" in word
        if word.strip() not in ("", "sp"):
            words.append({"word": word.strip(), "start": max(0.0, first - start), "end": last - start})
    return words


def _rate(times: np.ndarray) -> float | None:
    step = float(np.median(np.diff(times[:, 0])))
    return 1 / step if step > 0 else None


__all__ = ["open_csd"]
