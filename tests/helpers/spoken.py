"""One utterance that is spoken in a second a word, and what tests of processors compare."""

import numpy as np
import torch

KEYS = [
    "input_ids",
    "attention_mask",
    "audio_values",
    "audio_attention_mask",
    "visual_values",
    "visual_attention_mask",
]

TEXT = "i loved it"
WORDS = [("i", 0.0, 1.0), ("loved", 1.0, 2.0), ("it", 2.0, 3.0)]
AUDIO = np.arange(1, 10, dtype=np.float32).reshape(3, 3)
VISUAL = -np.arange(1, 9, dtype=np.float32).reshape(4, 2)
ROW = {"text": TEXT, "audio": AUDIO, "visual": VISUAL, "words": WORDS, "audio_rate": 1.0, "visual_rate": 1.0}

SENTENCE = "The unbelievably boring movie, it was not bad!"
SPOKEN = ["the", "unbelievably", "boring", "movie", "it", "was", "not", "bad"]


def assert_same(batch, other, keys=KEYS):
    assert sorted(batch) == sorted(other)
    for key in keys:
        assert torch.equal(batch[key], other[key]), key


def frames_by_second(num, dim=3, seed=0):
    """Frames whose row i no other row resembles."""
    return np.random.default_rng(seed).normal(size=(num, dim)).astype(np.float32)
