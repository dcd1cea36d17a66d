"""A corpus as a folder of Parquet: written once, whole or not at all, and memory-mapped ever after.

    <folder>/train.parquet, valid.parquet, test.parquet   or <split>-00000-of-00002.parquet, as on the Hub
    <folder>/corpus.json                                   rows per split, label range, source, what was mended

`corpus.json` is written last and the folder gets its name only then. A folder without it, say from the Hub, is read as
well; with it, the numbers of rows must agree.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Array2D, DatasetDict, Features, load_dataset
from pyarrow.dataset import ParquetFragmentScanOptions

from hf_msa.files import fresh_folder
from hf_msa.models.streams_msa import FRAME_STREAMS
from hf_msa.progress import Progress, Report, ignore

from .rows import MOSI_RANGE, ROWS_PER_TABLE, SPLITS, CorpusError, OpenCorpus, RowCheck, brief, check_splits

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
    with fresh_folder(out) as fresh:
        check = RowCheck(corpus.name, corpus.label_range)
        for split in SPLITS:
            done = 0
            with pq.ParquetWriter(fresh / f"{split}.parquet", corpus.features.arrow_schema) as writer:
                for table in corpus.tables(split, check):
                    writer.write_table(table)
                    done += len(table)
                    report(Progress(f"writing {split}", done, corpus.sizes[split]))
        manifest = {
            "splits": corpus.sizes,
            "label_range": list(corpus.label_range),
            "source": corpus.about,
            "mended": {key: count for key, count in corpus.counts.items() if count},
        }
        (fresh / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def load_parquet(
    folder: Path, label_range: tuple[float, float] | None = None, cache_dir: str | Path | None = None
) -> DatasetDict:
    """Load a folder of Parquet, memory-mapped.

    `datasets` turns it into Arrow files in its cache, once, and maps these: memory holds only what is looked at.

    Args:
        folder: The folder.
        label_range: Lowest and highest label; None is that of `corpus.json`, else (-3, 3).
        cache_dir: Where the Arrow files go; None for the cache of `datasets`.

    Raises:
        CorpusError: When a split is missing or cut off, a column is missing, or a row is wrong.
    """
    files = {split: _files(folder, split) for split in SPLITS}
    check_splits(str(folder), [split for split, paths in files.items() if paths])
    manifest = _read_manifest(folder)
    low, high = label_range or manifest.get("label_range") or MOSI_RANGE
    check = RowCheck(str(folder), (low, high))
    for split, paths in files.items():
        num_rows = sum(_check_file(path) for path in paths)
        expected = manifest.get("splits", {}).get(split, num_rows)
        if num_rows != expected:
            raise CorpusError(f"{folder}: {split}: expected {expected} rows as {_MANIFEST} says, got {num_rows}")
        for _ in check(split, _labels(paths)):
            pass
    corpus = load_dataset(
        "parquet",
        data_files={split: [str(path) for path in paths] for split, paths in files.items()},
        cache_dir=None if cache_dir is None else str(cache_dir),
        # Read in small pieces: by default all of a file is held in memory while it is turned into Arrow.
        fragment_scan_options=ParquetFragmentScanOptions(pre_buffer=False),
        batch_size=ROWS_PER_TABLE,
        writer_batch_size=ROWS_PER_TABLE,
    )
    for dataset in corpus.values():
        dataset.info.description = json.dumps(manifest) if manifest else ""
    # The plain format gives nested lists, in which an empty stream loses its width.
    return corpus.with_format("numpy", columns=list(FRAME_STREAMS), output_all_columns=True)


def is_parquet(folder: Path) -> bool:
    """Return whether a folder holds a split in Parquet."""
    return any(_files(folder, split) for split in SPLITS)


def _files(folder: Path, split: str) -> list[Path]:
    return sorted([*folder.glob(f"{split}.parquet"), *folder.glob(f"{split}-*.parquet")])


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: expected a JSON object, got {error}") from error
    if not isinstance(manifest, dict):
        raise CorpusError(f"{path}: expected a JSON object, got {brief(manifest)}")
    return manifest


def _check_file(path: Path) -> int:
    """Return the rows of a file, whose columns are those of a corpus."""
    try:
        with pq.ParquetFile(path) as file:
            schema, num_rows = file.schema_arrow, file.metadata.num_rows
        features = Features.from_arrow_schema(schema)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise CorpusError(f"{path}: expected a Parquet file, got {' '.join(str(error).split())}") from error
    if missing := [name for name in _COLUMNS if name not in features]:
        raise CorpusError(f"{path}: expected the columns {', '.join(_COLUMNS)}, got no {', '.join(missing)}")
    for stream in FRAME_STREAMS:
        if not isinstance(features[stream], Array2D):
            raise CorpusError(f"{path}: {stream}: expected Array2D((None, F)), got {brief(features[stream])}")
    return int(num_rows)


def _labels(paths: list[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if name == "id" or name.startswith("label")]
            for batch in file.iter_batches(columns=names):
                yield from batch.to_pylist()


__all__ = ["is_parquet", "load_parquet", "write_parquet"]
