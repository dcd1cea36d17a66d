"""Utterances as JSON lines: how a user hands clips to `hf-msa predict`.

One object per line, with any of `text`, `audio`, `visual`, `words`, `audio_rate`, `visual_rate`, `speaker`,
`audio_features`, `visual_features`. `audio` and `visual` are paths of `.npy` files with arrays (T, F), relative to the
file of the lines. What is absent or null is missing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hf_msa.errors import MsaError
from hf_msa.models.streams_msa import FRAME_STREAMS

_WRITTEN_KEYS = ("text", "words", "audio_rate", "visual_rate")


def read_utterances(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and utterance of a JSON-lines file, with the arrays loaded.

    Args:
        path: The file.

    Raises:
        MsaError: For a line that is no JSON object, and an array that is missing or not a plain `.npy`; it names
            file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MsaError(f"utterances: expected a file of JSON lines in UTF-8, got {path}: {error}") from error
    if not any(line.strip() for line in lines):
        raise MsaError(f"utterances: expected at least one JSON line, got none in {path}")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            utterance = json.loads(line)
        except json.JSONDecodeError as error:
            raise MsaError(f"{path}:{number}: expected a JSON object, got {error}") from error
        if not isinstance(utterance, dict):
            raise MsaError(f"{path}:{number}: expected a JSON object, got {type(utterance).__name__}")
        for stream in FRAME_STREAMS:
            if utterance.get(stream) is not None:
                utterance[stream] = _load(path, number, stream, utterance[stream])
        yield number, utterance


def _load(path: Path, number: int, stream: str, place: Any) -> np.ndarray:
    try:
        # Never pickled: a .npy from a stranger must not run code.
        array = np.load(path.parent / place, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise MsaError(f"an archive, {place}")
        return array
    except (OSError, TypeError, ValueError) as error:
        raise MsaError(f"{path}:{number}: {stream}: expected the path of a .npy file, got {error}") from error


def write_utterances(rows: Iterable[Mapping[str, Any]], folder: Path) -> Path:
    """Write rows of a corpus as JSON lines with their arrays beside them, and return the file.

    Args:
        rows: As a corpus has them; a missing stream (0, F) is left out.
        folder: Must exist.
    """
    path = folder / "utterances.jsonl"
    with path.open("w", encoding="utf-8") as lines:
        for number, row in enumerate(rows):
            line = {key: row[key] for key in _WRITTEN_KEYS if row.get(key) is not None}
            for stream in FRAME_STREAMS:
                if len(row[stream]):
                    line[stream] = f"{number}_{stream}.npy"
                    np.save(folder / line[stream], row[stream], allow_pickle=False)
            lines.write(json.dumps(line, default=float) + "\n")
    return path
