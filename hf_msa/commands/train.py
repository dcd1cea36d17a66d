"""`hf-msa train`: carry out a recipe."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from .bars import progress_bars
from .tables import print_metrics
from .terminal import Json, Overrides, print_json, print_text, quiet


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a YAML file as in examples/configs.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="runs/<name of the recipe>")
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="Corpus in place of the recipe's: a path, or 'sample'.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Number of seeds: the recipe's first ones, then more in sequence.", min=1, max=100),
    ] = None,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    as_json: Json = False,
) -> None:
    """Train a recipe with several seeds; write the best checkpoint, every seed's, and results.json.

    Example: hf-msa train examples/configs/pgf_net_sample.yaml --seeds 1 --set num_train_epochs=4
    """
    quiet()
    from hf_msa.training.recipe import first_seeds, read_recipe, shareable_setting
    from hf_msa.training.run import train_recipe

    chosen = [
        *(overrides or []),
        *([f"corpus={json.dumps(corpus, ensure_ascii=False)}"] if corpus is not None else []),
    ]
    plan = read_recipe(recipe, chosen)
    plan.seeds = first_seeds(plan.seeds, seeds)
    folder = output or Path("runs") / recipe.stem
    typed = ["hf-msa", "train", recipe.name]
    typed += [part for value in overrides or [] for part in ("--set", shareable_setting(value))]
    typed += ["--seeds", str(seeds)] if seeds is not None else []
    with progress_bars(not as_json) as report:
        results = train_recipe(plan, folder, resume=resume, report=report, command=shlex.join(typed))
    if results is None:  # one of several processes, not the first
        return
    if as_json:
        print_json({"folder": str(folder), "best_seed": results.best_seed, "summary": results.summary()})
        return
    many = len(results.runs) > 1
    title = f"{results.name}: {'mean ± deviation over seeds' if many else 'seed'} "
    print_metrics(title + ", ".join(map(str, results.seeds)), results.summary(), with_std=many)
    print_text(f"\n{results.seconds:.0f} s. {folder} holds seed {results.best_seed}, the best on valid.")


__all__ = ["train"]
