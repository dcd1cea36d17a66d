"""`hf-msa demo`: everything a user does, in one short run."""

from pathlib import Path
from typing import Annotated

import typer

from .bars import progress_bars
from .terminal import Json, print_json, quiet


def demo(
    output: Annotated[Path, typer.Option(help="Folder for the trained checkpoint.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="Seed for initial values and batch order.", min=0)] = 1111,
    as_json: Json = False,
) -> None:
    """Train PGF-Net on the sample corpus, save it, load it in a fresh process and predict.

    Example: hf-msa demo --output runs/demo
    """
    quiet()
    from hf_msa.pretrained.checkpoint import check_output
    from hf_msa.training.quickstart import run_demo

    check_output(output)
    with progress_bars(not as_json) as report:
        result = run_demo(output, seed=seed, report=report)
    if as_json:
        print_json(
            {
                "metrics": result.metrics,
                "predictions": result.predictions,
                "labels": result.labels,
                "folder": str(result.folder),
                "seconds": result.seconds,
            }
        )
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    table = Table(title="Test split of the sample corpus (made, 100 utterances)", title_justify="left")
    table.add_column("run")
    for name in ("MAE", "corr", "Acc-2 has0", "Acc-2 non0", "Acc-7"):
        table.add_column(name, justify="right")
    for run, metrics in result.metrics.items():
        keys = ("mae", "corr", "acc_2_has0", "acc_2_non0", "acc_7")
        table.add_row(run, *("-" if metrics[key] != metrics[key] else f"{metrics[key]:.3f}" for key in keys))
    console.print(table)
    console.print(f"\nLoaded {result.folder} in a fresh process; the text's share of each word in brackets:")
    for label, prediction in zip(result.labels, result.predictions, strict=True):
        words = " ".join(f"{word['word']}[{word['text_share']:.3f}]" for word in prediction["words"])
        console.print(f"  {prediction['score']:+.2f} (true {label:+.1f})  {words}", markup=False, highlight=False)
        shares = ", ".join(f"{stream} {share:.2f}" for stream, share in prediction["shares"].items())
        console.print(f"        shares: {shares}", markup=False, highlight=False)
    console.print(f"\n{result.seconds:.0f} s. Next: hf-msa predict {result.folder} FILE.jsonl", highlight=False)


__all__ = ["demo"]
