"""The fingerprint of a corpus, by which a result says what it was measured on."""

import hashlib
from pathlib import Path

_CHUNK = 2**20


def corpus_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a corpus: of a file its own, of a folder that of the names and sums of its files.

    Files in inner folders, the clips of a corpus say, are not read by `load_corpus` and do not count.

    Args:
        path: As for `load_corpus`.

    Raises:
        OSError: When something cannot be read.
    """
    path = Path(path)
    if path.is_file():
        return _file_sha256(path)
    total = hashlib.sha256()
    for file in sorted(entry for entry in path.iterdir() if entry.is_file()):
        total.update(f"{_file_sha256(file)}  {file.name}\n".encode())
    return total.hexdigest()


def _file_sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


__all__ = ["corpus_sha256"]
