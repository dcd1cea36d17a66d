"""What a training run writes about itself: `results.json`, and the tables that are made from it."""

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from hf_msa.errors import MsaError
from hf_msa.files import write_file
from hf_msa.models.configuration_msa import PaperResult

from .markdown import METRIC_TITLES, markdown_table, mean_and_std, shown_metrics
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
        corpus: Name, SHA-256, rows per split, repairs.
        model: Configuration, parameters, trainable parameters, and the text model's name.
        versions: Of the libraries.
        machine: What it ran on.
        seconds: Wall time of the whole run.
        best_seed: The seed of the best validation metric, whose checkpoint is the run's.
        runs: One per seed.
        command: What was typed, without the folders of a machine.
    """

    kind: ClassVar[str] = "results"
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON, with the summary; a metric that is no number is None."""
        return strict_json(asdict(self) | {"summary": self.summary()})

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Results":
        """Return what `to_dict` gave.

        Args:
            content: What stands in `results.json`.

        Raises:
            MsaError: For a run without seeds.
        """
        if not content["runs"]:
            raise MsaError("no runs")
        runs = tuple(SeedResult(**run | {"metrics": _read_metrics(run["metrics"])}) for run in content["runs"])
        fields = {key: value for key, value in content.items() if key not in ("runs", "summary")}
        return cls(**fields, runs=runs)

    def write(self, folder: Path) -> None:
        """Write `results.json` into a folder, whole or not at all."""
        write_file(folder / RESULTS_FILE, json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")

    def to_markdown(self, *others: "Results", split: str = "test") -> str:
        """Return a table, mean ± deviation over the seeds, and a line on how each run was made.

        Args:
            others: Further runs on the same corpus, a row each.
            split: train, valid or test.

        Raises:
            MsaError: For runs on different corpora, whose numbers may not stand in one table.
        """
        runs = (self, *others)
        if len({run.corpus["sha256"] for run in runs}) != 1:
            raise MsaError(f"runs: expected one corpus, got {', '.join(run.corpus['name'] for run in runs)}")
        summaries = [run.summary()[split] for run in runs]
        keys = shown_metrics({key for summary in summaries for key in summary})
        unknown = {"mean": None, "std": None}  # a classifier beside a regression
        rows = [
            (
                run.name,
                str(len(run.seeds)),
                *(mean_and_std(summary.get(key, unknown), len(run.seeds)) for key in keys),
            )
            for run, summary in zip(runs, summaries, strict=True)
        ]
        lines = [
            markdown_table(("run", "seeds", *(METRIC_TITLES[key] for key in keys)), rows),
            "",
            f"{self._describe_split(split)}; mean ± deviation over seeds, the best epoch of each by validation.",
            *(run._describe_making() for run in runs),
        ]
        return "\n".join(lines)

    def _describe_split(self, split: str) -> str:
        corpus = self.corpus
        return (
            f"{split.capitalize()} split of `{corpus['name']}`, {corpus['rows'][split]} utterances, SHA-256 "
            f"`{corpus['sha256'][:16]}`"
        )

    def _describe_making(self) -> str:
        machine, seeds = self.machine, ", ".join(map(str, self.seeds))
        device = machine["accelerator"] or f"{machine['processor']}, {machine['cores']} cores"
        duration = f"{self.seconds:.0f} seconds" if self.seconds < 120 else f"{self.seconds / 60:.0f} minutes"
        return (
            f"- {self.name}: `{self.command}`; {self.model['text_model']}, {self.model['trainable_parameters']:,} "
            f"trainable parameters, seeds {seeds}; {duration} on {device}, "
            f"torch {self.versions['torch']}, transformers {self.versions['transformers']}"
        )


def checkpoint_table(run: Results, paper: Sequence[PaperResult], split: str = "test") -> str:
    """Return a Markdown table of a checkpoint beside all seeds of its run and what the paper reports.

    Args:
        run: Whose best seed the checkpoint is.
        paper: The paper's results on that corpus; none where it reports none.
        split: train, valid or test.
    """
    summary = run.summary()[split]
    published = next(seed.metrics[split] for seed in run.runs if seed.seed == run.best_seed)
    keys = shown_metrics(summary)
    rows = [
        (
            f"paper ({entry.setting})",
            "",
            *(f"{entry.metrics[key]:.3f}" if key in entry.metrics else "-" for key in keys),
        )
        for entry in paper
    ]
    means = [mean_and_std(summary[key], len(run.seeds)) for key in keys]
    rows.append(("ours, mean ± deviation", str(len(run.seeds)), *means))
    single = [mean_and_std({"mean": published[key], "std": 0.0}, 1) for key in keys]
    rows.append((f"this checkpoint, seed {run.best_seed}", "1", *single))
    return "\n".join(
        [
            markdown_table(("", "seeds", *(METRIC_TITLES[key] for key in keys)), rows),
            "",
            f"{run._describe_split(split)}. The checkpoint is the best seed's by the validation split, "
            "the best epoch of it.",
            run._describe_making(),
        ]
    )


def read_results(path: str | Path) -> Results:
    """Read the results of a run.

    Args:
        path: Its folder or the file.

    Raises:
        MsaError: When there are none, or the file is of something else.
    """
    file = Path(path) / RESULTS_FILE if Path(path).is_dir() else Path(path)
    try:
        return Results.from_dict(json.loads(file.read_text(encoding="utf-8")))
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
    "checkpoint_table",
    "installed_versions",
    "read_results",
    "strict_json",
    "this_machine",
]
