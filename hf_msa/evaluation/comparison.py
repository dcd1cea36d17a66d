"""Compare two runs of `hf-msa train` on the same split: is one of them better, or is it chance?"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_msa.errors import MsaError

from .bootstrap import BootstrapResult, paired_bootstrap
from .predictions import read_predictions
from .results import PREDICTIONS_FILE, Results, read_results


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Args:
        names: Of both runs.
        seeds: How many seeds each has.
        split: What they were compared on.
        error: What is compared: "mae", or "error_rate" of classifiers.
        metrics: Mean and deviation of every metric, for both.
        gain: Error of the first minus error of the second, with its interval: above 0 the second is better.
    """

    names: tuple[str, str]
    seeds: tuple[int, int]
    split: str
    error: str
    metrics: tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]
    gain: BootstrapResult

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Say in one sentence what was found."""
        seeds = "" if min(self.seeds) > 1 else "; with a single seed it says nothing about training noise"
        verdict = "the interval holds 0: no difference was shown"
        if self.gain.excludes_zero:
            verdict = f"{self.names[1 if self.gain.low > 0 else 0]} is better"
        return (
            f"{self.error} of {self.names[0]} minus {self.names[1]} on {self.split}: {self.gain.difference:+.4f}, "
            f"{self.gain.confidence:.0%} interval {self.gain.low:+.4f} to {self.gain.high:+.4f}; {verdict}{seeds}"
        )


def compare_runs(run_a: str | Path, run_b: str | Path, split: str = "test") -> Comparison:
    """Compare two runs by a paired bootstrap over utterances and seeds.

    Args:
        run_a: Folder of a run, the one that was there first.
        run_b: Folder of the other.
        split: train, valid or test.

    Raises:
        MsaError: When a folder is no run, or the two did not predict the same utterances.
    """
    results = read_results(run_a), read_results(run_b)
    found = [read_predictions(Path(run) / PREDICTIONS_FILE, split) for run in (run_a, run_b)]
    for run, own in zip((run_a, run_b), results, strict=True):
        if any(split not in seed.metrics for seed in own.runs):
            raise MsaError(f"{run}: expected metrics of the {split} split in results.json, got none")
    first = next(iter(found[0].values()))
    errors = []
    label_range = results[0].model.get("config", {}).get("label_range")
    for run, by_seed in zip((run_a, run_b), found, strict=True):
        for predictions in by_seed.values():
            if predictions.ids != first.ids or not np.array_equal(predictions.labels, first.labels):
                raise MsaError(f"{run}: expected the utterances and labels of {run_a}'s {split} split, got others")
            if predictions.scores.shape != first.scores.shape:
                raise MsaError(f"{run}: expected {_kind(first.scores)} as {run_a}, got {_kind(predictions.scores)}")
        errors.append(np.stack([predictions.errors(label_range) for predictions in by_seed.values()]))
    return Comparison(
        names=_names(results),
        seeds=(len(errors[0]), len(errors[1])),
        split=split,
        error="mae" if first.scores.ndim == 1 else "error_rate",
        metrics=(results[0].summary()[split], results[1].summary()[split]),
        gain=paired_bootstrap(errors[0], errors[1]),
    )


def _kind(scores: np.ndarray) -> str:
    return "scores" if scores.ndim == 1 else f"{scores.shape[1]} classes"


def _names(results: tuple[Results, Results]) -> tuple[str, str]:
    first, second = (run.name for run in results)
    return (first, second) if first != second else (f"{first} (1)", f"{second} (2)")


__all__ = ["Comparison", "compare_runs"]
