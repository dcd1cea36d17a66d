"""`hf-msa benchmark`: what a model costs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hf_msa.models import MODELS

from .bars import progress_bars
from .terminal import Json, print_json, quiet

if TYPE_CHECKING:
    from hf_msa.costs.corpus_memory_result import CorpusMemory
    from hf_msa.costs.speed_result import BenchmarkResult


def benchmark(
    model: Annotated[
        str, typer.Argument(help=f"Folder or repository of a checkpoint, or a model type: {', '.join(MODELS)}.")
    ],
    batch_size: Annotated[int, typer.Option(help="Number of utterances per batch.", min=1)] = 32,
    alignment: Annotated[
        str | None,
        typer.Option(
            help="word: a frame per token; none: streams of their own lengths.",
            show_default="as the model's processor",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Number of measurements per figure.", min=1)] = 10,
    forward_only: Annotated[bool, typer.Option("--forward-only", help="Leave the training steps out.")] = False,
    corpus_memory: Annotated[
        bool,
        typer.Option("--corpus-memory", help="Measure instead the memory of training on a corpus of MOSEI's shape."),
    ] = False,
    rows: Annotated[
        int | None, typer.Option(help="Rows of that corpus.", show_default="22856, which need 11 GB of disk")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder in which that corpus lies meanwhile.", show_default="the system's")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure time, memory and FLOPs beside the bare text encoder, on the same batch in the same run.

    With --corpus-memory: make a corpus of 22,856 rows of 500 frames, train a model type on it, and say what that takes
    beyond the model's own memory.

    Example: hf-msa benchmark pgf_net --alignment none
    """
    quiet()
    from hf_msa.errors import MsaError

    result: CorpusMemory | BenchmarkResult
    if corpus_memory:
        from hf_msa.costs.corpus_memory import benchmark_corpus_memory

        with progress_bars(shown=not as_json) as report:
            result = benchmark_corpus_memory(
                model,
                rows=rows,
                batch_size=batch_size,
                alignment=alignment or "word",
                folder=folder,
                report=report,
            )
    elif rows is not None or folder is not None:
        raise MsaError("rows, folder: expected only with --corpus-memory")
    else:
        from hf_msa.costs import speed

        result = speed.benchmark(
            speed.load_for_benchmark(model),
            batch_size=batch_size,
            alignment=alignment,
            repeats=repeats,
            training=not forward_only,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        sys.stdout.write(result.to_text() + "\n")


__all__ = ["benchmark"]
