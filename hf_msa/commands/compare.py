"""`hf-msa compare`: is one run better than another?"""

from pathlib import Path
from typing import Annotated

import typer

from .tables import print_metrics
from .terminal import Json, print_json, print_text, quiet


def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of the first run.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of the run that may be better.")],
    split: Annotated[str, typer.Option(help="Split to compare: train, valid or test.")] = "test",
    as_json: Json = False,
) -> None:
    """Say whether one of two runs is better: paired bootstrap over utterances and seeds.

    Example: hf-msa compare runs/text_only runs/all_three
    """
    quiet()
    from hf_msa.evaluation.comparison import compare_runs

    comparison = compare_runs(run_a, run_b, split)
    if as_json:
        print_json(comparison.to_dict())
        return
    rows = dict(zip(comparison.names, comparison.metrics, strict=True))
    print_metrics(split, rows, with_std=max(comparison.seeds) > 1)
    print_text(f"\n{comparison}")


__all__ = ["compare"]
