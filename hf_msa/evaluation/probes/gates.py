"""The answer of the gates: does a model trust a stream less when it is noisy?

Shapes: N utterances, K strengths of noise before which the clean stream stands.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_msa.errors import MsaError

from .noise import NoisePasses


@dataclass(frozen=True)
class GateResponse:
    """Whether a model trusts a stream less when it is noisy.

    Args:
        stream: The stream that was disturbed.
        strengths: Standard deviations of the noise, 0 first.
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

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "GateResponse":
        """Return what `to_dict` gave, NaN where a file has null."""
        correlation = content["rank_correlation"]
        return cls(
            **content
            | {
                "strengths": tuple(content["strengths"]),
                "weights": tuple(content["weights"]),
                "rank_correlation": math.nan if correlation is None else correlation,
            }
        )

    def to_markdown(self) -> str:
        """Return the figures in one line."""
        return f"rank correlation {self.rank_correlation:+.3f}, {self.falling:.1%} of the utterances turn away"


def gate_response(passes: NoisePasses) -> GateResponse:
    """Return how the weight of a stream follows the noise on it, over the utterances that have the stream.

    Args:
        passes: What `run_under_noise` gave with weights.

    Raises:
        MsaError: For passes without weights.
    """
    if passes.weights is None:
        raise MsaError("passes: expected weights, got none; run_under_noise(..., with_weights=True) asks for them")
    weights_KN = passes.weights[:, passes.has_stream]
    strengths_KN = np.broadcast_to(np.asarray(passes.strengths)[:, None], weights_KN.shape)
    return GateResponse(
        stream=passes.stream,
        strengths=passes.strengths,
        weights=tuple(weights_KN.mean(axis=1).tolist()),
        rank_correlation=spearman(strengths_KN.ravel(), weights_KN.ravel()),
        falling=float((weights_KN[np.argmax(passes.strengths)] < weights_KN[0]).mean()),
    )


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


__all__ = ["GateResponse", "gate_response", "spearman"]
