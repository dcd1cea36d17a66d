"""Noise on one stream: how much worse do the scores get, and does the model trust that stream less?

Noise is Gaussian and measured in standard deviations of the training split, since it is added to frames that the
processor has normalised; missing streams stay missing.

Shapes: B batch, N utterances, K strengths, S seeds, M streams.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_msa.errors import MsaError
from hf_msa.evaluation.bootstrap import BootstrapResult, paired_bootstrap
from hf_msa.evaluation.predictions import BATCH_SIZE, predict_rows
from hf_msa.models.streams_msa import FRAME_STREAMS, STREAMS


class NoisyProcessor:
    """A processor whose batches have noise on one stream; it collates, and is otherwise the one given.

    Args:
        processor: The model's processor, fitted.
        stream: "audio" or "visual".
        strength: Standard deviation of the noise, in those of the features.
        seed: Of the noise; the same rows in the same order get the same noise, scaled by the strength.

    Raises:
        MsaError: For another stream or a negative strength.
    """

    def __init__(self, processor: Any, stream: str, strength: float, seed: int = 0) -> None:
        if stream not in FRAME_STREAMS:
            raise MsaError(f"stream: expected 'audio' or 'visual', got {stream!r}")
        if not 0 <= strength < float("inf"):
            raise MsaError(f"strength: expected a finite number of 0 or more, got {strength!r}")
        self.processor = processor
        self.stream = stream
        self.strength = strength
        self.generator = torch.Generator().manual_seed(seed)

    def collate(self, rows: Sequence[Any]) -> Any:
        """Return the batch of `processor.collate` with noise on the real frames of the stream."""
        batch = self.processor.collate(rows)
        values, mask = batch[f"{self.stream}_values"], batch[f"{self.stream}_attention_mask"]
        noise = torch.randn(values.shape, generator=self.generator)
        batch[f"{self.stream}_values"] = values + self.strength * noise * mask.unsqueeze(-1)
        return batch


@dataclass(frozen=True)
class NoiseRise:
    """How much the error grows under noise.

    Args:
        stream: The stream that was disturbed.
        strength: Standard deviation of the noise, in those of the features.
        error: Mean error under noise.
        clean_error: Mean error without noise.
        rise: Their difference, with its interval over utterances and seeds.
    """

    stream: str
    strength: float
    error: float
    clean_error: float
    rise: BootstrapResult

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def noise_rise(
    checkpoints: Sequence[tuple[Any, Any]], rows: Any, stream: str, strengths: Sequence[float], seed: int = 0
) -> list[NoiseRise]:
    """Return the rise of the error with each strength of noise on a stream.

    Args:
        checkpoints: Model and processor of each of S seeds.
        rows: A split of a corpus.
        stream: "audio" or "visual".
        strengths: K standard deviations.
        seed: Of the noise.
    """
    label_range = checkpoints[0][0].config.label_range
    clean_SN = np.stack([predict_rows(model, processor, rows).errors(label_range) for model, processor in checkpoints])
    found = []
    for strength in strengths:
        noisy_SN = np.stack(
            [
                predict_rows(model, NoisyProcessor(processor, stream, strength, seed), rows).errors(label_range)
                for model, processor in checkpoints
            ]
        )
        # The same seeds on both sides: what a seed loses by the noise, and not what it has against another seed.
        rise = paired_bootstrap(noisy_SN - clean_SN, np.zeros_like(clean_SN))
        found.append(NoiseRise(stream, float(strength), float(noisy_SN.mean()), float(clean_SN.mean()), rise))
    return found


@dataclass(frozen=True)
class GateResponse:
    """Whether a model trusts a stream less when it is noisy.

    Args:
        stream: The stream that was disturbed.
        strengths: K standard deviations of noise, 0 first.
        weights: Mean weight of that stream over the utterances that have it, at each strength.
        rank_correlation: Spearman's, between strength and weight over all utterances and strengths; below 0 the model
            turns away from noise. NaN where the weight never changes.
        falling: Share of the utterances whose weight is lower at the greatest strength than without noise.
    """

    stream: str
    strengths: tuple[float, ...]
    weights: tuple[float, ...]
    rank_correlation: float
    falling: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def gate_response(
    model: Any, processor: Any, rows: Any, stream: str, strengths: Sequence[float] = (1.0, 2.0, 3.0), seed: int = 0
) -> GateResponse:
    """Measure a stream's weight, as `model.explain` gives it, under rising noise.

    Args:
        model: A model with gates.
        processor: Its processor.
        rows: A split of a corpus; utterances without the stream are left out.
        stream: "audio" or "visual".
        strengths: Standard deviations of noise; the clean stream is measured before them.
        seed: Of the noise.

    Raises:
        MsaError: When the model has no gates, or no row has the stream.
    """
    levels = (0.0, *(float(strength) for strength in strengths))
    chosen = [row for row in rows if row.get(stream) is not None and len(row[stream])]
    if not chosen:
        raise MsaError(f"rows: expected some with {stream}, got none")
    weights_KN = np.stack(
        [_stream_weights(model, NoisyProcessor(processor, stream, level, seed), chosen, stream) for level in levels]
    )
    strengths_KN = np.broadcast_to(np.asarray(levels)[:, None], weights_KN.shape)
    return GateResponse(
        stream=stream,
        strengths=levels,
        weights=tuple(weights_KN.mean(axis=1).tolist()),
        rank_correlation=spearman(strengths_KN.ravel(), weights_KN.ravel()),
        falling=float((weights_KN[-1] < weights_KN[0]).mean()),
    )


def _stream_weights(model: Any, processor: Any, rows: Sequence[Any], stream: str) -> NDArray[np.float64]:
    weights = []
    for start in range(0, len(rows), BATCH_SIZE):
        batch = processor.collate(rows[start : start + BATCH_SIZE])
        batch.pop("labels", None)
        shares = model.explain(**batch.to(model.device)).stream_shares
        weights.append(shares[:, STREAMS.index(stream)].double().cpu().numpy())
    return np.concatenate(weights)


def spearman(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return Spearman's rank correlation, equal values sharing their mean rank; NaN where one side is constant.

    Args:
        first: (N,).
        second: (N,).
    """
    if (first == first[0]).all() or (second == second[0]).all():
        return float("nan")
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return (ends - (counts - 1) / 2)[inverse]


__all__ = ["GateResponse", "NoiseRise", "NoisyProcessor", "gate_response", "noise_rise", "spearman"]
