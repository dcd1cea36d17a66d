"""Frames as a model wants them: normalised per column, and finite. No torch, as in `alignment_msa.py`.

Shapes: T frames, F raw feature size.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def normalise_frames(
    frames: NDArray[np.float32], statistics: Mapping[str, Any] | None, speaker: str | None = None
) -> tuple[NDArray[np.float32], int]:
    """Return frames (T, F) on the normalised scale, infinite and NaN values as 0 there, and how many those were.

    Args:
        frames: (T, F) as measured.
        statistics: `{"mean": [F], "std": [F], "speakers": {name: {"mean", "std"}}}`, or None to leave the scale.
        speaker: Whose statistics to take, if they are there.
    """
    broken = ~np.isfinite(frames)
    if statistics is not None:
        chosen = statistics.get("speakers", {}).get(speaker, statistics)
        mean, std = (np.asarray(chosen[key], dtype=np.float32) for key in ("mean", "std"))
        with np.errstate(all="ignore"):
            frames = (frames - mean) / std
        broken |= ~np.isfinite(frames)
    num_broken = int(broken.sum())
    return (np.where(broken, np.float32(0), frames) if num_broken else frames), num_broken


def content_of(frames: NDArray[Any]) -> str:
    """Return what a stream holds: "nothing", "zeros", "nan" (no finite value but zeros), or "values".

    Args:
        frames: (T, F) as measured.
    """
    if not frames.size:
        return "nothing"
    if not frames.any():
        return "zeros"
    return "values" if (np.isfinite(frames) & (frames != 0)).any() else "nan"


__all__ = ["content_of", "normalise_frames"]
