"""What must hold for the files of a repository; a check returns lines that say what is wrong, or none."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from huggingface_hub import get_token
from safetensors import SafetensorError, safe_open

from hf_msa.models.modeling_msa import PICKLES

_PICKLES = PICKLES | {".joblib", ".npy"}
# A pickle of protocol 2 or later, and a zip file, in which torch puts its pickles.
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
_TOKEN = re.compile(
    rb"(?<![A-Za-z0-9])(hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{16}|sk-[A-Za-z0-9-]{20,})"
)
_LOCAL_PATH = re.compile(
    r"""(?:(?<![\w.:/-])|file://)(?:/(?:home|root|Users|tmp|mnt|workspace)/[\w.-]+|[A-Za-z]:\\+[\w.-]+)"""
)
_PATH = re.compile(r"(?<![\w.:/-])(?:/[\w.-]+){2,}")
_FOLDERS_OF_EVERY_MACHINE = ("/bin/", "/dev/", "/etc/", "/lib/", "/proc/", "/sys/", "/usr/")
# A vocabulary holds whatever people write.
_VOCABULARIES = {"tokenizer.json", "vocab.json", "vocab.txt", "merges.txt"}


def file_problems(folder: Path, local_folders: Iterable[Path] = ()) -> list[str]:
    """Return pickles, tokens and paths of this machine in the files of a folder; a token itself is never repeated.

    Args:
        folder: What is to be sent.
        local_folders: Folders of this machine whose names may have got into a file.
    """
    names = [re.escape(str(local)) for local in (Path.home(), *local_folders) if len(local.parts) > 1]
    named = re.compile(rf"(?<![\w.:/-])(?:{'|'.join(names) or '(?!)'})(?![\w.-])".encode())
    token = (get_token() or "").encode()
    problems = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        content = _readable_part(file)
        if file.suffix in _PICKLES or content.startswith(_PICKLE_STARTS):
            problems.append(f"{name}: expected no pickle, got one; save weights as safetensors")
        if _TOKEN.search(content) or (token and token in content):
            problems.append(f"{name}: expected no token, got what looks like one")
        if name in _VOCABULARIES:
            continue
        local_path = _local_path(_text(content))
        if local_path or named.search(content):
            which = f" ({local_path})" if local_path else ""
            problems.append(f"{name}: expected no path of this machine, got one{which}")
    return problems


def _local_path(text: str) -> str | None:
    """Return a path that looks like one of a person's machine, or that is there on this one."""
    if local_path := _LOCAL_PATH.search(text):
        return local_path[0]
    paths = {path for path in _PATH.findall(text) if not path.startswith(_FOLDERS_OF_EVERY_MACHINE)}
    return next((path for path in sorted(paths) if _is_there(path)), None)


def _is_there(path: str) -> bool:
    try:
        return Path("/".join(path.split("/")[:3])).exists()
    except OSError:
        return False


def _text(content: bytes) -> str:
    """Return text as such, of what is no text nothing: among random bytes there are paths too."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _readable_part(file: Path) -> bytes:
    """Return a file's content, of weights the header alone."""
    with file.open("rb") as opened:
        if file.suffix != ".safetensors":
            return opened.read()
        size = int.from_bytes(opened.read(8), "little")
        return opened.read(min(size, 10**8))


def index_problems(folder: Path) -> list[str]:
    """Return shards that an index names and that lie outside of the folder or are not there.

    Args:
        folder: A checkpoint.
    """
    problems = []
    for index in sorted(folder.glob("*.index.json")):
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{index.name}: expected an index of shards, got another file ({error})")
            continue
        for name in names:
            if not isinstance(name, str) or name != Path(name).name or "\\" in name:
                problems.append(f"{index.name}: expected names of files beside it, got {name!r}")
            elif not (folder / name).is_file():
                problems.append(f"{index.name}: expected the shards that it names, but {name} is not there")
    return problems


def weight_problems(folder: Path) -> list[str]:
    """Return weights that hold NaN or infinity, and files that are damaged.

    Args:
        folder: A folder with safetensors files.
    """
    problems = []
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as weights:
                wrong = [key for key in weights.keys() if not _is_finite(weights.get_tensor(key))]  # noqa: SIM118
        except SafetensorError as error:
            problems.append(f"{file.name}: expected whole weights, got a damaged file ({error})")
            continue
        if wrong:
            problems.append(
                f"{file.name}: expected finite weights, got NaN or infinity in {len(wrong)}, among them {wrong[0]}"
            )
    return problems


def fresh_weight_problems(checkpoint: Path, folder: Path) -> list[str]:
    """Return weights that are to be sent and that the checkpoint does not have: values by chance stand in for them.

    Args:
        checkpoint: What was read.
        folder: What was written, with every weight of the model.
    """
    missing = sorted(_weight_names(folder) - _weight_names(checkpoint))
    if not missing:
        return []
    return [
        f"checkpoint: expected all weights of its model, but {len(missing)} are not there, among them {missing[0]}"
    ]


def _weight_names(folder: Path) -> set[str]:
    names: set[str] = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            names.update(weights.keys())
    return names


def _is_finite(weights: torch.Tensor) -> bool:
    return not weights.is_floating_point() or bool(torch.isfinite(weights.float()).all())


__all__ = ["file_problems", "fresh_weight_problems", "index_problems", "weight_problems"]
