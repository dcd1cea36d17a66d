"""What a training run writes about itself: `results.json`, from which tables and cards are made."""

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_msa.errors import MsaError

from .selection import Selection

RESULTS_FILE = "results.json"
PREDICTIONS_FILE = "predictions.parquet"
_LIBRARIES = ("hf_msa", "torch", "transformers", "peft", "accelerate", "datasets", "numpy")


@dataclass(frozen=True)
class SeedResult:
    """One seed of a run.

    Args:
        seed: The seed.
        checkpoint: Its folder, relative to the run.
        best_epoch: The epoch of the lowest validation error, which the checkpoint holds.
        epochs: Epochs that were trained.
        seconds: Wall time of the training.
        metrics: Every metric by split, unrounded, of the saved checkpoint.
    """

    seed: int
    checkpoint: str
    best_epoch: float
    epochs: float
    seconds: float
    metrics: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Results:
    """A whole run.

    Args:
        name: Of the recipe.
        recipe: Its keys, with what was set on the command line.
        corpus: Name, SHA-256, rows per split, what was mended.
        model: Configuration, parameters, trainable parameters, and the text model's name.
        versions: Of the libraries.
        machine: What it ran on.
        seconds: Wall time of the whole run.
        best_seed: The seed of the best validation metric, whose checkpoint is the run's.
        runs: One per seed.
        command: What was typed, without the folders of a machine.
    """

    name: str
    recipe: dict[str, Any]
    corpus: dict[str, Any]
    model: dict[str, Any]
    versions: dict[str, str]
    machine: dict[str, Any]
    seconds: float
    best_seed: int
    runs: tuple[SeedResult, ...]
    command: str = ""

    @property
    def seeds(self) -> list[int]:
        """The seeds, in their order."""
        return [run.seed for run in self.runs]

    def summary(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return mean and deviation of every metric by split, as MMSA computes them.

        Values are rounded to 4 decimals per seed; the deviation is the population's (ddof=0).
        """
        splits = self.runs[0].metrics
        return {
            split: {key: self.mean_and_std(split, key) for key, value in metrics.items() if np.isscalar(value)}
            for split, metrics in splits.items()
        }

    def mean_and_std(self, split: str, metric: str) -> dict[str, float]:
        """Return `{"mean", "std"}` of a metric over the seeds.

        Args:
            split: train, valid or test.
            metric: As in `mosi_metrics`, `sims_metrics` or `classification_metrics`.
        """
        values = np.asarray([round(run.metrics[split][metric], 4) for run in self.runs])
        with np.errstate(invalid="ignore"):  # infinite errors have no deviation
            return {"mean": float(values.mean()), "std": float(values.std())}

    def write(self, folder: Path) -> None:
        """Write `results.json` into a folder, whole or not at all; a metric that is no number is null there."""
        content = strict_json(asdict(self) | {"summary": self.summary()})
        partial = folder / f".{RESULTS_FILE}.partial"
        partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(folder / RESULTS_FILE)


def read_results(path: str | Path) -> Results:
    """Read the results of a run.

    Args:
        path: Its folder or the file.

    Raises:
        MsaError: When there are none, or the file is of something else.
    """
    file = Path(path) / RESULTS_FILE if Path(path).is_dir() else Path(path)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        content.pop("summary")
        runs = tuple(SeedResult(**run | {"metrics": _read_metrics(run["metrics"])}) for run in content.pop("runs"))
        if not runs:
            raise MsaError("no runs")
        return Results(**content, runs=runs)
    except OSError as error:
        raise MsaError(f"{file}: expected the results of hf-msa train, got {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MsaError(f"{file}: expected the results of hf-msa train, got another file ({error})") from error


def strict_json(value: Any) -> Any:
    """Return plain values with None for what is not finite: JSON has no NaN, and most readers refuse it.

    Args:
        value: Dicts, lists, tuples and what they hold.
    """
    if isinstance(value, dict):
        return {key: strict_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict_json(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read_metrics(splits: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        split: {key: math.nan if value is None else value for key, value in metrics.items()}
        for split, metrics in splits.items()
    }


def installed_versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


def this_machine() -> dict[str, Any]:
    """Return what a result's wall time depends on."""
    cuda = torch.cuda.is_available()
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if cuda else None,
    }


def best_seed(runs: Sequence[SeedResult], selection: Selection) -> int:
    """Return the seed that is the best on the validation split.

    Args:
        runs: One per seed.
        selection: What makes it the best.
    """
    return selection.best({run.seed: run.metrics["valid"][selection.metric] for run in runs})


__all__ = [
    "PREDICTIONS_FILE",
    "RESULTS_FILE",
    "Results",
    "SeedResult",
    "best_seed",
    "installed_versions",
    "read_results",
    "strict_json",
    "this_machine",
]
