"""The corpus of a recipe: found, loaded, and described by its hash."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from hf_msa.data.corpus import load_corpus
from hf_msa.data.description import label_range_of, repairs_of
from hf_msa.data.fingerprint import corpus_sha256
from hf_msa.data.rows import SPLITS, CorpusError
from hf_msa.data.sample_corpus import AUDIO_FEATURES, VISUAL_FEATURES, load_sample_corpus
from hf_msa.errors import MsaError
from hf_msa.files import without_folders
from hf_msa.models.streams_msa import FRAME_STREAMS

CORPORA_VARIABLE = "HF_MSA_CORPORA"
_SAMPLE = Path(__file__).parents[1] / "data" / "sample_corpus"


@dataclass(frozen=True)
class Corpus:
    """A corpus and what a model must know of it.

    Args:
        splits: train, valid and test.
        path: Where it lies.
        name: As the recipe calls it.
        features: Fields of a configuration: feature sizes and names, and the labels' range where the corpus states it.
    """

    splits: DatasetDict
    path: Path
    name: str
    features: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        """Return name, sum, rows per split, and what was mended while loading."""
        return {
            "name": without_folders(self.name),
            "sha256": corpus_sha256(self.path),
            "rows": {split: len(self.splits[split]) for split in SPLITS},
            "repairs": repairs_of(self.splits["train"]),
        }


def open_corpus(name: str, options: dict[str, Any] | None = None) -> Corpus:
    """Load the corpus of a recipe.

    Args:
        name: "sample", or a path; a relative one starts at the folder that HF_MSA_CORPORA names, or here.
        options: Of `load_corpus`.

    Raises:
        CorpusError: As `load_corpus`.
    """
    if name == "sample":
        if options:
            raise CorpusError(f"corpus_options: expected none for the sample corpus, got {', '.join(options)}")
        features: dict[str, Any] = {"audio_features": AUDIO_FEATURES, "visual_features": VISUAL_FEATURES}
        splits, path = load_sample_corpus(), _SAMPLE
    else:
        features = {}
        path = _find_corpus(name)
        splits = load_corpus(path, **(options or {}))
    for stream in FRAME_STREAMS:
        dim = splits["train"].features[stream].shape[1]
        if dim:
            features[f"{stream}_dim"] = dim
    if (label_range := label_range_of(splits["train"])) is not None:
        features["label_range"] = label_range
    return Corpus(splits, path, name, features)


def open_split(name: str, split: str, options: dict[str, Any] | None = None) -> Dataset:
    """Load one split of the corpus of a recipe.

    Args:
        name: As for `open_corpus`.
        split: train, valid or test.
        options: Of `load_corpus`.

    Raises:
        MsaError: For another split, and as `open_corpus`.
    """
    check_split(split)
    return open_corpus(name, options).splits[split]


def check_split(split: str) -> None:
    """Refuse another name than train, valid or test, before anything is loaded.

    Args:
        split: The name.

    Raises:
        MsaError: It names the three.
    """
    if split not in SPLITS:
        raise MsaError(f"split: expected {', '.join(SPLITS)}, got {split!r}")


def _find_corpus(name: str) -> Path:
    root = os.environ.get(CORPORA_VARIABLE)
    candidates = [Path(name)] if Path(name).is_absolute() or not root else [Path(root) / name, Path(name)]
    for path in candidates:
        if path.exists():
            return path
    hint = "" if root else f"; {CORPORA_VARIABLE} may name the folder of your corpora"
    raise CorpusError(
        f"corpus: expected a pickle or a folder, got nothing at {' or '.join(map(str, candidates))}{hint}"
    )


__all__ = ["Corpus", "check_split", "open_corpus", "open_split"]
