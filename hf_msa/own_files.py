"""Which files of a folder this package wrote, by their names: a checkpoint's and a run's, and nobody else's.

Whoever gives a folder for a new run may have put notes, tables or a whole project there too; none of it is ours to
delete.
"""

import os
import re
from pathlib import Path

from . import models

_CODE = "|".join(re.escape(file.name) for file in sorted(Path(models.__file__).parent.glob("[a-z]*.py")))
_CHECKPOINT = (
    r"(?:config|generation_config|processor_config|preprocessor_config|tokenizer|tokenizer_config"
    r"|special_tokens_map|added_tokens|vocab|adapter_config|model\.safetensors\.index)\.json"
    r"|(?:model|model-\d+-of-\d+|adapter_model)\.safetensors"
    r"|vocab\.txt|merges\.txt|spiece\.model|sentencepiece\.bpe\.model|chat_template\.jinja"
    rf"|{_CODE}"
)
_OURS = re.compile(
    rf"(?:seeds/\d+/)?(?:{_CHECKPOINT})"
    r"|results\.json|predictions\.parquet"
    r"|logs/\d+/(?:history\.jsonl|(?:.*/)?events\.out\.tfevents\.[^/]*)"
)
# What systems and Python leave behind.
_NOBODYS = re.compile(r"(?:.*/)?(?:\.DS_Store|Thumbs\.db|desktop\.ini|__pycache__/[^/]*\.pyc)")


def foreign_files(folder: Path) -> list[str]:
    """Return what lies in a folder and in no checkpoint or run of this package, relative to it.

    Args:
        folder: The folder; one that is not there holds nothing.
    """
    found = []
    for name, folders, files in os.walk(folder):
        place = Path(name)
        links = [entry for entry in folders if (place / entry).is_symlink()]
        entries = ((place / entry).relative_to(folder) for entry in (*files, *links))
        found += [entry for entry in entries if _is_foreign(entry)]
        is_empty = not folders and not files
        if is_empty and place != folder and (inner := place.relative_to(folder)).parts[0] not in ("seeds", "logs"):
            found.append(inner)
    return sorted(map(Path.as_posix, found))


def _is_foreign(file: Path) -> bool:
    name = file.as_posix()
    return not _OURS.fullmatch(name) and not _NOBODYS.fullmatch(name)


__all__ = ["foreign_files"]
