"""Compare two systems: a paired bootstrap over utterances, or groups of them, and training seeds.

Shapes: S seeds, N utterances, G groups, K resamples, of which a chunk is in memory at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_msa.errors import MsaError

from .metrics import to_numpy

# Draws held at once: 8 MB for the indices and as much for the weights, whatever the size of the corpus.
CHUNK_ELEMENTS = 2**20


@dataclass(frozen=True)
class BootstrapResult:
    """The difference of two systems' mean errors and its percentile interval.

    Attributes:
        difference: Mean of `errors_a` minus mean of `errors_b`; below 0 where system a is better.
        low: Lower end of the interval.
        high: Upper end of the interval.
        confidence: The share of resamples between them.
        num_samples: K, the number of resamples.
    """

    difference: float
    low: float
    high: float
    confidence: float
    num_samples: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0, that is, whether the systems differ."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    errors_a: ArrayLike,
    errors_b: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    num_samples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BootstrapResult:
    """Estimate how far the mean errors of two systems differ, over other utterances and other training seeds.

    Each resample draws N utterances with replacement, the same for both systems: hard utterances are hard for both,
    and only the pairing keeps them from hiding a difference. It draws seeds with replacement too, for each system on
    its own, since seed 1 of one system has nothing in common with seed 1 of the other. With a single seed the interval
    says nothing about training noise; with three to five it tends to be too narrow in that part.

    Utterances of one speaker are like each other and no independent evidence: with `groups` each resample draws G
    groups with replacement, each with all its utterances (a cluster bootstrap). The interval is then wider where the
    systems differ by speaker.

    Args:
        errors_a: (S_a, N) absolute errors of system a, per seed and utterance; any finite score whose mean matters
            (say 0 or 1 for a wrong class) serves as well.
        errors_b: (S_b, N) the same of system b, utterances in the same order; S_b may differ from S_a.
        groups: (N,) the group of every utterance, such as its speaker; None for utterances that stand alone.
        num_samples: K, the number of resamples.
        confidence: Share of the resampled differences inside the interval, between 0 and 1.
        seed: Seed of the resampling; the same arguments give the same result.

    Returns:
        The difference of the means, a minus b, and its percentile interval.

    Raises:
        MsaError: If a shape, a number of utterances or a setting does not fit, or an error is not finite.
    """
    errors_SaN, errors_SbN = _errors(errors_a, "errors_a"), _errors(errors_b, "errors_b")
    if errors_SaN.shape[1] != errors_SbN.shape[1]:
        raise MsaError(
            "errors_a and errors_b must hold the same utterances, "
            f"got {errors_SaN.shape[1]} and {errors_SbN.shape[1]} of them"
        )
    if groups is not None and len(groups) != errors_SaN.shape[1]:
        raise MsaError(f"groups: expected one per utterance, {errors_SaN.shape[1]}, got {len(groups)}")
    if num_samples < 1:
        raise MsaError(f"num_samples must be at least 1, got {num_samples!r}")
    if not 0 < confidence < 1:
        raise MsaError(f"confidence must lie between 0 and 1, got {confidence!r}")

    rng = np.random.default_rng(seed)
    seed_weights_KSa = _resample(rng, num_samples, len(errors_SaN))
    seed_weights_KSb = _resample(rng, num_samples, len(errors_SbN))
    num_utterances = errors_SaN.shape[1]
    group_N = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    chunk = max(1, CHUNK_ELEMENTS // num_utterances)
    differences_K = np.empty(num_samples)
    for start in range(0, num_samples, chunk):
        rows = slice(start, min(start + chunk, num_samples))
        weights_KN = _resample_groups(rng, rows.stop - start, num_utterances, group_N)
        mean_a_K = (seed_weights_KSa[rows] * (weights_KN @ errors_SaN.T)).sum(axis=1)
        mean_b_K = (seed_weights_KSb[rows] * (weights_KN @ errors_SbN.T)).sum(axis=1)
        differences_K[rows] = mean_a_K - mean_b_K
    low, high = np.quantile(differences_K, [(1 - confidence) / 2, (1 + confidence) / 2])
    return BootstrapResult(
        difference=float(errors_SaN.mean() - errors_SbN.mean()),
        low=float(low),
        high=float(high),
        confidence=confidence,
        num_samples=num_samples,
    )


def _errors(values: ArrayLike, name: str) -> NDArray[np.float64]:
    errors_SN = to_numpy(values, name).astype(np.float64)
    if errors_SN.ndim != 2 or errors_SN.size == 0:
        raise MsaError(f"{name} must have shape (seeds, utterances), neither of them 0, got {errors_SN.shape}")
    bad = np.argwhere(~np.isfinite(errors_SN))
    if len(bad):
        row, column = bad[0].tolist()
        raise MsaError(f"{name}[{row}, {column}] is {errors_SN[row, column]}, expected a finite number")
    return errors_SN


def _resample(rng: np.random.Generator, num_samples: int, size: int) -> NDArray[np.float64]:
    """Return (K, size) weights: how often each item was drawn in `size` draws with replacement, divided by `size`."""
    drawn = rng.integers(size, size=(num_samples, size))
    drawn += np.arange(num_samples)[:, None] * size  # each resample counts in its own row
    return np.bincount(drawn.ravel(), minlength=num_samples * size).reshape(num_samples, size) / size


def _resample_groups(
    rng: np.random.Generator, num_samples: int, num_utterances: int, group_N: NDArray[np.intp] | None
) -> NDArray[np.float64]:
    """Return (K, N) weights that sum to 1, of utterances that are drawn alone or with all of their group."""
    if group_N is None:
        return _resample(rng, num_samples, num_utterances)
    weights_KN = _resample(rng, num_samples, int(group_N.max()) + 1)[:, group_N]
    return weights_KN / weights_KN.sum(axis=1, keepdims=True)  # groups have different sizes


__all__ = ["BootstrapResult", "paired_bootstrap"]
