"""MMSA's pickles: CMU-MOSI, CMU-MOSEI, CH-SIMS and whatever MMSA-FET extracts, aligned or not.

    {train, valid, test: {id, raw_text, text_bert (N, 3, L), audio (N, L_a, F_a), vision (N, L_v, F_v),
                          audio_lengths, vision_lengths, regression_labels (N,), regression_labels_T / _A / _V, ...}}

Sizes are read from the arrays, never from a table. `text`, the output of some BERT, is left out.

Aligned rows become frames at 1 row per second and words whose times are row numbers (`aligned_words.py`). Unaligned
streams are cut to their lengths, or where those are absent after the last frame that is not all zero; no file says how
many frames a second has, and no file has word times. A file that has only `audio` or only `vision`, as MMSA-FET writes
it, lacks the other stream, (0, 0). -inf, which COVAREP gives, stays: the processor mends it, and counts it.

Shapes: N utterances, L length, F features.
"""

import hashlib
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Value

from hf_msa.errors import MsaWarning

from .aligned_words import AlignedWords
from .file_kinds import check_kind
from .rows import SIMS_RANGE, SPLITS, CorpusError, OpenCorpus, brief, check_splits, read_text, speaker_of
from .safe_pickle import load_pickle

_LABELS = {
    "label_text": "regression_labels_T",
    "label_audio": "regression_labels_A",
    "label_visual": "regression_labels_V",
}
_STREAMS = {"audio": "audio", "visual": "vision"}

logger = logging.getLogger(__name__)


class Release(NamedTuple):
    """A file that MMSA has published, recognised by its name, its sizes and then its sum."""

    name: str
    file: str
    sizes: tuple[int, int, int]
    dims: tuple[int, int]
    sha256: str


RELEASES = (
    Release(
        "CMU-MOSI unaligned",
        "unaligned_50.pkl",
        (1284, 229, 686),
        (5, 20),
        "78e0f8b5ef8ff71558e7307848fc1fa929ecb078203f565ab22b9daab2e02524",
    ),
    Release(
        "CMU-MOSI aligned",
        "aligned_50.pkl",
        (1284, 229, 686),
        (5, 20),
        "d3994fd25681f9c7ad6e9c6596a6fe9b4beb85ff7d478ba978b124139002e5f9",
    ),
    Release(
        "CMU-MOSEI unaligned",
        "unaligned_50.pkl",
        (16326, 1871, 4659),
        (74, 35),
        "ad8b23d50557045e7d47959ce6c5b955d8d983f2979c7d9b7b9226f6dd6fec1f",
    ),
    Release(
        "CMU-MOSEI aligned",
        "aligned_50.pkl",
        (16326, 1871, 4659),
        (74, 35),
        "45eccfb748a87c80ecab9bfac29582e7b1466bf6605ff29d3b338a75120bf791",
    ),
    Release(
        "CH-SIMS unaligned",
        "unaligned_39.pkl",
        (1368, 456, 457),
        (33, 709),
        "c9e20c13ec0454d98bb9c1e520e490c75146bfa2dfeeea78d84de047dbdd442f",
    ),
)


def open_pickle(
    path: Path,
    tokenizer: Any = None,
    aligned: bool | None = None,
    audio_rate: float | None = None,
    visual_rate: float | None = None,
    label_range: tuple[float, float] | None = None,
) -> OpenCorpus:
    """Open an MMSA pickle; its rows are freed split by split as they are read.

    Args:
        path: The file.
        tokenizer: The fast tokenizer that made `text_bert`, or where to load it: the exact way from aligned rows to
            words. Without it they are found from the rows themselves.
        aligned: Whether the rows belong to words; None decides by the lengths of the streams.
        audio_rate: Frames per second of an unaligned file, which does not say it; None is unknown.
        visual_rate: The same.
        label_range: Lowest and highest label; None is (-1, 1) where each modality has labels (SIMS), else not said.

    Raises:
        CorpusError: When it is no MMSA pickle; it names split and key.
    """
    check_kind(path, "pickle")
    content = load_pickle(path)
    if not isinstance(content, dict):
        raise CorpusError(f"{path}: expected a dict of train, valid and test, got {type(content).__name__}")
    check_splits(str(path), content)
    repairs: Counter[str] = Counter()
    streams = _streams_of(path, content)
    splits = {name: _read_split(f"{path}: {name}", content.pop(name), streams, repairs) for name in SPLITS}
    content.clear()
    first = splits["train"]
    dims = {stream: first[stream].shape[2] for stream in _STREAMS}
    for name, split in splits.items():
        for stream, dim in dims.items():
            if split[stream].shape[2] != dim:
                raise CorpusError(
                    f"{path}: {name}: {_STREAMS[stream]}: expected {dim} features as in train, "
                    f"got {split[stream].shape[2]}"
                )
    extra = [column for column in _LABELS if all(split[column] is not None for split in splits.values())]
    is_sims = len(extra) == len(_LABELS) and all(np.isfinite(first[column]).any() for column in extra)
    is_aligned = _is_aligned(first) if aligned is None else aligned
    for stream, split in ((stream, split) for stream in _STREAMS for split in splits.values()):
        if is_aligned and split[stream].shape[1] != split["audio"].shape[1]:
            raise CorpusError(f"{path}: aligned: expected audio and vision of one length, got aligned=True")
    sizes = {name: len(split["id"]) for name, split in splits.items()}
    about = {"format": "MMSA pickle", "aligned": is_aligned}
    finder = AlignedWords(str(path), tokenizer, repairs) if is_aligned else None
    rates = (1.0, 1.0) if is_aligned else (audio_rate, visual_rate)

    def rows(name: str) -> Iterator[dict[str, Any]]:
        yield from _rows(splits.pop(name), finder, rates, extra)

    return OpenCorpus(
        str(path),
        sizes,
        rows,
        dims,
        label_range or (SIMS_RANGE if is_sims else None),
        {column: Value("float32") for column in extra},
        repairs,
        about | _release(path, tuple(sizes.values()), tuple(dims.values())),
    )


def _streams_of(path: Path, content: Mapping[str, Any]) -> list[str]:
    """Return the frame streams of a file: those that any of its splits has."""
    for name in SPLITS:
        if not isinstance(content[name], dict):
            raise CorpusError(f"{path}: {name}: expected a dict, got {type(content[name]).__name__}")
    return [stream for stream, key in _STREAMS.items() if any(content[name].get(key) is not None for name in SPLITS)]


def _read_split(place: str, split: dict, streams: list[str], repairs: Counter[str]) -> dict[str, Any]:
    """Return a split under our names, checked for shapes and lengths."""
    wanted = ("id", "raw_text", *(_STREAMS[stream] for stream in streams), "regression_labels")
    if missing := [key for key in wanted if split.get(key) is None]:
        raise CorpusError(
            f"{place}: expected the keys of an MMSA pickle, got no {', '.join(missing)}, "
            f"but {brief(sorted(map(str, split)))}"
        )
    read: dict[str, Any] = {"id": _strings(place, "id", split["id"])}
    num_rows = len(read["id"])
    if num_rows == 0:
        raise CorpusError(f"{place}: expected at least one row, got none")
    texts = _strings(place, "raw_text", split["raw_text"], num_rows)
    read["text"] = [
        read_text(f"{place}: raw_text of {key!r}", text, repairs) for key, text in zip(read["id"], texts, strict=True)
    ]
    for stream, key in _STREAMS.items():
        if stream not in streams:
            continue
        read[stream] = _numbers(place, key, split[key], (num_rows, None, None))
        lengths = split.get(f"{key}_lengths")
        if lengths is not None:
            lengths = _numbers(place, f"{key}_lengths", lengths, (num_rows,))
            bad = ~((lengths >= 0) & (lengths <= read[stream].shape[1]))
            if bad.any():
                raise CorpusError(
                    f"{place}: {key}_lengths: expected 0 to {read[stream].shape[1]}, got {lengths[bad][0]} for "
                    f"{read['id'][int(bad.argmax())]!r}"
                )
            lengths = lengths.astype(int)
        read[f"{stream}_lengths"] = lengths
    for stream in _STREAMS.keys() - streams:
        # Of no columns, and as long as the other one, so that the rows of both can stand side by side.
        length = read[streams[0]].shape[1] if streams else 0
        read[stream] = np.zeros((num_rows, length, 0), np.float32)
        read[f"{stream}_lengths"] = read[f"{streams[0]}_lengths"] if streams else None
    read["text_bert"] = None
    if split.get("text_bert") is not None:
        read["text_bert"] = _numbers(place, "text_bert", split["text_bert"], (num_rows, 3, None))
    read["label"] = _numbers(place, "regression_labels", split["regression_labels"], (num_rows,))
    for column, key in _LABELS.items():
        read[column] = None if split.get(key) is None else _numbers(place, key, split[key], (num_rows,))
    split.clear()
    return read


def _strings(place: str, key: str, values: Any, size: int | None = None) -> list[Any]:
    values = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(values, (list, tuple)) or (size is not None and len(values) != size):
        found = f"{len(values)} of them" if isinstance(values, (list, tuple)) else type(values).__name__
        raise CorpusError(f"{place}: {key}: expected {size or 'a list of'} strings, got {found}")
    return list(values)


def _numbers(place: str, key: str, values: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    wanted = tuple("*" if size is None else size for size in shape)
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.ndim == len(shape) + 1 and array.shape[1:] == (1,):
        array = array[:, 0]
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if array.dtype.kind not in "biuf" or not fits:
        raise CorpusError(
            f"{place}: {key}: expected numbers of shape {brief(wanted)}, got {array.dtype} of shape {array.shape}"
        )
    return array


def _is_aligned(split: Mapping[str, Any]) -> bool:
    length = split["audio"].shape[1]
    if split["visual"].shape[1] != length:
        return False
    if not all(split[stream].shape[2] for stream in _STREAMS):
        # One stream alone is as long as the texts by chance too; only an aligned file has no lengths beside its codes.
        return bool(
            split["text_bert"] is not None
            and split["text_bert"].shape[2] == length
            and split["audio_lengths"] is None
            and length
        )
    if split["text_bert"] is not None:
        return bool(split["text_bert"].shape[2] == length)
    return split["audio_lengths"] is None


def _rows(
    split: dict[str, Any],
    finder: AlignedWords | None,
    rates: tuple[float | None, float | None],
    extra: list[str],
) -> Iterator[dict[str, Any]]:
    codes = split["text_bert"]
    if finder is not None:
        finder.recognise(split["audio"] if split["audio"].any() else split["visual"], codes)
    for i, (key, text) in enumerate(zip(split["id"], split["text"], strict=True)):
        row: dict[str, Any] = {"id": key, "speaker": speaker_of(key), "text": text, "words": None}
        streams = {stream: split[stream][i] for stream in _STREAMS}
        if finder is not None:
            ids_L = None if codes is None else codes[i, 0][codes[i, 1] > 0].astype(int)
            kept, words = finder.find(key, text, np.concatenate(list(streams.values()), axis=1), ids_L)
            row["words"] = words
            streams = {stream: frames[kept] for stream, frames in streams.items()}
        for (stream, frames), rate in zip(streams.items(), rates, strict=True):
            if finder is None:
                lengths = split[f"{stream}_lengths"]
                filled = np.flatnonzero((frames != 0).any(axis=1))
                frames = frames[: lengths[i] if lengths is not None else (filled[-1] + 1 if len(filled) else 0)]
            row[stream] = frames
            row[f"{stream}_rate"] = rate
        row["label"] = float(split["label"][i])
        # Of the labels of single modalities some may be absent, which a file writes as NaN.
        row |= {column: None if np.isnan(split[column][i]) else float(split[column][i]) for column in extra}
        yield row
    if finder is not None:
        finder.check()


def _release(path: Path, sizes: tuple[int, ...], dims: tuple[int, ...]) -> dict[str, str]:
    """Return what is known of a file whose name and sizes are those of a published one; warn when its sum differs."""
    for release in RELEASES:
        if (path.name, sizes, dims) == (release.file, release.sizes, release.dims):
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            sha256 = digest.hexdigest()
            if sha256 == release.sha256:
                logger.info("%s: %s as published by MMSA", path, release.name)
                return {"sha256": sha256, "release": release.name}
            warnings.warn(
                f"{path}: expected the SHA-256 sum {release.sha256} of {release.name}, got {sha256}: another version",
                MsaWarning,
                stacklevel=4,
            )
            return {"sha256": sha256}
    return {}


__all__ = ["RELEASES", "Release", "open_pickle"]
