"""Write a file or a folder whole or not at all, check beforehand where it goes, and shorten paths for others' eyes."""

import contextlib
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from .errors import MsaError, MsaWarning
from .own_files import foreign_files


def write_file(path: Path, content: str) -> None:
    """Write a text file in UTF-8; what stood there before stays until the new one is complete.

    Args:
        path: The file, in a folder that exists.
        content: Its text.

    Raises:
        OSError: As of a full disk; then nothing has changed.
    """
    with growing_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def growing_file(path: Path) -> Iterator[TextIO]:
    """Give a text file to write into line by line, which gets its name when the block ends without an error.

    Meanwhile it can be read as `.<name>.partial`, or where there is such a file already, as `.<name>.2.partial` and so
    on: a file that lies there is somebody's. What stood at the path before stays until then, and for good when the
    block fails; of a link, what it points to is written.

    Args:
        path: The file, in a folder that exists.

    Raises:
        OSError: As of a full disk; then nothing has changed.
    """
    path = path.resolve()
    file = _open_new(path)
    partial = Path(file.name)
    try:
        with file:
            yield file
        if path.exists():
            shutil.copymode(path, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _open_new(path: Path) -> TextIO:
    """Open a hidden file beside another, under the first name that nobody has taken."""
    for number in itertools.count(1):
        middle = "" if number == 1 else f".{number}"
        with contextlib.suppress(FileExistsError):
            return path.with_name(f".{path.name}{middle}.partial").open("x", encoding="utf-8", buffering=1)
    raise AssertionError("unreachable")


@contextlib.contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into, which takes the place of `folder` when the block ends without an error.

    What stood there before stays until then, and for good when the block fails.

    Args:
        folder: Where the content goes.

    Raises:
        OSError: As of a full disk; then nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        # One deeper, since only the owner may read the temporary folder itself.
        fresh = Path(temporary) / "fresh"
        fresh.mkdir()
        yield fresh
        replace_folder(fresh, folder)


def replace_folder(fresh: Path, folder: Path) -> None:
    """Put a folder in the place of another, which stays if that fails.

    An older checkpoint or run is deleted then. Where something else lies in it too, all of it is kept, under the
    folder's name with ".older" behind, and a warning says so: `foreign_files` was asked when the work began, and what
    came meanwhile is not ours to delete.

    Args:
        fresh: The new one, on the same disk.
        folder: Where it goes.
    """
    if not os.path.lexists(folder):
        fresh.rename(folder)
        return
    # Not a TemporaryDirectory: whatever stops this process, what lies in it must not be deleted.
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    old = aside / "old"
    try:
        folder.rename(old)
        fresh.rename(folder)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(folder):
            old.rename(folder)
        with contextlib.suppress(OSError):
            aside.rmdir()
        raise
    if old.is_symlink():
        old.unlink()
    elif old.is_file() or (names := foreign_files(old)):
        kept = next(name for name in _older_names(folder) if not os.path.lexists(name))
        old.rename(kept)
        found = "a file" if kept.is_file() else names[0]
        warnings.warn(
            f"output: expected nothing else than an older checkpoint in {folder}, got {found}; all that lay there is "
            f"in {kept} now",
            MsaWarning,
            stacklevel=2,
        )
    else:
        shutil.rmtree(old, ignore_errors=True)
    with contextlib.suppress(OSError):
        aside.rmdir()


def _older_names(folder: Path) -> Iterator[Path]:
    yield folder.with_name(f"{folder.name}.older")
    yield from (folder.with_name(f"{folder.name}.older{number}") for number in itertools.count(2))


def check_new_folder(folder: Path) -> None:
    """Refuse a folder in which something lies.

    Args:
        folder: Where something is to be written.

    Raises:
        MsaError: For a file, and a folder that is not empty.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise MsaError(f"output: expected a new or empty folder, got {folder}")


def check_output_file(output: Path, source: Path) -> None:
    """Refuse a file that cannot be written to, or that is the source itself.

    Args:
        output: The file to be written.
        source: The file that is read.

    Raises:
        MsaError: For a folder, a device, a folder that does not exist, and the file that is read.
    """
    # A device or a pipe would be replaced by a file.
    is_other = output.exists() and not output.is_file()
    if is_other or not output.parent.is_dir() or not output.name:
        raise MsaError(f"output: expected a file in a folder that exists, got {output}")
    if output.exists() and source.exists() and output.samefile(source):
        raise MsaError(f"output: expected another file than the utterances, got {output}")


def without_folders(value: Any) -> Any:
    """Return a value in which absolute paths are cut to their last two parts, to say nothing of the user's machine.

    Args:
        value: A path as a string, anything else, or lists and mappings of these.
    """
    if isinstance(value, dict):
        return {key: without_folders(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_folders(entry) for entry in value]
    return "/".join(Path(value).parts[-2:]) if isinstance(value, str) and Path(value).is_absolute() else value


__all__ = [
    "check_new_folder",
    "check_output_file",
    "fresh_folder",
    "growing_file",
    "replace_folder",
    "without_folders",
    "write_file",
]
