"""When a clip starts and ends in its video, as every reader takes it."""

import math
from collections import Counter

from .rows import CorpusError


def read_span(place: str, start: float, end: float, repairs: Counter[str]) -> tuple[float, float]:
    """Return start and end of a clip in seconds of its video; the end is infinite where nobody knows it.

    CMU-MOSEI has clips that start before their video, which then start with it; CMU-MOSI has one without length, whose
    end is then not known. Both are counted.

    Args:
        place: File and line or video, for the error.
        start: As the file says it.
        end: The same.
        repairs: Where such clips are counted.

    Raises:
        CorpusError: For a clip that ends before it starts, or before its video, and times that are not finite.
    """
    if not (-math.inf < start <= end < math.inf and end >= 0):
        raise CorpusError(f"{place}: start, end: expected start <= end, and an end after 0, got {start} and {end}")
    if start == end:
        repairs["clips_without_end"] += 1
        end = math.inf
    if start < 0:
        repairs["clips_before_the_video"] += 1
        start = 0.0
    return start, end


__all__ = ["read_span"]
