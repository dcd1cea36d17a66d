"""Computational sequences of the CMU Multimodal SDK, `.csd`: HDF5 files with features and their times in full videos.

    <name>/data/<video>/features   (n, F) numbers, or words as bytes
    <name>/data/<video>/intervals  (n, 2) seconds

A folder holds one sequence each of labels, words, audio and visual, and `folds.json`, {"train": [video, ...], "valid":
..., "test": ...}, since the files do not say which video belongs to which split. One row per interval of the labels:
frames and words whose middle lies inside of it, with times from its start. Pauses (`sp`) are no words.

Shapes: n entries of a sequence, T frames, F features.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_msa.models.streams_msa import FRAME_STREAMS

from .rows import MOSI_RANGE, SPLITS, CorpusError, OpenCorpus, brief, check_splits

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
        label_range: Lowest and highest label; None is (-3, 3). Of several label columns the first is taken, the
            sentiment of MOSEI's "All Labels".

    Raises:
        CorpusError: When the extra is not installed, a file is none, two files could be meant, or folds are missing.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise CorpusError(f'{folder}: .csd files need h5py: pip install "hf_msa[csd]"') from error
    paths = _assign(folder, dict(sequences or {}))
    folds = _read_folds(folder) if folds is None else folds
    check_splits(f"{folder}: folds", folds)
    data = {role: _open(h5py, path) for role, path in paths.items()}
    labels = data["label"]
    counts: Counter[str] = Counter()
    videos = {split: [video for video in folds[split] if video in labels] for split in SPLITS}
    counts["videos_without_labels"] += sum(len(folds[split]) - len(videos[split]) for split in SPLITS)
    dims = {stream: _dim(paths[stream], data[stream]) if stream in data else 0 for stream in FRAME_STREAMS}
    rates = {"audio": audio_rate, "visual": visual_rate}

    def rows(split: str) -> Iterator[dict[str, Any]]:
        for video in videos[split]:
            entries = {role: _entries(paths[role], video, own[video]) for role, own in data.items() if video in own}
            values, intervals = entries["label"]
            for number, ((start, end), value) in enumerate(zip(intervals.tolist(), values, strict=True)):
                row: dict[str, Any] = {"id": f"{video}$_${number}", "speaker": video, "text": "", "words": None}
                if "words" in entries:
                    row["words"] = _words(*entries["words"], start, end)
                    row["text"] = " ".join(word["word"] for word in row["words"])
                for stream in FRAME_STREAMS:
                    frames, rate = np.zeros((0, dims[stream]), np.float32), rates[stream]
                    if stream in entries:
                        frames, times = (own[_inside(entries[stream][1], start, end)] for own in entries[stream])
                        if rate is None and len(times) > 1:
                            rate = _rate(times)
                    if not len(frames):
                        counts[f"utterances_without_{stream}"] += 1
                    row[stream], row[f"{stream}_rate"] = frames, rate
                row["label"] = float(np.ravel(value)[0])
                yield row

    return OpenCorpus(
        str(folder),
        {split: sum(len(labels[video]["intervals"]) for video in own) for split, own in videos.items()},
        rows,
        dims,
        label_range or MOSI_RANGE,
        {},
        counts,
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


def _read_folds(folder: Path) -> Mapping[str, Sequence[str]]:
    path = folder / "folds.json"
    try:
        folds = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path}: expected the videos of train, valid and test as JSON, or the argument folds, got {error}"
        ) from error
    if not isinstance(folds, dict) or not all(isinstance(own, list) for own in folds.values()):
        raise CorpusError(f"{path}: expected lists of videos for train, valid and test, got {brief(folds)}")
    return folds


def _open(h5py: Any, path: Path) -> Any:
    """Return the group of the videos."""
    try:
        file = h5py.File(path, "r")
        return next(iter(file.values()))["data"]
    except (OSError, KeyError, StopIteration, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"{path}: expected a computational sequence (HDF5), got {reason or 'no group'}") from error


def _dim(path: Path, videos: Any) -> int:
    for video in videos.values():
        if "features" in video and len(video["features"].shape) == 2:
            return int(video["features"].shape[1])
    raise CorpusError(f"{path}: expected features of shape (n, F), got none")


def _entries(path: Path, video: str, group: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return features and intervals of one video, checked."""
    try:
        features, intervals = (np.asarray(group[name]) for name in ("features", "intervals"))
    except (KeyError, OSError) as error:
        raise CorpusError(f"{path}: {video}: expected features and intervals, got {error}") from error
    if features.ndim != 2 or intervals.shape != (len(features), 2):
        raise CorpusError(
            f"{path}: {video}: expected features (n, F) and intervals (n, 2), got {features.shape} "
            f"and {intervals.shape}"
        )
    return features, intervals.astype(np.float64)


def _inside(intervals: np.ndarray, start: float, end: float) -> np.ndarray:
    middles = intervals.mean(axis=1)
    return (start <= middles) & (middles < end)


def _words(features: np.ndarray, intervals: np.ndarray, start: float, end: float) -> list[dict[str, Any]]:
    words = []
    inside = _inside(intervals, start, end)
    for entry, (first, last) in zip(features[inside], intervals[inside].tolist(), strict=True):
        word = entry[0].decode("utf-8", "replace") if isinstance(entry[0], bytes) else str(entry[0])
        if word.strip() not in ("", "sp"):
            words.append({"word": word.strip(), "start": max(0.0, first - start), "end": last - start})
    return words


def _rate(times: np.ndarray) -> float | None:
    step = float(np.median(np.diff(times[:, 0])))
    return 1 / step if step > 0 else None


__all__ = ["open_csd"]
