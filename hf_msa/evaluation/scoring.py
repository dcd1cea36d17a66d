"""Score utterances as they come: in batches, in their order, whatever is wrong with one of them."""

import itertools
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from hf_msa.data.known_text import KnownText
from hf_msa.data.utterances import Utterance
from hf_msa.errors import MsaError, MsaWarning
from hf_msa.models.frames_msa import content_of
from hf_msa.models.streams_msa import FRAME_STREAMS

# Batches among which like lengths are put together; no more utterances than these are in memory.
WINDOW = 8


def score_utterances(
    pipe: Any, utterances: Iterable[Utterance], *, batch_size: int = 32, explain: bool = False
) -> Iterator[tuple[Utterance, dict[str, Any] | None]]:
    """Yield every utterance with what the pipeline says of it, the same as one at a time within float32's rounding.

    As in a corpus that is read, a stream of zeros or without a finite value is missing; an extractor wrote it that
    failed.

    Args:
        pipe: The pipeline of a checkpoint.
        utterances: As `read_utterances` gives them; read a window at a time.
        batch_size: Utterances per forward pass.
        explain: Add the shares of the streams, and of words.

    Yields:
        The utterance and its score, or None where the utterance has a problem.

    Warns:
        MsaWarning: After the last, of the streams that counted as missing, and of texts that the tokenizer does not
            know.
    """
    text, missing = KnownText(pipe.processor), Counter[str]()
    stream = iter(utterances)
    while read := list(itertools.islice(stream, batch_size * WINDOW)):
        window = [replace(one, fields=_without_empty_streams(one.fields, pipe.processor, missing)) for one in read]
        order = sorted(range(len(window)), key=lambda i: len(str(window[i].fields.get("text") or "")))
        good = [i for i in order if window[i].problem is None]
        scores: dict[int, dict[str, Any] | MsaError] = {}
        for start in range(0, len(good), batch_size):
            batch = good[start : start + batch_size]
            answers = _score([window[i].fields for i in batch], pipe, explain)
            scores.update(zip(batch, answers, strict=True))
        text.read(window[i].fields.get("text") for i, score in scores.items() if not isinstance(score, MsaError))
        for i, utterance in enumerate(window):
            score = scores.get(i)
            if isinstance(score, MsaError):
                yield Utterance(utterance.line, problem=str(score)), None
            else:
                yield utterance, score
    text.warn("utterances")
    if missing:
        found = ", ".join(f"{count} with {kind}" for kind, count in missing.items())
        warnings.warn(f"utterances: such a stream counts as missing: {found}", MsaWarning, stacklevel=2)


def _without_empty_streams(fields: dict[str, Any], processor: Any, missing: Counter[str]) -> dict[str, Any]:
    """Return an utterance in which a stream without any value is missing, and count it."""
    kept = dict(fields)
    for stream in FRAME_STREAMS:
        frames, dim = fields.get(stream), getattr(processor.feature_extractor, f"{stream}_dim")
        # Of another kind or width it is not missing but wrong, as the processor will say.
        if isinstance(frames, np.ndarray) and frames.dtype.kind in "fiu" and frames.shape[1:] == (dim,):
            content = content_of(frames)
            if content in ("zeros", "nan"):
                missing[f"{stream} of {'zeros' if content == 'zeros' else 'NaN'} alone"] += 1
                kept[stream] = None
    return kept


def _score(rows: list[dict[str, Any]], pipe: Any, explain: bool) -> list[dict[str, Any] | MsaError]:
    """Return a score or an error per row; a batch that fails is split until the row is found that is wrong."""
    try:
        return list(_score_batch(rows, pipe, explain)) if len(rows) > 1 else [pipe(rows[0], explain=explain)]
    except ValueError as error:
        if not _is_msa_error(error):
            raise
        if len(rows) == 1:
            return [MsaError(str(error))]
        middle = len(rows) // 2
        return _score(rows[:middle], pipe, explain) + _score(rows[middle:], pipe, explain)


def _score_batch(rows: list[dict[str, Any]], pipe: Any, explain: bool) -> Iterator[dict[str, Any]]:
    # Alone first: the pipeline checks what a collator does not, the keys and the kind of the features.
    alone = [pipe.preprocess(row, explain=explain) for row in rows]
    inputs = dict(pipe.processor.collate([_as_corpus_row(row) for row in rows]))
    if explain:
        inputs["token_words"] = None
    outputs = pipe.forward(inputs, explain=explain)
    tensors = {name: value for name, value in outputs.items() if isinstance(value, torch.Tensor)}
    for i, one in enumerate(alone):
        yield pipe.postprocess(
            {name: value[i : i + 1] for name, value in tensors.items()} | {"token_words": one.get("token_words")}
        )


def _as_corpus_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the collator reads it: no labels, and rates that stand with the features in their own place."""
    changed = {key: value for key, value in row.items() if key not in ("label", "labels")}
    for stream in ("audio", "visual"):
        features = row.get(f"{stream}_features")
        if row.get(f"{stream}_rate") is None and isinstance(features, dict):
            changed[f"{stream}_rate"] = features.get("rate")
    return changed


def _is_msa_error(error: Exception) -> bool:
    # By name: a checkpoint that brings its own code brings its own class.
    return any(kind.__name__ == "MsaError" for kind in type(error).__mro__)


__all__ = ["WINDOW", "score_utterances"]
