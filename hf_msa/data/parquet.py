"""A corpus as a folder of Parquet: written once, whole or not at all, and memory-mapped ever after.

    <folder>/train.parquet, valid.parquet, test.parquet   or <split>-00000-of-00002.parquet, as on the Hub
    <folder>/corpus.json                                   rows per split, label range, source, repairs

`corpus.json` is written last and the folder gets its name only then. A folder without it, say from the Hub, is read as
well; with it, the numbers of rows must agree. Frames are not looked at when a folder is loaded: a stream without any
value was made missing, and counted, when the folder was written.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Array2D, DatasetDict, Features, Value, load_dataset
from pyarrow.dataset import ParquetFragmentScanOptions

from hf_msa.files import fresh_folder
from hf_msa.models.streams_msa import FRAME_STREAMS
from hf_msa.progress import Progress, Report, ignore

from .file_kinds import check_kind
from .rows import (
    ROWS_PER_TABLE,
    SPLITS,
    CorpusError,
    OpenCorpus,
    RowCheck,
    brief,
    check_label_range,
    check_splits,
)

_MANIFEST = "corpus.json"
_COLUMNS = ("id", "text", "audio", "visual", "label")


def write_parquet(corpus: OpenCorpus, out: Path, report: Report = ignore) -> None:
    """Write a corpus to a folder that does not exist yet.

    Args:
        corpus: The open corpus.
        out: The folder.
        report: Told how many rows of a split are written.

    Raises:
        CorpusError: When the folder exists, and for what is wrong with the rows.
        OSError: As of a full disk; then nothing is left behind.
    """
    if out.exists():
        raise CorpusError(f"{out}: expected a folder that does not exist yet, got one that does")
    check = RowCheck(corpus.name, corpus.label_range)
    with fresh_folder(out) as fresh:
        for split in SPLITS:
            done = 0
            with pq.ParquetWriter(fresh / f"{split}.parquet", corpus.features.arrow_schema) as writer:
                for table in corpus.tables(split, check):
                    writer.write_table(table)
                    done += len(table)
                    report(Progress(f"writing {split}", done, corpus.sizes[split]))
        check.say_range()
        manifest = {"splits": corpus.sizes} | corpus.describe() | {"label_range": list(check.label_range)}
        (fresh / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def load_parquet(
    folder: Path, label_range: tuple[float, float] | None = None, cache_dir: str | Path | None = None
) -> DatasetDict:
    """Load a folder of Parquet, memory-mapped.

    `datasets` turns it into Arrow files in its cache, once, and maps these: memory holds only what is looked at.

    Args:
        folder: The folder.
        label_range: Lowest and highest label; None is that of `corpus.json`, else not said.
        cache_dir: Where the Arrow files go; None for the cache of `datasets`.

    Raises:
        CorpusError: When a split is missing or cut off, a column is missing, or a row is wrong.
    """
    files = {split: _files(folder, split) for split in SPLITS}
    check_splits(str(folder), [split for split, paths in files.items() if paths])
    manifest = _read_manifest(folder)
    check_label_range(manifest.get("label_range"))
    label_range = label_range or manifest.get("label_range")
    check = RowCheck(str(folder), label_range)
    widths: dict[str, int] = {}
    for split, paths in files.items():
        num_rows = sum(_check_file(path, widths) for path in paths)
        expected = manifest.get("splits", {}).get(split, num_rows)
        if num_rows != expected:
            raise CorpusError(f"{folder}: {split}: expected {expected} rows as {_MANIFEST} says, got {num_rows}")
        for _ in check(split, _labels(paths)):
            pass
    check.say_range()
    corpus = load_dataset(
        "parquet",
        data_files={split: [str(path) for path in paths] for split, paths in files.items()},
        cache_dir=None if cache_dir is None else str(cache_dir),
        # Read in small pieces: by default all of a file is held in memory while it is turned into Arrow.
        fragment_scan_options=ParquetFragmentScanOptions(pre_buffer=False),
        batch_size=ROWS_PER_TABLE,
        writer_batch_size=ROWS_PER_TABLE,
    )
    about = manifest | ({} if label_range is None else {"label_range": list(label_range)})
    for dataset in corpus.values():
        dataset.info.description = json.dumps(about)
    # The plain format gives nested lists, in which an empty stream loses its width.
    return corpus.with_format("numpy", columns=list(FRAME_STREAMS), output_all_columns=True)


def is_parquet(folder: Path) -> bool:
    """Return whether a folder holds a split in Parquet that has a stream beside the text."""
    files = [path for split in SPLITS for path in _files(folder, split)]
    if (folder / _MANIFEST).exists():
        return bool(files)
    return any({"audio", "visual"} & set(_read_schema(path)[0].names) for path in files[:1])


def _files(folder: Path, split: str) -> list[Path]:
    return sorted([*folder.glob(f"{split}.parquet"), *folder.glob(f"{split}-*.parquet")])


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    if not path.exists():
        return {}
    check_kind(path, "text")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: expected a JSON object, got {error}") from error
    if not isinstance(manifest, dict):
        raise CorpusError(f"{path}: expected a JSON object, got {brief(manifest)}")
    return manifest


def _read_schema(path: Path) -> tuple[pa.Schema, int]:
    """Return the columns of a file and its number of rows."""
    check_kind(path, "parquet")
    try:
        with pq.ParquetFile(path) as file:
            return file.schema_arrow, int(file.metadata.num_rows)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CorpusError(f"{path}: expected a Parquet file, got {' '.join(str(error).split())}") from error


def _check_file(path: Path, widths: dict[str, int]) -> int:
    """Return the rows of a file, whose columns are those of a corpus, and as wide as `widths` has them by now."""
    schema, num_rows = _read_schema(path)
    try:
        features = Features.from_arrow_schema(schema)
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{path}: expected columns of datasets, got {' '.join(str(error).split())}") from error
    if missing := [name for name in _COLUMNS if name not in features]:
        raise CorpusError(f"{path}: expected the columns {', '.join(_COLUMNS)}, got no {', '.join(missing)}")
    for stream in FRAME_STREAMS:
        if not isinstance(features[stream], Array2D):
            raise CorpusError(f"{path}: {stream}: expected Array2D((None, F)), got {brief(features[stream])}")
        width = features[stream].shape[1]
        if widths.setdefault(stream, width) != width:
            raise CorpusError(
                f"{path}: {stream}: expected {widths[stream]} columns per frame as in the files before, got {width}"
            )
    if features["text"] not in (Value("string"), Value("large_string")):
        raise CorpusError(f"{path}: text: expected strings, got {brief(features['text'])}")
    return num_rows


def _labels(paths: list[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if name == "id" or name.startswith("label")]
            for batch in file.iter_batches(columns=names):
                yield from batch.to_pylist()


__all__ = ["is_parquet", "load_parquet", "write_parquet"]
