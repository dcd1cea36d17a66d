"""Texts with labels as a table, CSV or Parquet, such as pandas writes: what a text model needs, and no more.

    <name>.csv or .parquet                         text, label, split
    <folder>/train.csv, valid.csv, test.csv        text, label; or .parquet, or <split>-00000-of-00002.parquet

`split` says train, valid or test; validation, val and dev are other names of valid, one of them in a corpus. `id` and
`speaker` are kept where the table has them, all further columns are left out, and named in the description. Audio and
visual are missing, (0, 0). A text that is empty, null or NaN is missing, and counted.
"""

import contextlib
import csv
import math
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .file_kinds import check_kind, is_parquet_file
from .rows import SPLITS, CorpusError, OpenCorpus, brief, check_splits, read_text

_VALID = ("valid", "validation", "val", "dev")
_NAMES = {"train": ("train",), "valid": _VALID, "test": ("test",)}
_SUFFIXES = (".csv", ".parquet")
_READ = ("id", "speaker", "text", "label", "split")


def open_table(path: Path, label_range: tuple[float, float] | None = None) -> OpenCorpus:
    """Open a table of texts and labels.

    Args:
        path: One file with a column `split`, or a folder with a file per split.
        label_range: Lowest and highest label; None is not said.

    Raises:
        CorpusError: When a column or split is missing or a value is none; it names file, row (from 0) and column.
    """
    repairs: Counter[str] = Counter()
    left_out: set[str] = set()
    if path.is_file():
        table = _read_file(path, ("text", "label", "split"), left_out)
        lines_of = _by_split(path, table)
    else:
        files = {split: _only_name(path, split) for split in SPLITS}
        check_splits(str(path), [split for split, own in files.items() if own])
        lines_of = {
            split: [line for file in own for line in _read_file(file, ("text", "label"), left_out)]
            for split, own in files.items()
        }
    check_splits(str(path), [split for split, lines in lines_of.items() if lines])

    def rows(split: str) -> Iterator[dict[str, Any]]:
        for number, (place, line) in enumerate(lines_of[split]):
            key, speaker = line.get("id"), line.get("speaker")
            yield {
                "id": f"{split}-{number}" if "id" not in line else str(key if key is not None else ""),
                "speaker": None if speaker is None else str(speaker),
                "text": read_text(f"{place}: text", line["text"], repairs),
                "words": None,
                "audio": np.zeros((0, 0), np.float32),
                "visual": np.zeros((0, 0), np.float32),
                "label": _label(place, line["label"]),
            }

    about: dict[str, Any] = {"format": "table"}
    if left_out:
        about["columns_left_out"] = sorted(left_out)
    return OpenCorpus(
        str(path),
        {split: len(lines) for split, lines in lines_of.items()},
        rows,
        {"audio": 0, "visual": 0},
        label_range,
        {},
        repairs,
        about,
    )


def is_table_folder(folder: Path) -> bool:
    """Return whether a folder holds a split as a table."""
    return any(_files(folder, name) for names in _NAMES.values() for name in names)


def is_one_split(path: Path) -> bool:
    """Return whether a file is called as one split of several."""
    return any(path in _files(path.parent, name) for names in _NAMES.values() for name in names)


def _files(folder: Path, name: str) -> list[Path]:
    return sorted(path for suffix in _SUFFIXES for path in folder.glob(f"{name}*{suffix}") if _is_of(path.stem, name))


def _is_of(stem: str, name: str) -> bool:
    return stem == name or stem.startswith(f"{name}-")


def _only_name(folder: Path, split: str) -> list[Path]:
    """Return the files of a split, which go by one name and are of one kind."""
    files = [path for name in _NAMES[split] for path in _files(folder, name)]
    kinds = {(path.stem.partition("-")[0], path.suffix) for path in files}
    if len(kinds) > 1:
        raise CorpusError(f"{folder}: {split}: expected one table of it, got {', '.join(path.name for path in files)}")
    return files


def _read_file(path: Path, wanted: tuple[str, ...], left_out: set[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return place and columns of every row."""
    names, rows = _read_parquet(path) if path.suffix != ".csv" or is_parquet_file(path) else _read_csv(path)
    if missing := [name for name in wanted if name not in names]:
        hint = "; or give the folder of train, valid and test" if missing == ["split"] else ""
        raise CorpusError(f"{path}: expected the columns {', '.join(wanted)}, got no {', '.join(missing)}{hint}")
    # pandas names the column of its index thus.
    left_out |= {name for name in names if name and name not in _READ and not name.startswith("__index_level")}
    return [(f"{path}: row {number}", row) for number, row in enumerate(rows)]


def _read_csv(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    check_kind(path, "text")
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            rows, names = list(reader), list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: expected a table with commas in UTF-8, got {error}") from error
    for number, row in enumerate(rows):
        if None in row.values() or None in row:
            raise CorpusError(f"{path}: row {number}: expected {len(names)} values, got another number of them")
    return names, [{name: row[name] for name in names if name in _READ} for row in rows]


def _read_parquet(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    check_kind(path, "parquet")
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            rows = file.read([name for name in names if name in _READ]).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CorpusError(f"{path}: expected a Parquet file, got {' '.join(str(error).split())}") from error
    return names, rows


def _by_split(path: Path, table: list[tuple[str, dict[str, Any]]]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Return the rows of one file by the column `split`."""
    lines_of: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    valid = ""
    for place, line in table:
        name = line["split"]
        split = "valid" if name in _VALID else name
        if split not in SPLITS:
            raise CorpusError(f"{place}: split: expected train, valid or test, got {brief(name)}")
        if split == "valid" and (valid := valid or name) != name:
            raise CorpusError(f"{place}: split: expected one name of valid, got {name!r} after {valid!r}")
        lines_of.setdefault(split, []).append((place, line))
    check_splits(str(path), lines_of)
    return lines_of


def _label(place: str, value: Any) -> float:
    """Return a label; what is no finite number is refused with the row."""
    label = math.nan
    if isinstance(value, (str, int, float, Decimal)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            label = float(value)
    if not math.isfinite(label):
        raise CorpusError(f"{place}: label: expected a number, got {brief(value)}")
    return label


__all__ = ["is_one_split", "is_table_folder", "open_table"]
