"""`hf-msa robustness`: noise on a stream."""

from pathlib import Path
from typing import Annotated

import typer

from .bars import progress_bars
from .terminal import Json, print_json, print_text, quiet


def robustness(
    run: Annotated[Path, typer.Argument(help="Folder of a run of hf-msa train.")],
    stream: Annotated[str, typer.Option(help="Stream that gets noise: audio or visual.")] = "visual",
    strengths: Annotated[
        list[float] | None, typer.Option("--strength", help="Noise in standard deviations; may be repeated.")
    ] = None,
    corpus: Annotated[
        str | None, typer.Option(help="Corpus to measure on: a path, or 'sample'.", show_default="the run's")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Set an option of load_corpus, as key=value; may be repeated.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to measure: train, valid or test.")] = "test",
    psc: Annotated[bool, typer.Option("--psc", help="Prediction-space correlation too (extra plots).")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Folder for a plot of every seed's feature space; implies --psc.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how a run's error grows with noise on one stream, and whether its gates notice.

    Example: hf-msa robustness runs/agfn_sample --stream visual --strength 1 --strength 3
    """
    quiet()
    from hf_msa.evaluation.robustness import measure_robustness
    from hf_msa.training.yaml_values import read_options

    options = read_options(overrides) if overrides else None
    strengths = strengths or [1.0, 2.0, 3.0]
    with progress_bars(not as_json) as report:
        found = measure_robustness(
            run,
            corpus=corpus,
            split=split,
            stream=stream,
            strengths=strengths,
            with_psc=psc,
            corpus_options=options,
            plots=plot,
            report=report,
        )
    if as_json:
        print_json(found.to_dict())
        return
    print_text(found.to_markdown())


__all__ = ["robustness"]
