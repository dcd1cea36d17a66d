"""`hf-msa sweep`: train every combination of some settings of a recipe."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .bars import progress_bars
from .terminal import Json, print_json, print_text, quiet


def sweep(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a YAML file as in examples/configs.")],
    grid: Annotated[
        list[str], typer.Option("--grid", help="Values to try for a key, as key=value,value in YAML; may be repeated.")
    ],
    seeds: Annotated[
        int | None,
        typer.Option(help="Number of seeds: the recipe's first, and more in sequence.", min=1, max=100),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the sweep.", show_default="runs/<name of the recipe>_sweep")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace a key of the recipe in all runs, as key=value; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train every combination of some settings of a recipe; the same command goes on where it was stopped.

    Example: hf-msa sweep examples/configs/pgf_net_sample.yaml --seeds 1 --grid model.fusion_start_layer=0,3 --grid
    lora.r=16,32
    """
    quiet()
    from hf_msa.training.recipe import shareable_setting
    from hf_msa.training.sweep import SWEEP_FILE, sweep_recipe

    folder = output or Path("runs") / f"{recipe.stem}_sweep"
    typed = ["hf-msa", "sweep", recipe.name, *(part for entry in grid for part in ("--grid", entry))]
    typed += [part for value in overrides or [] for part in ("--set", shareable_setting(value))]
    typed += ["--seeds", str(seeds)] if seeds is not None else []
    with progress_bars(not as_json) as report:
        result = sweep_recipe(
            recipe,
            grid,
            output=folder,
            overrides=overrides or [],
            seeds=seeds,
            report=report,
            command=shlex.join(typed),
        )
    if result is None:  # one of several processes, not the first
        return
    if as_json:
        print_json(result.to_dict())
        return
    print_text(result.to_markdown())
    print_text(f"\n{folder / SWEEP_FILE} holds the table for hf-msa card.")


__all__ = ["sweep"]
