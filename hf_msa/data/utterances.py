"""Utterances as JSON lines: how a user hands clips to `hf-msa predict`.

One object per line, with any of `id`, `text`, `audio`, `visual`, `words`, `audio_rate`, `visual_rate`, `speaker`,
`audio_features`, `visual_features`. `audio` and `visual` are paths of `.npy` files with arrays (T, F), relative to the
file of the lines. What is absent or null is missing.
"""

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_msa.errors import MsaError
from hf_msa.models.streams_msa import FRAME_STREAMS

_WRITTEN_KEYS = ("text", "words", "audio_rate", "visual_rate")


@dataclass(frozen=True)
class Utterance:
    """A line of a file of utterances.

    Args:
        line: Its number, from 1.
        fields: What it says, with the arrays loaded; empty when it is wrong.
        problem: What is wrong with it.
    """

    line: int
    fields: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def read_utterances(path: Path) -> Iterator[Utterance]:
    """Yield the utterances of a JSON-lines file, one at a time; a wrong one says what is wrong and stops nothing.

    Args:
        path: The file; "-" is standard input, whose arrays are relative to the working folder.

    Raises:
        MsaError: For a file that cannot be read, or has no lines.
    """
    is_empty = True
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    is_empty = False
                    try:
                        yield Utterance(number, _read_line(line, path.parent))
                    except MsaError as error:
                        yield Utterance(number, problem=str(error))
    except OSError as error:
        raise MsaError(f"utterances: expected a file of JSON lines, got {path}: {error.strerror}") from error
    if is_empty:
        raise MsaError(f"utterances: expected at least one JSON line, got none in {path}")


def _read_line(line: bytes, folder: Path) -> dict[str, Any]:
    try:
        fields = json.loads(line.decode("utf-8-sig"))  # a first line of Windows has a mark
    except (ValueError, RecursionError) as error:
        raise MsaError(f"expected a JSON object in UTF-8, got {error}") from error
    if not isinstance(fields, dict):
        raise MsaError(f"expected a JSON object, got {type(fields).__name__}")
    for stream in FRAME_STREAMS:
        if fields.get(stream) is not None:
            fields[stream] = _load(folder, stream, fields[stream])
    return fields


def _load(folder: Path, stream: str, name: Any) -> np.ndarray:
    if not isinstance(name, str) or not name:
        raise MsaError(f"{stream}: expected the path of a .npy file, got {name!r}")
    try:
        # Never pickled: a .npy from a stranger must not run code.
        with (folder / name).open("rb") as file:  # by itself numpy leaves a file that it cannot read open
            array = np.load(file, allow_pickle=False)
    except OSError as error:
        raise MsaError(
            f"{stream}: expected the path of a .npy file, got {name!r}: {error.strerror or error}"
        ) from error
    except Exception as error:  # numpy lets through what its parsers of headers and archives raise
        raise MsaError(f"{stream}: expected the path of a .npy file, got {name!r}: {error}") from error
    if not isinstance(array, np.ndarray):
        raise MsaError(f"{stream}: expected the path of a .npy file, got an archive, {name}")
    return array


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


__all__ = ["Utterance", "read_utterances", "write_utterances"]
