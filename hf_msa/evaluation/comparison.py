"""Compare two runs of `hf-msa train` on the same split: is one of them better, or is it chance?"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hf_msa.errors import MsaError

from .bootstrap import BootstrapResult, paired_bootstrap
from .predictions import Predictions, read_predictions
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
        unit: What the bootstrap drew beside seeds: "speakers" with all their utterances, or "utterances".
    """

    kind: ClassVar[str] = "comparison"
    names: tuple[str, str]
    seeds: tuple[int, int]
    split: str
    error: str
    metrics: tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]
    gain: BootstrapResult
    unit: str = "utterances"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Comparison":
        """Return what `to_dict` gave.

        Args:
            content: What `hf-msa compare --json` printed.
        """
        pairs = {key: tuple(content[key]) for key in ("names", "seeds", "metrics")}
        return cls(**content | pairs | {"gain": BootstrapResult(**content["gain"])})

    def to_markdown(self, *others: "Comparison") -> str:
        """Return the gain as a sentence; several comparisons are a list.

        Args:
            others: Further comparisons.
        """
        if others:
            return "\n".join(f"- {comparison.to_markdown()}" for comparison in (self, *others))
        gain, (first, second), seeds = self.gain, self.names, self.seeds
        return (
            f"{self.error.upper().replace('_', ' ')} of {first} minus {second} on {self.split}: "
            f"{gain.difference:+.3f}, {gain.confidence:.0%} interval {gain.low:+.3f} to {gain.high:+.3f} "
            f"(paired bootstrap over {self.unit} and {seeds[0]} and {seeds[1]} seeds)."
        )

    def __str__(self) -> str:
        """Say in one sentence what was found."""
        seeds = "" if min(self.seeds) > 1 else "; with a single seed it says nothing about training noise"
        verdict = "the interval holds 0: no difference was shown"
        if self.gain.excludes_zero:
            verdict = f"{self.names[1 if self.gain.low > 0 else 0]} is better"
        gain = self.gain
        return (
            f"{self.error} of {self.names[0]} minus {self.names[1]} on {self.split}: {gain.difference:+.4f}, "
            f"{gain.confidence:.0%} interval over {self.unit} {gain.low:+.4f} to {gain.high:+.4f}; {verdict}{seeds}"
        )


def compare_runs(run_a: str | Path, run_b: str | Path, split: str = "test") -> Comparison:
    """Compare two runs by a paired bootstrap over seeds and speakers, or utterances where the rows name no speakers.

    Args:
        run_a: Folder of a run, the one that was there first.
        run_b: Folder of the other; its utterances may stand in another order.
        split: train, valid or test.

    Raises:
        MsaError: When a folder is no run, the two have other label ranges or outputs, or they did not predict the
            same utterances, each once, with the same labels.
    """
    results = read_results(run_a), read_results(run_b)
    by_seed = [read_predictions(Path(run) / PREDICTIONS_FILE, split) for run in (run_a, run_b)]
    for run, result in zip((run_a, run_b), results, strict=True):
        if any(split not in seed.metrics for seed in result.runs):
            raise MsaError(f"{run}: expected metrics of the {split} split in results.json, got none")
    label_range, other_range = (run.model.get("config", {}).get("label_range") for run in results)
    if label_range != other_range:
        # It chooses the metrics: those of SIMS clip scores before they measure an error.
        raise MsaError(f"{run_b}: expected the label_range {label_range} as {run_a}, got {other_range}")
    first = next(iter(by_seed[0].values()))
    joined = [
        [_join(run, predictions, run_a, first) for predictions in predictions_of.values()]
        for run, predictions_of in zip((run_a, run_b), by_seed, strict=True)
    ]
    errors = [np.stack([predictions.errors(label_range) for predictions in of_run]) for of_run in joined]
    # A run of an older version does not name them; the other one's will do.
    speakers = joined[0][0].speakers or joined[1][0].speakers
    if speakers is not None and len(set(speakers)) == 1:
        speakers = None
    return Comparison(
        names=_names(results),
        seeds=(len(errors[0]), len(errors[1])),
        split=split,
        error="mae" if first.scores.ndim == 1 else "error_rate",
        metrics=(results[0].summary()[split], results[1].summary()[split]),
        gain=paired_bootstrap(errors[0], errors[1], groups=speakers),
        unit="utterances" if speakers is None else "speakers",
    )


def _join(run: str | Path, predictions: Predictions, first_run: str | Path, first: Predictions) -> Predictions:
    """Return a run's predictions in the order of the first run's utterances, or refuse what cannot be joined."""
    rows: dict[str, int] = {}
    for row, name in enumerate(predictions.ids):
        if rows.setdefault(name, row) != row:
            raise MsaError(f"{run}: expected every utterance once, got {name!r} twice")
    different = sorted(rows.keys() ^ set(first.ids))
    if different:
        names = ", ".join(map(repr, different[:3])) + (", ..." if len(different) > 3 else "")
        raise MsaError(f"{run}: expected the utterances of {first_run}, got others: {names} stand in one run alone")
    if predictions.scores.shape != first.scores.shape:
        raise MsaError(f"{run}: expected {_kind(first.scores)} as {first_run}, got {_kind(predictions.scores)}")
    order = [rows[name] for name in first.ids]
    labels = predictions.labels[order]
    for name, label, expected in zip(first.ids, labels, first.labels, strict=True):
        if label != expected:
            raise MsaError(f"{run}: expected the label {expected} of {name!r} as {first_run}, got {label}")
    speakers = None if predictions.speakers is None else [predictions.speakers[row] for row in order]
    return Predictions(first.ids, labels, predictions.scores[order], speakers)


def _kind(scores: np.ndarray) -> str:
    return "scores" if scores.ndim == 1 else f"{scores.shape[1]} classes"


def _names(results: tuple[Results, Results]) -> tuple[str, str]:
    first, second = (run.name for run in results)
    return (first, second) if first != second else (f"{first} (1)", f"{second} (2)")


__all__ = ["Comparison", "compare_runs"]
