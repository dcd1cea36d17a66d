"""Predict the rows of a split, and score the predictions with the metrics of the model's label range.

`hf-msa train` writes what this module returns for the saved checkpoint, and `hf-msa evaluate` calls it again: on one
machine the numbers are the same to the last digit.

Shapes: N utterances, C classes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_msa.errors import MsaError
from hf_msa.models.modeling_msa import evaluating
from hf_msa.progress import Progress, Report, ignore

from .metrics import metrics_for

BATCH_SIZE = 64


@dataclass(frozen=True)
class Predictions:
    """What a model says about the rows of a split, in the rows' order.

    Args:
        ids: N ids; row numbers where the rows have none.
        labels: (N,) true labels.
        scores: (N,) predicted scores, float32, or (N, C) logits.
        speakers: N speakers; None unless every row names one.
    """

    ids: list[str]
    labels: NDArray[Any]
    scores: NDArray[np.float32]
    speakers: list[str] | None = None

    def errors(self, label_range: Sequence[float] | None = None) -> NDArray[np.float64]:
        """Return (N,) absolute errors of the scores, or 1 where the class is wrong and 0 where it is right.

        Args:
            label_range: The model's; their mean is then the `mae` of its metrics, which SIMS's clip to (-1, 1) first.
        """
        if self.scores.ndim == 2:
            return (self.scores.argmax(axis=1) != self.labels).astype(np.float64)
        scores, labels = self.scores.astype(np.float64), self.labels
        if label_range is not None and tuple(label_range) == (-1, 1):
            scores, labels = scores.clip(-1, 1), labels.clip(-1, 1)
        return np.abs(scores - labels)


@torch.inference_mode()
def map_rows(
    compute: Callable[[Any], Sequence[Tensor]],
    model: Any,
    processor: Any,
    rows: Any,
    *,
    batch_size: int = BATCH_SIZE,
    report: Report = ignore,
    task: str = "measuring",
) -> list[NDArray[Any]]:
    """Return what a function says of every row, in the rows' order; the model is in evaluation mode meanwhile.

    Args:
        compute: Takes a batch, on the model's device and with its labels if the rows have some; returns tensors of
            shape (B, ...).
        model: The model that `compute` asks; it stays on its device and in its mode.
        processor: What collates.
        rows: A `Dataset` or a list of rows.
        batch_size: Rows at a time; another size may change the last digits.
        report: Told of the rows that are done.
        task: What the report calls it.

    Returns:
        An array (N, ...) for each of the tensors, floats as float32.

    Raises:
        MsaError: As of the processor, for rows that do not fit, and for no rows.
    """
    if not len(rows):
        raise MsaError("rows: expected at least one, got none")
    if batch_size < 1:
        raise MsaError(f"batch_size: expected at least 1, got {batch_size}")
    # Like lengths together: padding is what costs most.
    texts = _column(rows, "text")
    order = sorted(range(len(rows)), key=lambda i: len(texts[i] or ""))
    parts: list[list[NDArray[Any]]] = []
    with evaluating(model):
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            batch = processor.collate([rows[i] for i in numbers]).to(model.device)
            parts.append([_to_numpy(tensor) for tensor in compute(batch)])
            report(Progress(task, start + len(numbers), len(order)))
    back = np.argsort(order)
    return [np.concatenate(column)[back] for column in zip(*parts, strict=True)]


def predict_rows(
    model: Any,
    processor: Any,
    rows: Any,
    *,
    batch_size: int = BATCH_SIZE,
    report: Report = ignore,
    task: str = "measuring",
) -> Predictions:
    """Predict rows of a corpus.

    Args:
        model: A model with a head; it stays on its device and in its mode.
        processor: Its processor.
        rows: A `Dataset` with labels, or a list of rows.
        batch_size: Rows at a time; another size may change the last digits.
        report: Told of the rows that are done.
        task: What the report calls it.

    Raises:
        MsaError: As of the processor, for rows that do not fit, for rows without a label, and for no rows.
    """

    def compute(batch: Any) -> tuple[Tensor, Tensor]:
        return pop_labels(batch), model(**batch).logits

    labels, logits = map_rows(compute, model, processor, rows, batch_size=batch_size, report=report, task=task)
    return make_predictions(model, rows, labels, logits)


def pop_labels(batch: Any) -> Tensor:
    """Take the labels (B,) out of a batch, so that the model computes no loss.

    Args:
        batch: As `collate` made it.

    Raises:
        MsaError: When there are none.
    """
    labels = batch.pop("labels", None)
    if labels is None:
        raise MsaError("rows: expected a label in every row, got none")
    return labels


def make_predictions(model: Any, rows: Any, labels: NDArray[Any], logits: NDArray[Any]) -> Predictions:
    """Return predictions of a model's logits.

    Args:
        model: The model.
        rows: What was predicted.
        labels: (N,).
        logits: (N, C).
    """
    ids = [str(i if name is None else name) for i, name in enumerate(_column(rows, "id"))]
    scores = logits[:, 0] if model.config.num_labels == 1 else logits
    return Predictions(ids, labels, scores, _all_known(_column(rows, "speaker")))


def _column(rows: Any, name: str) -> Sequence[Any]:
    if not hasattr(rows, "column_names"):
        return [row.get(name) for row in rows]
    # All at once: a column of `datasets` takes milliseconds for each of its entries.
    return rows[name][:] if name in rows.column_names else [None] * len(rows)


def _all_known(speakers: Sequence[Any]) -> list[str] | None:
    return None if any(speaker is None for speaker in speakers) else [str(speaker) for speaker in speakers]


def _to_numpy(tensor: Tensor) -> NDArray[Any]:
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()


def score_predictions(predictions: Predictions, config: Any) -> dict[str, Any]:
    """Return the metrics of a model's label range.

    Args:
        predictions: Of one split.
        config: The model's.

    Raises:
        MsaError: For a label range without metrics, and scores that are not finite, as of a model that diverged.
    """
    try:
        return metrics_for(config.label_range, config.num_labels)(predictions.scores, predictions.labels)
    except ValueError as error:
        raise MsaError(str(error)) from error


def write_predictions(found: Iterable[tuple[int, str, Predictions]], path: Path) -> None:
    """Write predictions as Parquet: seed, split, id, speaker, label and prediction (a score or logits).

    Args:
        found: Seed, split and predictions, as many as there are.
        path: The file.
    """
    pq.write_table(pa.concat_tables([_table(*of_split) for of_split in found]), path)


def _table(seed: int, split: str, predictions: Predictions) -> pa.Table:
    num_rows, speakers = len(predictions.ids), predictions.speakers
    return pa.table(
        {
            "seed": pa.array([seed] * num_rows, pa.int64()),
            "split": [split] * num_rows,
            "id": predictions.ids,
            "speaker": pa.nulls(num_rows, pa.string()) if speakers is None else speakers,
            "label": pa.array(predictions.labels, pa.float64()),
            "prediction": predictions.scores.tolist(),
        }
    )


def read_predictions(path: Path, split: str) -> dict[int, Predictions]:
    """Return the predictions of a split by seed, as `write_predictions` wrote them.

    Args:
        path: The file.
        split: train, valid or test.

    Raises:
        MsaError: When there is no such file or split, or the file holds something else.
    """
    try:
        table = pq.read_table(path, filters=[("split", "=", split)]) if path.exists() else None
        rows: dict[int, list[dict[str, Any]]] = {}
        for row in table.to_pylist() if table is not None else []:
            rows.setdefault(row["seed"], []).append(row)
        found = {
            seed: Predictions(
                ids=[row["id"] for row in of_seed],
                labels=np.asarray([row["label"] for row in of_seed], dtype=np.float64),
                scores=np.asarray([row["prediction"] for row in of_seed], dtype=np.float32),
                speakers=_all_known([row.get("speaker") for row in of_seed]),  # older files do not name them
            )
            for seed, of_seed in rows.items()
        }
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise MsaError(f"{path}: expected predictions as hf-msa train writes them, got {error!r}") from error
    if not found:
        raise MsaError(f"{path}: expected the predictions of the {split} split, got none")
    return found


__all__ = [
    "BATCH_SIZE",
    "Predictions",
    "make_predictions",
    "map_rows",
    "pop_labels",
    "predict_rows",
    "read_predictions",
    "score_predictions",
    "write_predictions",
]
