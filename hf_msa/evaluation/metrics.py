"""Score predictions the way the field does: MMSA's regression metrics, and plain classification metrics.

The two regression functions reproduce MMSA (`MetricsTop`, `train_mode="regression"`), whose tables are the field's
common reference, down to its float32 arithmetic. They differ from MMSA only in the names of the keys, in not rounding
(`round_metrics` does, where a table needs it), and where MMSA crashes or hides a broken run:

- a prediction or label that is not finite is a ValueError (MMSA counts NaN as a negative or wrong answer);
- `corr` of fewer than two utterances, or of constant predictions or labels, is NaN, without numpy's warning;
- the `non0` metrics are NaN where every label is zero (MMSA raises an IndexError).

Shapes: N utterances, C classes.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]
Ints = NDArray[np.int64]

SIMS_BINS_2 = (0.0,)
SIMS_BINS_3 = (-0.1, 0.1)
SIMS_BINS_5 = (-0.7, -0.1, 0.1, 0.7)


def mosi_metrics(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    acc_7_rounding: Literal["half_to_even", "away_from_zero"] = "half_to_even",
) -> dict[str, float]:
    """Score sentiment regression on CMU-MOSI or CMU-MOSEI, as MMSA does.

    Quirks, all of them MMSA's:

    - *Not clipped*: `mae` and `corr` see predictions outside [-3, 3] as they are; only the accuracies clip.
    - *Zero is positive, then absent*: for `has0` every score >= 0 is positive; `non0` drops the utterances whose label
      is exactly 0, and there a prediction must be > 0 to be positive, so a prediction of exactly 0 changes sides.
    - *Half to even*: 0.5 rounds to 0, 1.5 and 2.5 to 2, on both sides.
    - *Clip before rounding*: `acc_5` is not five equal bins: everything from 1.5 on is class 2.
    - *Weighted F1*, truth first: the F1 of each class weighted by how often it is true. (MISA's own code swaps the
      arguments and so reports another number.)

    Args:
        predictions: (N,) or (N, 1) predicted scores, about -3 to 3 but any finite number.
        labels: (N,) or (N, 1) true scores, -3 (negative) to 3 (positive); a few CMU labels lie outside and are kept.
        acc_7_rounding: How scores become the seven classes of `acc_7`. `"half_to_even"` is MMSA's and most papers'.
            `"away_from_zero"` is the binning in CMU's own description of MOSEI: [-3, -2), [-2, -1), [-1, 0), exactly
            0, (0, 1], (1, 2], (2, 3]; not a rounding of halves, so a prediction of 0.01 misses a label of 0.

    Returns:
        `mae`, `corr` (Pearson), `acc_2_has0`, `f1_has0`, `acc_2_non0`, `f1_non0`, `acc_5`, `acc_7`, in this order;
        accuracies and F1 in [0, 1], nothing rounded or multiplied by 100.

    Raises:
        ValueError: If an argument is empty, not numeric, not finite, of another shape, or the lengths differ.
    """
    if acc_7_rounding not in ("half_to_even", "away_from_zero"):
        raise ValueError(f'acc_7_rounding must be "half_to_even" or "away_from_zero", got {acc_7_rounding!r}')
    predictions, labels = _paired_scores(predictions, labels)
    has0_predictions, has0_labels = predictions >= 0, labels >= 0
    non0 = labels != 0
    non0_predictions, non0_labels = predictions[non0] > 0, labels[non0] > 0
    to_seven = np.round if acc_7_rounding == "half_to_even" else _away_from_zero
    return {
        "mae": _mae(predictions, labels),
        "corr": _corr(predictions, labels),
        "acc_2_has0": _accuracy(has0_predictions, has0_labels),
        "f1_has0": _weighted_f1(has0_predictions, has0_labels),
        "acc_2_non0": _accuracy(non0_predictions, non0_labels),
        "f1_non0": _weighted_f1(non0_predictions, non0_labels),
        "acc_5": _accuracy(np.round(predictions.clip(-2, 2)), np.round(labels.clip(-2, 2))),
        "acc_7": _accuracy(to_seven(predictions.clip(-3, 3)), to_seven(labels.clip(-3, 3))),
    }


def sims_metrics(predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Score sentiment regression on CH-SIMS or CH-SIMS v2, as MMSA does.

    Quirks, all of them MMSA's:

    - *Clipped first*: both sides are clipped to [-1, 1] before anything else, so `mae` and `corr` see clipped scores.
    - *Zero is negative*: bins are closed on the right, [-1, 0] and (0, 1] for `acc_2` and `f1`, the opposite of
      `mosi_metrics`; -0.1 and 0.1 bound the three classes of `acc_3`; -0.7, -0.1, 0.1 and 0.7 the five of `acc_5`.
    - *float32 bounds*: a label stored as float32 0.1 lies on the bound, not above it; hence the conversion.
    - *Weighted F1*, truth first, on the two classes of `acc_2`.

    Args:
        predictions: (N,) or (N, 1) predicted scores, about -1 to 1 but any finite number.
        labels: (N,) or (N, 1) true scores, -1 (negative) to 1 (positive) in steps of 0.2.

    Returns:
        `mae`, `corr` (Pearson), `acc_2`, `acc_3`, `acc_5`, `f1`, in this order; accuracies and F1 in [0, 1], nothing
        rounded or multiplied by 100.

    Raises:
        ValueError: If an argument is empty, not numeric, not finite, of another shape, or the lengths differ.
    """
    predictions, labels = (scores.clip(-1, 1) for scores in _paired_scores(predictions, labels))
    two_predictions, two_labels = _right_closed(predictions, SIMS_BINS_2), _right_closed(labels, SIMS_BINS_2)
    return {
        "mae": _mae(predictions, labels),
        "corr": _corr(predictions, labels),
        "acc_2": _accuracy(two_predictions, two_labels),
        "acc_3": _accuracy(_right_closed(predictions, SIMS_BINS_3), _right_closed(labels, SIMS_BINS_3)),
        "acc_5": _accuracy(_right_closed(predictions, SIMS_BINS_5), _right_closed(labels, SIMS_BINS_5)),
        "f1": _weighted_f1(two_predictions, two_labels),
    }


def classification_metrics(predictions: ArrayLike, labels: ArrayLike, num_labels: int) -> dict[str, Any]:
    """Score a classifier.

    This is ours, not MMSA's: the `non0` columns of MMSA's classification tables compare predictions 0/1 with labels
    0/2 and are not reproduced.

    Args:
        predictions: (N,) or (N, 1) class ids, or (N, C) logits, of which the largest wins (the first of equals).
        labels: (N,) or (N, 1) true class ids, 0 to C - 1.
        num_labels: C, at least 2.

    Returns:
        `accuracy`; `f1_weighted`, each class weighted by how often it is true; `f1_macro`, the plain mean over the
        classes that occur in labels or predictions, as in scikit-learn; and `confusion_matrix`, C lists of C counts,
        rows true and columns predicted.

    Raises:
        ValueError: If an argument is empty, of another shape, holds NaN or an id that is no class, or lengths differ.
    """
    if not _is_int(num_labels) or num_labels < 2:
        raise ValueError(f"num_labels must be an integer of at least 2, got {num_labels!r}")
    predicted, true = _class_ids(predictions, "predictions", num_labels), _class_ids(labels, "labels", num_labels)
    _check_lengths(predicted, true)
    confusion_CC = np.bincount(true * num_labels + predicted, minlength=num_labels**2).reshape(num_labels, num_labels)
    f1_C, support_C, occurs_C = _f1_by_class(confusion_CC)
    return {
        "accuracy": _accuracy(predicted, true),
        "f1_weighted": float(np.average(f1_C, weights=support_C)),
        "f1_macro": float(f1_C[occurs_C].mean()),
        "confusion_matrix": confusion_CC.tolist(),
    }


def metrics_for(
    label_range: Sequence[float] | None, num_labels: int
) -> Callable[[ArrayLike, ArrayLike], dict[str, Any]]:
    """Choose the metrics that fit what a model predicts.

    Args:
        label_range: Lowest and highest label of a regression, (-3, 3) or (-1, 1); a list read from JSON will do. A
            classifier has none, and it is not looked at.
        num_labels: Width of the model's output: 1 for regression, the number of classes otherwise.

    Returns:
        `mosi_metrics`, `sims_metrics`, or `classification_metrics` with its `num_labels` filled in: a function of
        (predictions, labels), which pickles.

    Raises:
        ValueError: If no function fits.
    """
    if not _is_int(num_labels) or num_labels < 1:
        raise ValueError(f"num_labels must be an integer of at least 1, got {num_labels!r}")
    if num_labels > 1:
        return partial(classification_metrics, num_labels=num_labels)
    if label_range is not None and tuple(label_range) == (-3, 3):
        return mosi_metrics
    if label_range is not None and tuple(label_range) == (-1, 1):
        return sims_metrics
    raise ValueError(
        f"label_range must be (-3, 3) for MOSI and MOSEI or (-1, 1) for SIMS when num_labels is 1, got {label_range!r}"
    )


def round_metrics(metrics: Mapping[str, Any], decimals: int = 4) -> dict[str, Any]:
    """Round each number as MMSA does for every run, before any mean over seeds is taken.

    Args:
        metrics: What a function of this module returned.
        decimals: MMSA's is 4.

    Returns:
        The same keys in the same order; NaN stays NaN, and what is not a float (the confusion matrix) stays as it is.
    """
    return {key: round(value, decimals) if isinstance(value, float) else value for key, value in metrics.items()}


def to_numpy(values: ArrayLike, name: str) -> NDArray[Any]:
    """Convert an array, a torch tensor (any device, dtype or grad) or nested lists to a numpy array of numbers.

    Args:
        values: What the caller passed.
        name: The argument's name, for the error.
    """
    # Whoever holds a tensor has imported torch already; whoever does not need not wait for it.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        tensor = values.detach().cpu()
        values = (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # numpy has no bfloat16
    try:
        array = np.asarray(values)
    except (RuntimeError, TypeError, ValueError) as error:  # ragged lists, lists of tensors that require grad
        raise ValueError(f"{name} must be an array, a tensor or a list of numbers: {error}") from error
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold numbers, got values of dtype {array.dtype}")
    return array


def _paired_scores(predictions: ArrayLike, labels: ArrayLike) -> tuple[Float32, Float32]:
    """Return both arguments as finite float32 (N,) of one length."""
    scores = _scores(predictions, "predictions"), _scores(labels, "labels")
    _check_lengths(*scores)
    return scores


def _scores(values: ArrayLike, name: str) -> Float32:
    """Return finite float32 (N,). float32 as in MMSA: in float64 a stored 0.1 or 0.7 lies beside its bin's bound."""
    with np.errstate(over="ignore"):  # too large for float32 becomes inf, which is refused below
        scores = _flat(to_numpy(values, name), name).astype(np.float32)
    finite = np.isfinite(scores)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"{name}[{row}] is {scores[row]}, expected a finite number")
    return scores


def _class_ids(values: ArrayLike, name: str, num_labels: int) -> Ints:
    """Return class ids (N,) in [0, C), from ids or, for predictions only, from logits (N, C)."""
    array = to_numpy(values, name)
    if name == "predictions" and array.ndim == 2 and array.shape[1] == num_labels:
        rows_with_nan = np.isnan(array).any(axis=1)
        if rows_with_nan.any():
            raise ValueError(f"{name}[{int(np.argmax(rows_with_nan))}] holds NaN, expected {num_labels} logits")
        return _flat(array.argmax(axis=1), name)  # refuses an empty one
    logits = f", or logits (N, {num_labels})" if name == "predictions" else ""
    ids = _flat(array, name, logits)
    is_class = (ids >= 0) & (ids < num_labels) & (ids == np.floor(ids))  # NaN fails the first two
    if not is_class.all():
        row = int(np.argmin(is_class))
        raise ValueError(f"{name}[{row}] is {ids[row]}, expected a class id from 0 to {num_labels - 1}")
    return ids.astype(np.int64)


def _flat(array: NDArray[Any], name: str, alternative: str = "") -> NDArray[Any]:
    """Return (N,) from (N,), (N, 1) or (N, 1, 1), the last as MultiBench stores its labels."""
    if array.ndim == 0 or array.size != len(array):
        raise ValueError(f"{name} must have shape (N,) or (N, 1){alternative}, got {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty, expected at least one utterance")
    return array.reshape(-1)


def _check_lengths(predictions: NDArray[Any], labels: NDArray[Any]) -> None:
    if len(predictions) != len(labels):
        raise ValueError(
            f"predictions and labels must have the same length, got {len(predictions)} predictions "
            f"and {len(labels)} labels"
        )


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _mae(predictions: Float32, labels: Float32) -> float:
    with np.errstate(over="ignore"):  # a diverged run's error may exceed float32: inf says so
        return float(np.abs(predictions - labels).mean())


def _corr(predictions: Float32, labels: Float32) -> float:
    # Asked of the values: the variance of a constant 0.1 is not exactly 0, and numpy would then correlate its noise.
    if (predictions == predictions[0]).all() or (labels == labels[0]).all():
        return math.nan
    return float(np.corrcoef(predictions, labels)[0, 1])


def _accuracy(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    return float((predictions == labels).mean()) if len(labels) else math.nan


def _weighted_f1(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the weighted F1 of two classes given as False and True or 0 and 1; NaN for no utterances."""
    if not len(labels):
        return math.nan
    f1_C, support_C, _ = _f1_by_class(np.bincount(2 * labels.astype(int) + predictions, minlength=4).reshape(2, 2))
    return float(np.average(f1_C, weights=support_C))


def _f1_by_class(confusion_CC: Ints) -> tuple[NDArray[np.float64], Ints, NDArray[np.bool_]]:
    """Return F1 = 2 TP / (true + predicted), how often each class is true, whether it occurs at all; each (C,)."""
    support_C, predicted_C = confusion_CC.sum(axis=1), confusion_CC.sum(axis=0)
    occurs_C = support_C + predicted_C > 0
    f1_C = 2 * np.diag(confusion_CC) / np.where(occurs_C, support_C + predicted_C, 1)
    return f1_C, support_C, occurs_C


def _right_closed(scores: Float32, bounds: tuple[float, ...]) -> Ints:
    """Return the index of each score's bin, a score on a bound belonging below it."""
    return np.searchsorted(np.array(bounds, dtype=np.float32), scores, side="left")


def _away_from_zero(scores: Float32) -> Float32:
    return np.sign(scores) * np.ceil(np.abs(scores))


__all__ = ["classification_metrics", "metrics_for", "mosi_metrics", "round_metrics", "sims_metrics"]
