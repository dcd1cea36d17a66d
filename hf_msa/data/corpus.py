"""Load and convert corpora, whatever form they come in.

an MMSA pickle (.pkl)       aligned or not; CMU-MOSI, CMU-MOSEI, CH-SIMS or of the same make     mmsa_pickle.py
a folder with label.csv     texts, labels and perhaps word times and clips, no features yet      label_csv.py
a folder of .csd files      of the CMU Multimodal SDK; needs the extra `csd`                     csd.py
a folder of Parquet         as `convert_corpus` writes it; memory-mapped                         parquet.py
a table, CSV or Parquet     texts and labels alone, in one file with `split` or a file per split tables.py
"""

import inspect
import json
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from datasets import Dataset, DatasetDict, DatasetInfo, NamedSplit

from hf_msa.models.streams_msa import FRAME_STREAMS
from hf_msa.progress import Report, ignore

from .csd import open_csd
from .label_csv import open_label_csv
from .mmsa_pickle import open_pickle
from .parquet import is_parquet, load_parquet, write_parquet
from .rows import SPLITS, CorpusError, OpenCorpus, RowCheck, check_label_range, check_rates
from .tables import is_one_split, is_table_folder, open_table

logger = logging.getLogger(__name__)


def load_corpus(path: str | Path, **options: Any) -> DatasetDict:
    """Load a corpus with the splits `train`, `valid` and `test`.

    Columns: `id`, `speaker` (the video), `text`, `words` (a list of `{"word", "start", "end"}`, seconds from the start
    of the streams, or null when unknown), `audio` and `visual` (float32 arrays (T, F), (0, F) where missing),
    `audio_rate` and `visual_rate` (frames per second, or null when unknown), `label`, and where the corpus has them
    `label_text`, `label_audio`, `label_visual`. What was mended, and the labels' range where it is known, stand in
    `info.description` of each split, as JSON. A stream without any value, zeros or NaN alone, is missing.

    Args:
        path: A file or a folder, see above.
        options: `label_range`: lowest and highest label, which models and metrics follow; (-3, 3) where neither it nor
            the corpus says another. `audio_rate`, `visual_rate`: frames per second where the
            corpus does not say them. For pickles `tokenizer`, `aligned`; for .csd files `sequences`, `folds`; for
            Parquet `cache_dir`. See `open_pickle`, `open_csd`, `load_parquet`, `open_table`.

    Raises:
        CorpusError: When nothing of that kind lies there, or something in it is wrong; it names file, place, value
            and what was expected.
        UnsafePickleError: When a pickle asks for something else than data; nothing was executed.

    Example:
        >>> corpus = load_corpus("MOSI/aligned_50.pkl")  # doctest: +SKIP
        >>> corpus["train"][0]["audio"].shape  # doctest: +SKIP
        (8, 5)
    """
    opened = _open(Path(path), options)
    if isinstance(opened, DatasetDict):
        return opened
    check = RowCheck(opened.name, opened.label_range)
    tables = {split: pa.concat_tables(opened.tables(split, check)) for split in SPLITS}
    check.say_range()
    _report(opened)
    about = json.dumps(opened.describe())
    corpus = DatasetDict()
    for split, table in tables.items():
        info = DatasetInfo(description=about, features=opened.features)
        # With a fingerprint of our own: to make one, `datasets` would write the whole table through a pickle.
        corpus[split] = Dataset(table, info=info, split=NamedSplit(split), fingerprint=uuid.uuid4().hex[:16])
    # The plain format gives nested lists, in which an empty stream loses its width.
    return corpus.with_format("numpy", columns=list(FRAME_STREAMS), output_all_columns=True)


def convert_corpus(
    path: str | Path, out: str | Path, progress: Report | Literal[False] = False, **options: Any
) -> Path:
    """Write a corpus as Parquet, split by split, whole or not at all; `load_corpus(out)` then memory-maps it.

    Args:
        path: As for `load_corpus`, but not Parquet.
        out: A folder that does not exist yet.
        progress: Told how many rows of a split are written; False for silence.
        options: As for `load_corpus`.

    Returns:
        The folder.

    Raises:
        CorpusError: As `load_corpus`; when the folder exists, or the corpus is Parquet already.
        OSError: As of a full disk; then no folder is left.
    """
    out = Path(out)
    if out.exists():
        raise CorpusError(f"{out}: expected a folder that does not exist yet, got one that does")
    if Path(path).is_dir() and is_parquet(Path(path)):
        raise CorpusError(f"{path}: expected a corpus to convert, got a folder of Parquet already")
    opened = _open(Path(path), options)
    write_parquet(opened, out, progress or ignore)
    _report(opened)
    return out


def _open(path: Path, options: dict[str, Any]) -> Any:
    """Recognise a corpus and open it with the options that its form has."""
    opener: Callable[..., OpenCorpus | DatasetDict]
    if not path.exists():
        raise CorpusError(f"{path}: expected a pickle or a folder, got nothing there")
    if path.is_file():
        opener = _opener_of_file(path)
    elif (path / "label.csv").exists():
        opener = open_label_csv
    elif next(path.glob("*.csd"), None):
        opener = open_csd
    elif is_parquet(path):
        opener = load_parquet
    elif is_table_folder(path):
        opener = open_table
    else:
        pickles = sorted(file.name for file in path.glob("*.pkl"))
        hint = f"; give one of its pickles, {', '.join(pickles)}" if pickles else ""
        raise CorpusError(
            f"{path}: expected label.csv, .csd files or train.parquet (or .csv) in the folder, got none of them{hint}"
        )
    known = [name for name in inspect.signature(opener).parameters if name not in ("path", "folder")]
    if unknown := sorted(set(options) - set(known)):
        raise CorpusError(f"{path}: expected the options {', '.join(known)}, got {', '.join(map(repr, unknown))}")
    check_rates(**{key: value for key, value in options.items() if key.endswith("_rate")})
    check_label_range(options.get("label_range"))
    return opener(path, **options)


def _opener_of_file(path: Path) -> Callable[..., OpenCorpus]:
    """Return what opens a file; refuse one that is only a part of a corpus."""
    if path.suffix == ".csd":
        raise CorpusError(f"{path}: expected the folder of the .csd files, got one of them")
    if path.name == "label.csv":
        raise CorpusError(f"{path}: expected the folder of label.csv, got the file; give {path.parent}")
    if is_one_split(path):
        raise CorpusError(f"{path}: expected the folder of train, valid and test, got one of them; give {path.parent}")
    return open_table if path.suffix in (".csv", ".parquet") else open_pickle


def _report(opened: OpenCorpus) -> None:
    for key, count in sorted((+opened.repairs).items()):
        logger.info("%s: %s: %d", opened.name, key, count)


__all__ = ["CorpusError", "convert_corpus", "load_corpus"]
