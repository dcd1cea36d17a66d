"""Do the rows of a dataset fit a model?"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Array2D, Dataset

from hf_msa.errors import CorpusError
from hf_msa.models import MsaConfig
from hf_msa.models.streams_msa import FRAME_STREAMS

from .description import label_range_of
from .lengths import num_frames
from .rows import brief


def check_dataset(name: str, dataset: Dataset, config: MsaConfig, streams: Sequence[str] = FRAME_STREAMS) -> None:
    """Refuse rows that a model cannot be trained or evaluated on; streams are not read, only their sizes.

    Args:
        name: Of the dataset, for the error.
        dataset: Rows as `load_corpus` gives them.
        config: Of the model.
        streams: Those that the model is given.

    Raises:
        CorpusError: For no rows, another feature size than the model's, a stream that the corpus lacks, a corpus that
            states another range of labels, and labels that are NaN, out of the model's range or no class of it.
    """
    if not len(dataset):
        raise CorpusError(f"{name}: expected at least one row, got none")
    for stream in [stream for stream in FRAME_STREAMS if stream in streams]:
        feature = dataset.features.get(stream)
        expected = getattr(config, f"{stream}_dim")
        if isinstance(feature, Array2D) and feature.shape[1] == 0:
            others = ", ".join(other for other in streams if other != stream)
            raise CorpusError(
                f"{name}: streams: expected those of the corpus, got {stream}, which it lacks; try streams=[{others}]"
            )
        if isinstance(feature, Array2D) and feature.shape[1] != expected:
            raise CorpusError(
                f"{name}: {stream}: expected config.{stream}_dim {expected} columns per frame, got {feature.shape[1]}"
            )
    if "label" not in dataset.column_names:
        raise CorpusError(f"{name}: expected a column label, got {', '.join(dataset.column_names)}")
    stated = label_range_of(dataset)
    if config.num_labels == 1 and config.label_range is not None and stated not in (None, tuple(config.label_range)):
        raise CorpusError(
            f"{name}: label_range: expected the model's {_range(config.label_range)}, got {_range(stated)} of the "
            "corpus; the corpus states it, by its option label_range, and a recipe's model need not"
        )
    ids = dataset["id"] if "id" in dataset.column_names else range(len(dataset))
    if not config.has_text_model:
        read = [stream for stream in FRAME_STREAMS if stream in streams]
        for key, *frames in zip(ids, *(num_frames(dataset, stream) for stream in read), strict=True):
            if not any(frames):
                raise CorpusError(f"{name}: expected {' or '.join(read)} in every row, got none in row {key!r}")
    for key, label in zip(ids, dataset["label"], strict=True):
        # A column that was added to a corpus comes as numpy's numbers.
        label = label.item() if isinstance(label, np.generic) else label
        if not _is_label(label, config):
            raise CorpusError(f"{name}: label: expected {_expected_label(config)}, got {brief(label)} in row {key!r}")


def _range(label_range: Sequence[float]) -> str:
    return "[{:g}, {:g}]".format(*label_range)


def _is_label(label: Any, config: MsaConfig) -> bool:
    if isinstance(label, bool) or not isinstance(label, (int, float)) or not math.isfinite(label):
        return False
    if config.num_labels > 1:
        return float(label).is_integer() and 0 <= label < config.num_labels
    # As loose as `load_corpus`: float32 writes some thirds a little beyond the limit.
    return config.label_range is None or config.label_range[0] - 1e-4 <= label <= config.label_range[1] + 1e-4


def _expected_label(config: MsaConfig) -> str:
    if config.num_labels > 1:
        return f"a class from 0 to {config.num_labels - 1}"
    return "a finite score" if config.label_range is None else "a score from {} to {}".format(*config.label_range)


__all__ = ["check_dataset"]
