"""Word times, voice and face of the sample corpus.

F raw feature size, T frames. Affect is a number in about [-3, 3]: how positive the voice or the face is.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import RandomState

from .columns import ACTION_UNITS, AUDIO, AUDIO_RATE, HEAD_POSE, VISUAL_RATE, Column

MIN_SECONDS, MAX_SECONDS = 1.2, 5.0
PLAIN_WORD = 0.4  # how strongly affect shows on a word that is not loaded; 1 on one that is, 0 in silence
PERSISTENCE = 0.6  # of noise and of the face, from one frame to the next
STEPS_PER_SPREAD = 32  # values are rounded, or the files would mostly hold the last digits of noise


class Speaker(NamedTuple):
    """What stays the same over the utterances of one speaker.

    Args:
        tempo: Seconds per second of an average speaker.
        voice: (25,) deviation of each audio column from its level, in spreads.
        face: (17,) the same for the visual columns.
    """

    tempo: float
    voice: np.ndarray
    face: np.ndarray


class Timing(NamedTuple):
    """When each word is spoken, in seconds from the start, and how long the recording lasts."""

    intervals: tuple[tuple[float, float], ...]
    duration: float


def draw_speaker(rng: RandomState) -> Speaker:
    """Draw a speaker.

    Args:
        rng: Source of randomness.
    """
    voice, face = (0.4 * rng.standard_normal(size) for size in (len(AUDIO), len(ACTION_UNITS + HEAD_POSE)))
    return Speaker(rng.uniform(0.85, 1.15), voice, face)


def draw_timing(rng: RandomState, words: Sequence[str], tempo: float) -> Timing:
    """Draw when each word is spoken: longer words last longer, some are followed by a pause.

    Args:
        rng: Source of randomness.
        words: The words.
        tempo: The speaker's.
    """
    clock = rng.uniform(0.1, 0.3)
    intervals = []
    for word in words:
        length = (0.09 + 0.032 * len(word)) * tempo * rng.uniform(0.75, 1.25)
        intervals.append((clock, clock + length))
        clock += length + (rng.uniform(0.05, 0.25) if rng.random_sample() < 0.15 else 0.0)
    duration = intervals[-1][1] + rng.uniform(0.1, 0.3)
    scale = min(max(duration, MIN_SECONDS), MAX_SECONDS) / duration
    rounded = tuple((round(start * scale, 2), round(end * scale, 2)) for start, end in intervals)
    return Timing(rounded, duration * scale)


def draw_voice(
    rng: RandomState, speaker: Speaker, timing: Timing, loaded: Sequence[bool], affect: float
) -> np.ndarray:
    """Draw the audio stream.

    Affect shifts loudness, pitch and voice quality while words are spoken, and a positive voice is also livelier.

    Args:
        rng: Source of randomness.
        speaker: Who speaks.
        timing: When each word is spoken.
        loaded: Which words are emotionally loaded.
        affect: How positive the voice is.

    Returns:
        (T, 25) float16 at 20 Hz; T covers the whole duration.
    """
    emphasis_T = _emphasis(timing, loaded, AUDIO_RATE)
    gain_F = _of(AUDIO, "gain")
    liveliness_F = np.where(gain_F != 0, 2.0 ** (0.25 * affect), 1.0)
    noise_TF = _noise(rng, len(emphasis_T), len(AUDIO))
    spoken_TF = speaker.voice + 0.8 * liveliness_F * noise_TF + affect * np.outer(emphasis_T, gain_F)
    values_TF = _of(AUDIO, "level") + _of(AUDIO, "spread") * spoken_TF
    return _finished(np.where(emphasis_T[:, None] > 0, values_TF, _of(AUDIO, "rest")), AUDIO)


def draw_face(rng: RandomState, speaker: Speaker, timing: Timing, loaded: Sequence[bool], affect: float) -> np.ndarray:
    """Draw the visual stream.

    A smile (AU 6 and 12) builds up with positive affect, a frown (AU 4, 9 and 15) with negative affect, both a little
    after the words that cause them. Lips part in speech, eyes blink, the head drifts.

    Args:
        rng: Source of randomness.
        speaker: Whose face it is.
        timing: When each word is spoken.
        loaded: Which words are emotionally loaded.
        affect: How positive the face is.

    Returns:
        (T, 17) float16 at 10 Hz; T covers the whole duration.
    """
    columns = ACTION_UNITS + HEAD_POSE
    emphasis_T = _emphasis(timing, loaded, VISUAL_RATE)
    speech_T = emphasis_T > 0
    blinks_T = rng.random_sample(len(emphasis_T)) < 0.05
    level = PLAIN_WORD  # of the expression, which a face keeps up between words
    expression_T = np.empty_like(emphasis_T)
    for k, target in enumerate(np.maximum(emphasis_T, PLAIN_WORD)):
        level = PERSISTENCE * level + (1 - PERSISTENCE) * target
        expression_T[k] = level
    gain_F = _of(columns, "gain")
    shift_TF = np.outer(expression_T, np.maximum(gain_F * affect, 0.0))
    noise_TF = _noise(rng, len(emphasis_T), len(columns))
    values_TF = _of(columns, "level") + _of(columns, "spread") * (speaker.face + 0.8 * noise_TF + shift_TF)
    names = [column.name for column in columns]
    values_TF[~speech_T, names.index("au25_lips_part")] -= 0.8
    values_TF[blinks_T, names.index("au45_blink")] += 2.0
    return _finished(values_TF, columns)


def _emphasis(timing: Timing, loaded: Sequence[bool], rate: float) -> np.ndarray:
    """Return how strongly affect may show in each frame: 0 in silence, 1 on a loaded word."""
    centres_T = (np.arange(math.ceil(timing.duration * rate)) + 0.5) / rate
    emphasis_T = np.zeros_like(centres_T)
    for (start, end), is_loaded in zip(timing.intervals, loaded, strict=True):
        emphasis_T[(centres_T >= start) & (centres_T < end)] = 1.0 if is_loaded else PLAIN_WORD
    return emphasis_T


def _noise(rng: RandomState, frames: int, size: int) -> np.ndarray:
    """Return (T, F) noise of unit variance in which neighbouring frames resemble each other."""
    fresh_TF = rng.standard_normal((frames, size))
    noise_TF = fresh_TF.copy()
    for k in range(1, frames):
        noise_TF[k] = PERSISTENCE * noise_TF[k - 1] + math.sqrt(1 - PERSISTENCE**2) * fresh_TF[k]
    return noise_TF


def _of(columns: Sequence[Column], field: str) -> np.ndarray:
    return np.array([column._asdict()[field] for column in columns])


def _finished(values_TF: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
    """Clip to what is possible, round, and store in half precision."""
    step_F = _of(columns, "spread") / STEPS_PER_SPREAD
    values_TF = np.maximum(values_TF, _of(columns, "lowest"))
    return (np.round(values_TF / step_F) * step_F).astype(np.float16)
