"""Measure the robustness of a run on its corpus, after checking that run and corpus belong together."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from hf_msa.data.fingerprint import corpus_sha256
from hf_msa.evaluation.results import read_results
from hf_msa.evaluation.robustness import Robustness, measure_robustness

from .corpus import check_split, open_corpus
from .trainer import check_dataset


def run_robustness(
    run: str | Path,
    corpus: str | None = None,
    split: str = "test",
    stream: str = "visual",
    strengths: Sequence[float] = (1.0, 2.0, 3.0),
    with_psc: bool = False,
    corpus_options: dict[str, Any] | None = None,
    progress: Callable[[str], None] = lambda _: None,
    plots: str | Path | None = None,
) -> Robustness:
    """Measure every seed of a run of `train_recipe` under noise on one stream; see `measure_robustness`.

    Args:
        run: Its folder.
        corpus: As in a recipe; None takes the run's own, which must not have changed. Of another one than the run was
            trained on this warns, since the same rows as Parquet are another file too.
        split: train, valid or test.
        stream: "audio" or "visual".
        strengths: Standard deviations of the noise, in those of the features.
        with_psc: Measure the prediction-space correlation too.
        corpus_options: Of `load_corpus`; None takes the run's, for its own corpus.
        progress: Called with what is being measured.
        plots: Folder for a plot of every seed's feature space; needs the correlation, which is then measured too.

    Raises:
        ValueError: When the folder is no run, its corpus has changed, the rows do not fit the model, or as
            `measure_robustness`.
    """
    check_split(split)
    results = read_results(run)
    if corpus_options is None and corpus is None:
        corpus_options = results.recipe["corpus_options"]
    found = open_corpus(results.recipe["corpus"] if corpus is None else corpus, corpus_options)
    sha256, expected = corpus_sha256(found.path), results.corpus["sha256"]
    if sha256 != expected:
        message = f"corpus: expected that of the run, of SHA-256 {expected}, got {found.path} of {sha256}"
        if corpus is None:
            raise ValueError(f"{message}; --corpus measures on another one")
        warnings.warn(message, stacklevel=2)
    rows = found.splits[split]
    check_dataset(split, rows, AutoConfig.from_pretrained(str(run)), results.recipe["streams"])
    return measure_robustness(run, rows, split, stream, strengths, with_psc, progress, plots)


__all__ = ["run_robustness"]
