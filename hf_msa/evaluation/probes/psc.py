"""Prediction-space correlation (AGFN, arXiv 2510.01677): is a model's error tied to a place in its feature space?

The fused states of a test split are laid out in the plane by t-SNE with the paper's settings; PSC is the mean of the
absolute correlations of both coordinates with the error, low where errors are spread evenly. It depends on how the
plane happens to be turned and on the seed of t-SNE, neither of which the paper gives: so it is reported as mean and
deviation over seeds, beside a companion that turning does not change, the multiple correlation of the error with both
coordinates. Started by PCA, t-SNE itself draws nothing: the seed reaches only the solver that scikit-learn takes for
PCA of some sizes. The deviation is therefore small, often 0, and no measure of how far another layout would differ.

Needs the extra `plots`. Shapes: N utterances, D width.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hf_msa.errors import MsaError
from hf_msa.evaluation.predictions import Predictions, make_predictions, map_rows, pop_labels
from hf_msa.optional import require
from hf_msa.progress import Report, ignore

_WORST_SHARE = 0.1


@dataclass(frozen=True)
class PSC:
    """Prediction-space correlation over seeds of t-SNE.

    Args:
        mean: Of the paper's figure, (|corr(x, error)| + |corr(y, error)|) / 2.
        std: Its deviation over the seeds (population).
        invariant_mean: Of the multiple correlation R of the error with (x, y).
        invariant_std: Its deviation.
        seeds: Of t-SNE.
    """

    mean: float
    std: float
    invariant_mean: float
    invariant_std: float
    seeds: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "PSC":
        """Return what `to_dict` gave."""
        return cls(**content | {"seeds": tuple(content["seeds"])})

    def to_markdown(self) -> str:
        """Return both figures with their deviations."""
        turned = f"{self.invariant_mean:.3f} ± {self.invariant_std:.3f}"
        return f"PSC {self.mean:.3f} ± {self.std:.3f}, turned at will {turned}"


def psc(fused_states: NDArray[Any], errors: NDArray[Any], seeds: Sequence[int] = (0, 1, 2, 3, 4)) -> PSC:
    """Measure the prediction-space correlation.

    Args:
        fused_states: (N, D) what the head reads.
        errors: (N,) absolute errors.
        seeds: Of t-SNE.

    Raises:
        MsaError: For no seed, states as `embed_in_plane` refuses them, and errors that are not one finite number per
            utterance or are all the same.
        MissingLibraryError: Without the extra `plots`.
    """
    if not seeds:
        raise MsaError("seeds: expected at least one, got none")
    states, errors = _checked_states(fused_states), np.asarray(errors, dtype=np.float64)
    if errors.shape != (len(states),):
        raise MsaError(f"errors: expected {(len(states),)} as fused_states, got {errors.shape}")
    if not np.isfinite(errors).all():
        raise MsaError(f"errors: expected finite values, got {errors[~np.isfinite(errors)][0]}")
    if (errors == errors[0]).all():
        raise MsaError(f"errors: expected some that differ, got {errors[0]} for all")
    figures = np.asarray([correlations_with_error(embed_in_plane(states, seed), errors) for seed in seeds])
    (mean, invariant), (std, invariant_std) = figures.mean(axis=0), figures.std(axis=0)
    return PSC(float(mean), float(std), float(invariant), float(invariant_std), tuple(seeds))


def correlations_with_error(plane: NDArray[Any], errors: NDArray[Any]) -> tuple[float, float]:
    """Return the paper's figure and the multiple correlation R for one layout.

    Args:
        plane: (N, 2).
        errors: (N,).
    """
    by_axis = [abs(np.corrcoef(plane[:, axis], errors)[0, 1]) for axis in (0, 1)]
    centred, target = plane - plane.mean(axis=0), errors - errors.mean()
    weights, *_ = np.linalg.lstsq(centred, target, rcond=None)
    explained = (centred @ weights) @ target / (target @ target)
    return float(np.mean(by_axis)), float(np.sqrt(np.clip(explained, 0, 1)))


def embed_in_plane(fused_states: NDArray[Any], seed: int = 0) -> NDArray[np.float32]:
    """Return (N, 2) by t-SNE: perplexity 30, learning rate 200, early exaggeration 12, 2000 steps, started by PCA.

    Args:
        fused_states: (N, D).
        seed: The paper gives none.

    Raises:
        MsaError: For another shape, fewer than 32 utterances (the perplexity is 30) or 2 columns, NaN, and states
            that are the same for all utterances.
        MissingLibraryError: Without the extra `plots`.
    """
    manifold = require("sklearn.manifold", "plots", "prediction-space correlation")
    states = _checked_states(fused_states)
    layout = manifold.TSNE(
        perplexity=30, learning_rate=200, early_exaggeration=12, max_iter=2000, init="pca", random_state=seed
    )
    return layout.fit_transform(states)


def _checked_states(fused_states: NDArray[Any]) -> NDArray[np.float32]:
    states = np.asarray(fused_states, dtype=np.float32)
    if states.ndim != 2 or len(states) < 32 or states.shape[1] < 2:
        raise MsaError(f"fused_states: expected (N of at least 32, D of at least 2), got {states.shape}")
    if not np.isfinite(states).all():
        raise MsaError(f"fused_states: expected finite values, got {states[~np.isfinite(states)][0]}")
    # Differences by rounding do not count. The start by PCA would divide by them, and where they are 0 scikit-learn
    # ends the process.
    if np.ptp(states, axis=0).max() <= 1e-5 * np.abs(states).max():
        raise MsaError("fused_states: expected utterances that differ, got the same state for all")
    return states


def fused_features(
    model: Any, processor: Any, rows: Any, *, report: Report = ignore, task: str = "feature space"
) -> tuple[NDArray[np.float32], Predictions]:
    """Return the fused states (N, D) of the rows of a split, and what the model predicted from them.

    Args:
        model: A model with a head; it stays on its device and in its mode.
        processor: Its processor.
        rows: A split of a corpus.
        report: Told of the rows that are done.
        task: What the report calls it.

    Raises:
        MsaError: For no rows, and for rows without a label.
    """

    def compute(batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        labels, output = pop_labels(batch), model(**batch, output_hidden_states=True)
        return output.fused_state, labels, output.logits

    states, labels, logits = map_rows(compute, model, processor, rows, report=report, task=task)
    return states, make_predictions(model, rows, labels, logits)


def plot_psc(
    plane: NDArray[Any], labels: NDArray[Any], *, errors: NDArray[Any], file: str | Path, title: str = ""
) -> None:
    """Draw the paper's plot: utterances coloured by sentiment, the tenth with the largest errors marked.

    Args:
        plane: (N, 2), as `embed_in_plane` returned it.
        labels: (N,) true scores.
        errors: (N,) absolute errors.
        file: The image; its suffix is the format.
        title: Above the plot.

    Raises:
        MissingLibraryError: Without the extra `plots`.
    """
    figure = require("matplotlib.figure", "plots", "a plot").Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    limit = float(np.abs(labels).max()) or 1.0
    points = axes.scatter(plane[:, 0], plane[:, 1], c=labels, cmap="RdYlGn", vmin=-limit, vmax=limit, s=14)
    worst = np.argsort(errors)[-max(1, round(_WORST_SHARE * len(errors))) :]
    axes.scatter(
        plane[worst, 0],
        plane[worst, 1],
        facecolors="none",
        edgecolors="black",
        s=50,
        label="the tenth with the largest errors",
    )
    axes.legend(loc="upper right", fontsize="small")
    axes.set(title=title, xticks=[], yticks=[])
    figure.colorbar(points, ax=axes, label="true sentiment")
    figure.savefig(file, dpi=150)


__all__ = ["PSC", "correlations_with_error", "embed_in_plane", "fused_features", "plot_psc", "psc"]
