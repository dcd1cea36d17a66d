"""One file of the CMU Multimodal SDK, read so that nothing outside of it is: whoever made it may be a stranger.

HDF5 can put a dataset's numbers into other files by name (external storage, virtual datasets) and let names stand for
places elsewhere (external and soft links). Reading such a file would put any file of this machine into a corpus.
Published sequences need none of it, so all of it is refused.

Shapes: n entries, F features.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .file_kinds import check_kind
from .rows import CorpusError, brief

# Deflate makes at most 1,032 bytes of one; a dataset that declares more than its file can hold is not read.
_MOST_BYTES_PER_BYTE = 1032
_SMALL = 2**20


class SequenceFile:
    """A computational sequence: features and times of the entries of every video.

    Args:
        path: The file.

    Raises:
        CorpusError: When it is none, and for links and storage that lead out of it.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self.path = path
        self._h5py = h5py
        try:
            check_kind(path, "hdf5")
            file = h5py.File(path, "r")
            name = next(iter(file), None)
            if name is None:
                raise CorpusError(f"{path}: expected a computational sequence (HDF5), got no group")
            sequence = self._group(file, name)
            self._videos = self._group(sequence, "data")
            # As bytes where they are no UTF-8; no id of folds.json is such a name.
            self._names = set(self._videos)
        except (OSError, RuntimeError, ValueError) as error:
            if isinstance(error, CorpusError):
                raise
            raise CorpusError(
                f"{path}: expected a computational sequence (HDF5), got {' '.join(str(error).split())}"
            ) from error

    def __contains__(self, video: str) -> bool:
        return video in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._videos)

    @property
    def dim(self) -> int:
        """Features per entry, F, of the first video that has some."""
        for video in self._videos:
            shape = self._dataset(self._group(self._videos, video), "features").shape
            if len(shape) == 2:
                return int(shape[1])
        raise CorpusError(f"{self.path}: expected features of shape (n, F), got none")

    def count(self, video: str) -> int:
        """Return n of a video."""
        intervals = self._dataset(self._group(self._videos, video), "intervals")
        return int(intervals.shape[0]) if intervals.shape else 0

    def read(self, video: str) -> tuple[np.ndarray, np.ndarray]:
        """Return features (n, F) and intervals (n, 2) of a video.

        Raises:
            CorpusError: When they are not there, of another shape, or stored elsewhere.
        """
        group = self._group(self._videos, video)
        try:
            features, intervals = (np.asarray(self._dataset(group, name)) for name in ("features", "intervals"))
        except (OSError, RuntimeError, TypeError) as error:
            raise CorpusError(f"{self.path}: {video}: expected features and intervals, got {error}") from error
        if features.ndim != 2 or intervals.shape != (len(features), 2):
            raise CorpusError(
                f"{self.path}: {video}: expected features (n, F) and intervals (n, 2), got {features.shape} "
                f"and {intervals.shape}"
            )
        if intervals.dtype.kind not in "biuf":
            raise CorpusError(f"{self.path}: {video}: expected intervals in seconds, got {intervals.dtype}")
        return features, intervals.astype(np.float64)

    def _group(self, parent: Any, name: str) -> Any:
        found = self._child(parent, name)
        if not isinstance(found, self._h5py.Group):
            raise CorpusError(f"{self.path}: expected a group {_place(parent, name)}, got {type(found).__name__}")
        return found

    def _dataset(self, parent: Any, name: str) -> Any:
        found, place = self._child(parent, name), _place(parent, name)
        if not isinstance(found, self._h5py.Dataset):
            raise CorpusError(f"{self.path}: expected numbers or words in {place}, got {type(found).__name__}")
        if found.external is not None:
            files = ", ".join(brief(file[0]) for file in found.external)
            raise CorpusError(f"{self.path}: {place}: expected data in this file, got external storage in {files}")
        if found.is_virtual:
            raise CorpusError(f"{self.path}: {place}: expected data in this file, got a virtual dataset of others")
        if found.nbytes > _SMALL + _MOST_BYTES_PER_BYTE * found.id.get_storage_size():
            raise CorpusError(
                f"{self.path}: {place}: expected as much data as it declares, {found.nbytes} bytes, got "
                f"{found.id.get_storage_size()} in the file"
            )
        return found

    def _child(self, parent: Any, name: str) -> Any:
        # A name with a slash would be a path, through whatever lies on it.
        link = None if "/" in name else parent.get(name, getlink=True)
        if link is None:
            raise CorpusError(f"{self.path}: expected {_place(parent, name)}, got none")
        if not isinstance(link, self._h5py.HardLink):
            kind = "an external link" if isinstance(link, self._h5py.ExternalLink) else "a soft link"
            raise CorpusError(
                f"{self.path}: {_place(parent, name)}: expected data in this file, got {kind} to {brief(link.path)}"
            )
        return parent[name]


def _place(parent: Any, name: str) -> str:
    return f"{(parent.name or '').rstrip('/')}/{name}"


__all__ = ["SequenceFile"]
