"""A corpus of random rows of CMU-MOSEI's shape, at its worst: every stream of every row has all 500 frames."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from hf_msa.data.rows import SPLITS, OpenCorpus
from hf_msa.errors import MsaError
from hf_msa.models.streams_msa import FRAME_STREAMS

MOSEI_ROWS = {"train": 16326, "valid": 1871, "test": 4659}
MOSEI_DIMS = {"audio": 74, "visual": 35}
FRAMES = 500
ROW_BYTES = FRAMES * sum(MOSEI_DIMS.values()) * 4
WORDS = [f"word{number}" for number in range(1000)]

_RATE = 25.0  # frames per second: ours, 20 seconds an utterance
_LEAST_WORDS, _MOST_WORDS = 5, 40
_POOL = 2**22  # random numbers, of which a row takes a window: cheap, and far more than a compressor can look back


def split_sizes(rows: int) -> dict[str, int]:
    """Return how many rows each split has, in CMU-MOSEI's proportions.

    Args:
        rows: Rows of all splits together.

    Raises:
        MsaError: For fewer rows than splits.
    """
    if rows < len(SPLITS):
        raise MsaError(f"rows: expected at least {len(SPLITS)}, one per split, got {rows!r}")
    total = sum(MOSEI_ROWS.values())
    valid, test = (max(1, rows * MOSEI_ROWS[split] // total) for split in ("valid", "test"))
    return {"train": rows - valid - test, "valid": valid, "test": test}


def made_corpus(sizes: dict[str, int], seed: int = 0) -> OpenCorpus:
    """Return a corpus of random rows of CMU-MOSEI's shape, each made when it is read.

    Args:
        sizes: Rows of train, valid and test.
        seed: Seed for everything random in it.
    """
    pool = np.random.default_rng(seed).standard_normal(_POOL, dtype=np.float32)

    def rows(split: str) -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        for number in range(sizes[split]):
            words = [WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(_LEAST_WORDS, _MOST_WORDS + 1))]
            times = np.linspace(0, FRAMES / _RATE, len(words) + 1).tolist()
            starts = {stream: rng.integers(_POOL - FRAMES * dim) for stream, dim in MOSEI_DIMS.items()}
            yield {
                "id": f"{split}{number // 10}$_${number % 10}",
                "speaker": f"{split}{number // 10}",
                "text": " ".join(words),
                "words": [
                    {"word": word, "start": start, "end": end}
                    for word, start, end in zip(words, times, times[1:], strict=False)
                ],
                **{
                    stream: pool[starts[stream] : starts[stream] + FRAMES * dim].reshape(FRAMES, dim)
                    for stream, dim in MOSEI_DIMS.items()
                },
                **{f"{stream}_rate": _RATE for stream in FRAME_STREAMS},
                "label": float(rng.uniform(-3, 3)),
            }

    return OpenCorpus("made corpus", sizes, rows, MOSEI_DIMS, about={"format": "made", "seed": seed})


__all__ = ["FRAMES", "MOSEI_DIMS", "MOSEI_ROWS", "ROW_BYTES", "WORDS", "made_corpus", "split_sizes"]
