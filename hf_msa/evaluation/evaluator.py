"""Measure a checkpoint on a split of a corpus, as `hf-msa train` measured it."""

from typing import Any

from hf_msa.data.checks import check_dataset
from hf_msa.data.known_text import KnownText
from hf_msa.data.named import open_split
from hf_msa.pretrained.checkpoint import load_checkpoint
from hf_msa.progress import Report, ignore

from .predictions import predict_rows, score_predictions


def evaluate_checkpoint(
    name_or_path: str,
    corpus: str,
    split: str = "test",
    *,
    corpus_options: dict[str, Any] | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    report: Report = ignore,
) -> dict[str, Any]:
    """Return the metrics of a checkpoint on a split of a corpus, as `train_recipe` measured them.

    Args:
        name_or_path: Folder or repository.
        corpus: As in a recipe.
        split: train, valid or test.
        corpus_options: Options of `load_corpus`.
        revision: Branch, tag or commit of a repository.
        trust_remote_code: Let code run that came with the checkpoint; see `load_checkpoint`.
        report: Told of the rows that are done.

    Raises:
        MsaError: When the split does not exist, or its rows do not fit the model.
    """
    rows = open_split(corpus, split, corpus_options)
    model, processor = load_checkpoint(name_or_path, revision=revision, trust_remote_code=trust_remote_code)
    check_dataset(split, rows, model.config, processor.streams)
    KnownText(processor).read_rows(rows).warn(split)
    return score_predictions(predict_rows(model, processor, rows, report=report), model.config)


__all__ = ["evaluate_checkpoint"]
