"""Noise on one stream: how much worse do the scores get?

Noise is Gaussian and measured in standard deviations of the training split, since it is added to frames that the
processor has normalised; missing streams stay missing.

Shapes: B batch, N utterances, K strengths of noise before which the clean stream stands, S seeds.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_msa.errors import MsaError
from hf_msa.evaluation.bootstrap import BootstrapResult, paired_bootstrap
from hf_msa.evaluation.predictions import make_predictions, map_rows, pop_labels
from hf_msa.models.streams_msa import FRAME_STREAMS, STREAMS
from hf_msa.progress import Report, ignore


class NoisyProcessor:
    """A processor whose batches have noise on one stream; it collates, and is otherwise the one given.

    Args:
        processor: The model's processor, fitted.
        stream: "audio" or "visual".
        strength: Standard deviation of the noise, in those of the features.
        seed: Seed of the noise; the same rows in the same order get the same noise, scaled by the strength.

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
class NoisePasses:
    """What a model said of every row while the noise on one stream rose.

    Args:
        stream: The stream that was disturbed.
        strengths: (1 + K,) standard deviations of the noise, 0 first.
        errors: (1 + K, N) errors of the scores.
        has_stream: (N,) whether an utterance has the stream.
        weights: (1 + K, N) the stream's weight as `model.explain` gives it; None where it was not asked for.
    """

    stream: str
    strengths: tuple[float, ...]
    errors: NDArray[np.float64]
    has_stream: NDArray[np.bool_]
    weights: NDArray[np.float64] | None = None


def run_under_noise(
    model: Any,
    processor: Any,
    rows: Any,
    *,
    stream: str,
    strengths: Sequence[float] = (1.0, 2.0, 3.0),
    with_weights: bool = False,
    seed: int = 0,
    report: Report = ignore,
    task: str = "noise",
) -> NoisePasses:
    """Run a model over the rows without noise, and again with noise of each strength on one stream.

    Args:
        model: A model with a head; it stays on its device and in its mode.
        processor: Its processor.
        rows: A split of a corpus.
        stream: "audio" or "visual".
        strengths: K standard deviations of the noise, in those of the features.
        with_weights: Whether to ask for the stream's weight too, which takes a model that can explain.
        seed: Seed of the noise.
        report: Told of the rows that are done at each strength.
        task: What the report calls it.

    Raises:
        MsaError: For another stream, a negative strength or none, and when no row has the stream.
    """
    if not strengths:
        raise MsaError("strengths: expected at least one, got none")
    levels = (0.0, *(float(strength) for strength in strengths))
    # All of them before the first pass: a mistake in the last strength shows at once.
    noisy = [NoisyProcessor(processor, stream, level, seed) for level in levels]

    def compute(batch: Any) -> list[Tensor]:
        labels = pop_labels(batch)
        output = model.explain(**batch) if with_weights else model(**batch)
        has_stream = batch[f"{stream}_attention_mask"].bool().any(dim=1)
        said = [labels, output.logits, has_stream]
        return [*said, output.stream_shares[:, STREAMS.index(stream)]] if with_weights else said

    errors, weights = [], []
    for level, disturbed in zip(levels, noisy, strict=True):
        labels, logits, has_stream, *shares = map_rows(
            compute, model, disturbed, rows, report=report, task=f"{task} {level:g}"
        )
        if not has_stream.any():
            raise MsaError(f"rows: expected some with {stream}, got none")
        errors.append(make_predictions(model, rows, labels, logits).errors(model.config.label_range))
        weights += shares
    return NoisePasses(
        stream, levels, np.stack(errors), has_stream, np.stack(weights).astype(np.float64) if weights else None
    )


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

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "NoiseRise":
        """Return what `to_dict` gave."""
        return cls(**content | {"rise": BootstrapResult(**content["rise"])})

    def to_markdown(self) -> str:
        """Return the rise with its interval."""
        return f"{self.rise.difference:+.3f} ({self.rise.low:+.3f} to {self.rise.high:+.3f})"


def noise_rises(passes: Sequence[NoisePasses]) -> tuple[NoiseRise, ...]:
    """Return the rise of the error with each strength of noise.

    Args:
        passes: One per seed, of the same rows under the same noise.
    """
    errors_SKN = np.stack([of_seed.errors for of_seed in passes])
    clean_SN = errors_SKN[:, 0]
    rises = []
    for number, strength in list(enumerate(passes[0].strengths))[1:]:
        noisy_SN = errors_SKN[:, number]
        # The same seeds on both sides: what a seed loses by the noise, and not what it has against another seed.
        rise = paired_bootstrap(noisy_SN - clean_SN, np.zeros_like(clean_SN))
        rises.append(NoiseRise(passes[0].stream, strength, float(noisy_SN.mean()), float(clean_SN.mean()), rise))
    return tuple(rises)


__all__ = ["NoisePasses", "NoiseRise", "NoisyProcessor", "noise_rises", "run_under_noise"]
