"""The rows of a corpus: what every reader yields, how they are checked, and how they become Arrow tables.

A reader of a file format returns an `OpenCorpus`: sizes, and a function that yields the rows of a split one by one.
Whether these are gathered in memory or written to Parquet is decided elsewhere.

Shapes: N rows, T frames, F raw feature size.
"""

import logging
import math
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from numbers import Real
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Array2D, Features, List, Value

from hf_msa.errors import CorpusError
from hf_msa.models.frames_msa import content_of
from hf_msa.models.streams_msa import FRAME_STREAMS

SPLITS = ("train", "valid", "test")
EXTRA_LABELS = ("label_text", "label_audio", "label_visual")
MOSI_RANGE, SIMS_RANGE = (-3.0, 3.0), (-1.0, 1.0)
ROWS_PER_TABLE = 64  # of 500 x 74 frames: 10 MB

logger = logging.getLogger(__name__)
_BRIEF = reprlib.Repr()
_BRIEF.maxstring, _BRIEF.maxlist = 120, 12


@dataclass
class OpenCorpus:
    """A corpus that was opened and not yet read.

    Args:
        name: The file or folder, for errors.
        sizes: N of every split.
        rows: Yields the rows of a split, once, as dicts; a column that is absent is null.
        dims: F of `audio` and `visual`.
        label_range: Lowest and highest label; None when neither the user nor the corpus says it.
        columns: Further columns of these rows, beside those that every corpus has.
        repairs: What had to be mended; complete once the rows were read.
        about: What is known about the source, such as a checksum.
    """

    name: str
    sizes: dict[str, int]
    rows: Callable[[str], Iterator[dict[str, Any]]]
    dims: dict[str, int]
    label_range: tuple[float, float] | None = None
    columns: dict[str, Value] = field(default_factory=dict)
    repairs: Counter[str] = field(default_factory=Counter)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def features(self) -> Features:
        """The types of the columns."""
        return Features(
            {
                "id": Value("string"),
                "speaker": Value("string"),
                "text": Value("string"),
                "words": List({"word": Value("string"), "start": Value("float32"), "end": Value("float32")}),
                **{stream: Array2D((None, self.dims[stream]), "float32") for stream in FRAME_STREAMS},
                **{f"{stream}_rate": Value("float32") for stream in FRAME_STREAMS},
                "label": Value("float32"),
                **self.columns,
            }
        )

    def tables(self, split: str, check: "RowCheck") -> Iterator[pa.Table]:
        """Yield the rows of a split as Arrow tables of some dozens of rows, checked.

        Args:
            split: `train`, `valid` or `test`.
            check: One for all splits, since no id may occur in two of them.
        """
        features, rows = self.features, check(split, (self._mended(split, row) for row in self.rows(split)))
        while batch := list(islice(rows, ROWS_PER_TABLE)):
            yield _table(batch, features)

    def describe(self) -> dict[str, Any]:
        """Return what is known of the corpus beside its rows, as JSON has it."""
        known = {} if self.label_range is None else {"label_range": list(self.label_range)}
        return known | {"source": self.about, "repairs": dict(+self.repairs)}

    def _mended(self, split: str, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row in which a stream without any value is missing; what a row lacks is counted.

        Raises:
            CorpusError: For a stream of another width than the corpus's.
        """
        streams = {}
        for stream in FRAME_STREAMS:
            frames_TF, dim = row[stream], self.dims[stream]
            if frames_TF.shape[1:] != (dim,):
                raise CorpusError(
                    f"{self.name}: {split}: {stream}: expected {dim} columns per frame, got {frames_TF.shape[1]} "
                    f"for {row['id']!r}"
                )
            if (content := content_of(frames_TF)) != "values":
                if dim and content != "nothing":
                    self.repairs[f"utterances_with_{stream}_of_{content}"] += 1
                if dim:
                    self.repairs[f"utterances_without_{stream}"] += 1
                frames_TF = frames_TF[:0]
            streams[stream] = frames_TF
        if not (row.get("text") or "").strip():
            self.repairs["utterances_without_text"] += 1
        return row | streams


class RowCheck:
    """Refuse rows that would train a wrong model: labels out of range, ids that occur twice, empty splits.

    Args:
        name: The file or folder, for errors.
        label_range: Lowest and highest label; None when nobody says it, then it is the field's usual one, (-3, 3).
    """

    def __init__(self, name: str, label_range: tuple[float, float] | None) -> None:
        self.name = name
        self.is_stated = label_range is not None
        self.label_range = label_range or MOSI_RANGE
        self.seen: dict[str, str] = {}
        self.largest = 0.0
        self.has_fractions = False

    def __call__(self, split: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """Yield the rows as they are.

        Args:
            split: Their split.
            rows: Rows with `id`, `label` and further labels, perhaps null.

        Raises:
            CorpusError: It names the split, the id, the value, and what was expected.
        """
        number = -1
        for number, row in enumerate(rows):
            key, place = row["id"], f"{self.name}: {split}: id"
            if not isinstance(key, str) or not key:
                raise CorpusError(f"{place}: expected a string in row {number}, got {brief(key)}")
            if key in self.seen:
                raise CorpusError(f"{place}: expected every id once, got {key!r} in {self.seen[key]} and {split}")
            self.seen[key] = split
            self._check_label(split, key, "label", row["label"])
            for column in EXTRA_LABELS:
                if row.get(column) is not None:
                    self._check_label(split, key, column, row[column])
            yield row
        if number < 0:
            raise CorpusError(f"{self.name}: {split}: expected at least one row, got none")

    def say_range(self) -> None:
        """Warn, once all splits were read, when nobody stated the range and the labels would fit a narrower one."""
        # Whole numbers alone may be classes.
        if not self.is_stated and self.has_fractions and self.largest <= SIMS_RANGE[1]:
            logger.warning(
                "%s: all labels lie in [-1, 1] and are taken for scores in [-3, 3]; if they are not, give label_range",
                self.name,
            )

    def _check_label(self, split: str, key: str, column: str, value: Any) -> None:
        low, high = self.label_range
        # float32 writes some thirds a little beyond the limit.
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not low - 1e-4 <= value <= high + 1e-4:
            raise CorpusError(
                f"{self.name}: {split}: {column}: expected a number in [{low:g}, {high:g}], got {brief(value)} "
                f"for {key!r}"
            )
        self.largest = max(self.largest, abs(value))
        self.has_fractions |= value != int(value)


def read_text(place: str, value: Any, repairs: Counter[str]) -> str:
    """Return the text of a row, "" when it is missing.

    Args:
        place: File, split and row, for the error.
        value: As a file has it: a string, its bytes in UTF-8, which are counted, or None or NaN for none.
        repairs: Where bytes are counted.

    Raises:
        CorpusError: For bytes in another encoding, and for anything else.
    """
    if isinstance(value, str):
        return str(value)
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return ""
    if not isinstance(value, bytes):
        raise CorpusError(f"{place}: expected a text, got {brief(value)}")
    repairs["texts_of_bytes"] += 1
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{place}: expected a text in UTF-8, got {brief(value)}") from error


def brief(value: Any) -> str:
    """Return a value for an error message, short and on one line whatever a stranger's file holds."""
    return " ".join(_BRIEF.repr(value).split())


def speaker_of(key: Any) -> str | None:
    """Return the video of an id `video$_$clip`, which stands for the speaker; None for other ids."""
    video, mark, _ = str(key).rpartition("$_$")
    return video if mark else None


def check_splits(name: str, found: Iterable[str]) -> None:
    """Refuse a corpus without one of the three splits.

    Raises:
        CorpusError: It names those that are missing.
    """
    found = set(found)
    if missing := [split for split in SPLITS if split not in found]:
        raise CorpusError(
            f"{name}: expected the splits train, valid and test, got no {' and no '.join(missing)}, "
            f"but {brief(sorted(map(str, found)))}"
        )


def check_rates(**rates: float | None) -> None:
    """Refuse rates that are no frames per second; None is unknown.

    Raises:
        CorpusError: It names the argument.
    """
    for name, rate in rates.items():
        if rate is not None and not (isinstance(rate, Real) and 0 < rate < math.inf):
            raise CorpusError(f"{name}: expected frames per second, got {rate!r}")


def check_label_range(label_range: Any) -> None:
    """Refuse what is no lowest and highest label; None is the corpus's own.

    Raises:
        CorpusError: It says what was given.
    """
    if label_range is None:
        return
    is_pair = isinstance(label_range, (list, tuple)) and len(label_range) == 2
    is_pair = is_pair and all(isinstance(end, Real) for end in label_range)
    if not is_pair or not -math.inf < label_range[0] < label_range[1] < math.inf:
        raise CorpusError(f"label_range: expected the lowest and the highest label, got {brief(label_range)}")


def _table(rows: Sequence[Mapping[str, Any]], features: Features) -> pa.Table:
    schema = features.arrow_schema
    columns = [
        _stream_column([row[name] for row in rows], type_)
        if name in FRAME_STREAMS
        else pa.array([row.get(name) for row in rows], type_)
        for name, type_ in zip(schema.names, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _stream_column(arrays: Sequence[np.ndarray], type_: Any) -> pa.ExtensionArray:
    """Return N arrays (T, F) as one Arrow column, without a Python object per number."""
    frames_TF = np.concatenate(arrays).astype(np.float32, copy=False)
    num_frames, dim = frames_TF.shape
    ends = np.cumsum([0, *map(len, arrays)], dtype=np.int32)
    flat = pa.array(frames_TF.ravel())
    frames = pa.ListArray.from_arrays(np.arange(num_frames + 1, dtype=np.int32) * dim, flat)
    storage = pa.ListArray.from_arrays(ends, frames)
    return pa.ExtensionArray.from_storage(type_, storage)


__all__ = [
    "EXTRA_LABELS",
    "MOSI_RANGE",
    "ROWS_PER_TABLE",
    "SIMS_RANGE",
    "SPLITS",
    "CorpusError",
    "OpenCorpus",
    "RowCheck",
    "brief",
    "check_label_range",
    "check_rates",
    "check_splits",
    "read_text",
    "speaker_of",
]
