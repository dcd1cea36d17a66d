"""`hf-msa evaluate`: measure a checkpoint."""

from typing import Annotated

import typer

from .bars import progress_bars
from .tables import print_metrics
from .terminal import Json, Revision, TrustRemoteCode, print_json, quiet


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder or repository of a checkpoint.")],
    corpus: Annotated[str, typer.Option(help="Corpus to measure on: a path, or 'sample'.")],
    split: Annotated[str, typer.Option(help="Split to measure: train, valid or test.")] = "test",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Set an option of load_corpus, as key=value; may be repeated.")
    ] = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Measure a checkpoint on a split of a corpus; repeats the numbers of results.json exactly.

    Example: hf-msa evaluate runs/pgf_net_sample --corpus sample --split test
    """
    quiet()
    from hf_msa.evaluation.evaluator import evaluate_checkpoint
    from hf_msa.training.yaml_values import read_options

    options = read_options(overrides or [])
    with progress_bars(not as_json) as report:
        metrics = evaluate_checkpoint(
            model,
            corpus,
            split,
            corpus_options=options,
            revision=revision,
            trust_remote_code=trust_remote_code,
            report=report,
        )
    if as_json:
        print_json(metrics)
    else:
        print_metrics(f"{model} on {corpus}", {split: {key: {"mean": value} for key, value in metrics.items()}})


__all__ = ["evaluate"]
