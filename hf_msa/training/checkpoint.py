"""Write folders whole or not at all."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hf_msa.models import MsaConfig


def check_output(folder: Path) -> None:
    """Make a folder for a checkpoint, before any time is spent on what goes into it.

    Raises:
        ValueError: When something else than a checkpoint lies there.
        OSError: When it cannot be written to.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder)):
        raise ValueError(f"output: expected a new or empty folder or an older checkpoint, got {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"output: expected a folder that can be written to, got {folder}: {error.strerror}") from error


def _is_ours(folder: Path) -> bool:
    try:
        model_type = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return model_type in {config.model_type for config in MsaConfig.__subclasses__()}


def save_checkpoint(model: Any, processor: Any, folder: Path) -> None:
    """Write model and processor beside the folder and put them in its place at the end.

    An older checkpoint stays until the new one is whole.

    Args:
        model: A merged model.
        processor: Its processor.
        folder: As `check_output` accepts it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
        # One deeper, since only the owner may read the temporary folder itself.
        fresh = Path(place) / "fresh"
        fresh.mkdir()
        model.save_pretrained(fresh)
        processor.save_pretrained(fresh)
        replace_folder(fresh, folder)


def replace_folder(fresh: Path, folder: Path) -> None:
    """Put a folder in the place of another, which stays if that fails.

    Args:
        fresh: The new one, on the same disk.
        folder: Its place.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
        old = Path(place) / "old"
        if folder.exists():
            folder.rename(old)
        try:
            fresh.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
