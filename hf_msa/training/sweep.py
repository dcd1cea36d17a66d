"""Train every combination of a few settings of one recipe, and put what came out into one table.

<output>/<setting>,<setting>/    a run each, as `hf-msa train` writes it
<output>/sweep.json              the grid, the runs' metrics, and which of them is the best by the validation split
"""

import itertools
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from hf_msa.errors import RecipeError
from hf_msa.evaluation.markdown import METRIC_TITLES, markdown_table, mean_and_std, shown_metrics
from hf_msa.evaluation.results import RESULTS_FILE, Results, read_results, strict_json
from hf_msa.evaluation.selection import Selection
from hf_msa.files import without_folders, write_file
from hf_msa.pretrained.checkpoint import read_config
from hf_msa.progress import Report, ignore

from .recipe import Recipe, first_seeds, read_recipe
from .run import train_recipe
from .yaml_values import cast_value, read_options

SWEEP_FILE = "sweep.json"


@dataclass(frozen=True)
class Sweep:
    """The runs of a sweep.

    Args:
        name: Name of the sweep.
        corpus: As in `Results`, the same for all runs.
        metric: The validation metric that makes a run the best.
        best: The name of that run, in which the test split has no say; None where the metric is NaN in every run.
        runs: One per combination: `name`, `set` (its settings), `seeds`, `trainable_parameters`, and of the valid and
            the test split mean and deviation of every metric over the seeds.
        command: What was typed.
    """

    kind: ClassVar[str] = "sweep"
    name: str
    corpus: dict[str, Any]
    metric: str
    best: str | None
    runs: list[dict[str, Any]]
    command: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return strict_json(asdict(self))

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Sweep":
        """Return what `to_dict` gave.

        Args:
            content: What stands in `sweep.json`.
        """
        return cls(**content)

    def to_markdown(self, *others: "Sweep") -> str:
        """Return a table, a row per combination, the best by validation in bold; other sweeps have tables below.

        Args:
            others: Further sweeps.
        """
        keys = list(self.runs[0]["set"])
        test = shown_metrics(self.runs[0]["test"])
        headings = [
            *(f"`{key}`" for key in keys),
            "seeds",
            "trainable",
            f"valid {METRIC_TITLES.get(self.metric, self.metric)}",
            *(f"test {METRIC_TITLES[key]}" for key in test),
        ]
        rows = []
        for run in self.runs:
            num_seeds = len(run["seeds"])
            cells = [json.dumps(run["set"][key], ensure_ascii=False) for key in keys]
            cells += [str(num_seeds), f"{run['trainable_parameters']:,}"]
            cells.append(mean_and_std(run["valid"][self.metric], num_seeds))
            if run["name"] == self.best:
                cells = [f"**{cell}**" for cell in cells]
            rows.append([*cells, *(mean_and_std(run["test"][key], num_seeds) for key in test)])
        table = (
            f"{markdown_table(headings, rows)}\n\n"
            f"`{self.command}` on `{self.corpus['name']}`, SHA-256 `{self.corpus['sha256'][:16]}`; mean ± deviation "
            "over seeds. In bold the best on the validation split; the test split chose nothing."
        )
        return "\n\n".join([table, *(other.to_markdown() for other in others)])


def sweep_recipe(
    path: str | Path,
    grid: Sequence[str],
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    seeds: int | None = None,
    report: Report = ignore,
    command: str = "",
) -> Sweep | None:
    """Train every combination of settings, but for those that are finished; go on with one that is not.

    Args:
        path: The recipe.
        grid: "key=value,value": what takes each of these values, in YAML; "model.fusion_layers=[29],[23,29]".
        output: Folder of the sweep.
        overrides: "key=value" for all runs.
        seeds: As many of the recipe's seeds, or more in sequence; None for the recipe's.
        report: Told how far the runs are.
        command: What was typed, for the record.

    Returns:
        What stands in `sweep.json`; None in all processes but the first.

    Raises:
        RecipeError: For a grid that is none, a setting that the recipe refuses, and a folder that holds a run of
            another recipe or corpus.
    """
    axes = read_grid(grid)
    plans: dict[str, tuple[dict[str, Any], Recipe]] = {}
    for values in itertools.product(*axes.values()):
        settings = dict(zip(axes, values, strict=True))
        chosen = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
        # Every recipe is read before the first is trained: a mistake in the last combination shows at once.
        plan = read_recipe(path, [*overrides, *chosen])
        plan.seeds = first_seeds(plan.seeds, seeds)
        name = combination_name(settings)
        if name in plans:
            raise RecipeError(f"grid: expected different values, got {name} twice")
        plans[name] = (settings, plan)
    output = Path(output)
    _check_table(output / SWEEP_FILE)
    runs: dict[str, Results] = {}
    for name, (_, plan) in plans.items():
        results = _finished(output / name, plan)
        if results is None:
            results = train_recipe(plan, output / name, resume=True, report=report, command=command)
        if results is not None:
            runs[name] = results
    if len(runs) < len(plans):
        return None
    hashes = {run.corpus["sha256"] for run in runs.values()}
    if len(hashes) > 1:
        raise RecipeError(f"output: expected runs on one corpus, got {len(hashes)} in {output}; delete the older runs")
    sweep = _summarise(output, plans, runs, command=command)
    write_file(output / SWEEP_FILE, json.dumps(sweep.to_dict(), indent=2) + "\n")
    return sweep


def read_grid(grid: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values of every key, from "key=value,value".

    Args:
        grid: As for `sweep_recipe`.

    Raises:
        RecipeError: For none at all, a key without values or given twice, and what is no YAML.
    """
    axes: dict[str, list[Any]] = {}
    for entry in grid:
        key, equals, text = entry.partition("=")
        if not key or not equals or not text.strip():
            raise RecipeError(f"grid: expected key=value,value, got {entry!r}")
        if key in axes:
            raise RecipeError(f"grid: expected every key once, got {key!r} twice")
        try:
            # Cast, since YAML takes `1e-3` for a string.
            axes[key] = cast_value(read_options([f"values=[{text}]"])["values"], Any, "grid")
        except ValueError as error:
            raise RecipeError(f"grid: expected YAML values, got {entry!r}") from error
    if not axes:
        raise RecipeError("grid: expected at least one key=value,value, got none")
    return axes


def combination_name(settings: dict[str, Any]) -> str:
    """Return a name for a folder, as "num_fusion_tokens=4,fusion_layers=23-29".

    Args:
        settings: Values by key.
    """
    parts = []
    for key, value in settings.items():
        text = re.sub(r"[^\w.+-]+", "-", json.dumps(without_folders(value), ensure_ascii=False))
        parts.append(f"{key.rsplit('.', 1)[-1]}={text.strip('-')}")
    return ",".join(parts)


def _check_table(file: Path) -> None:
    """Refuse a file of somebody's that has the name of the sweep's table, before anything is trained."""
    if not os.path.lexists(file):
        return
    try:
        Sweep.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RecipeError(f"output: expected the table of an older sweep in {file}, got something else") from error


def _finished(folder: Path, plan: Recipe) -> Results | None:
    if not (folder / RESULTS_FILE).exists():
        return None
    results = read_results(folder)
    expected = json.loads(json.dumps(plan.to_shareable_dict()))
    different = sorted(key for key in expected | results.recipe if expected.get(key) != results.recipe.get(key))
    if different:
        raise RecipeError(f"output: expected a run of this recipe in {folder}, got another {', '.join(different)}")
    return results


def _summarise(
    output: Path, plans: dict[str, tuple[dict[str, Any], Recipe]], runs: dict[str, Results], *, command: str
) -> Sweep:
    summaries = {key: run.summary() for key, run in runs.items()}
    (first, run), (_, plan) = next(iter(runs.items())), next(iter(plans.values()))
    arguments = (plan.training.get(key) for key in ("metric_for_best_model", "greater_is_better"))
    selection = Selection.of(read_config(str(output / first)), *arguments)
    values = {key: summary["valid"][selection.metric]["mean"] for key, summary in summaries.items()}
    best = selection.best(values)
    rows = [
        {
            "name": key,
            "set": without_folders(plans[key][0]),
            "seeds": results.seeds,
            "trainable_parameters": results.model["trainable_parameters"],
            **{split: summaries[key][split] for split in ("valid", "test")},
        }
        for key, results in runs.items()
    ]
    return Sweep(
        name=output.name,
        corpus=run.corpus,
        metric=selection.metric,
        best=None if math.isnan(values[best]) else best,
        runs=rows,
        command=command,
    )


__all__ = ["SWEEP_FILE", "Sweep", "combination_name", "read_grid", "sweep_recipe"]
