"""What must hold before a repository is sent; a check returns lines that say what is wrong, or none."""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import ModelCard, get_token
from safetensors import SafetensorError, safe_open

_SCRIPT = Path(__file__).with_name("fresh_process.py")
_PICKLES = {".bin", ".ckpt", ".joblib", ".npy", ".pickle", ".pkl", ".pt", ".pth"}
# A pickle of protocol 2 or later, and a zip file, in which torch puts its pickles.
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
_TOKEN = re.compile(
    rb"(?<![A-Za-z0-9])(hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{16}|sk-[A-Za-z0-9-]{20,})"
)
_LOCAL_PATH = re.compile(
    r"""(?:(?<![\w.:/-])|file://)(?:/(?:home|root|Users|tmp|mnt|workspace)/[\w.-]+|[A-Za-z]:\\+[\w.-]+)"""
)
_PATH = re.compile(r"(?<![\w.:/-])(?:/[\w.-]+){2,}")
_PLACES_OF_EVERY_MACHINE = ("/bin/", "/dev/", "/etc/", "/lib/", "/proc/", "/sys/", "/usr/")
# A vocabulary holds whatever people write.
_VOCABULARIES = {"tokenizer.json", "vocab.json", "vocab.txt", "merges.txt"}
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\[More Information Needed\]|\b(?:TODO|FIXME|TBD)\b")
_NUMBER = re.compile(r"(?<![\w.,-])[-+]?\d[\d,]*(?:\.\d+)?(?![\w]|[.-]\d)")


def file_problems(folder: Path, places: Iterable[Path] = ()) -> list[str]:
    """Return pickles, tokens and paths of this machine in the files of a folder; a token itself is never repeated.

    Args:
        folder: What is to be sent.
        places: Folders of this machine whose names may have got into a file.
    """
    folders = [re.escape(str(place)) for place in (Path.home(), *places) if len(Path(place).parts) > 1]
    own = re.compile(rf"(?<![\w.:/-])(?:{'|'.join(folders) or '(?!)'})(?![\w.-])".encode())
    token = (get_token() or "").encode()
    problems = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        content = _readable_part(file)
        if file.suffix in _PICKLES or content.startswith(_PICKLE_STARTS):
            problems.append(f"{name}: expected no pickle, got one; save weights as safetensors")
        if _TOKEN.search(content) or (token and token in content):
            problems.append(f"{name}: expected no token, got what looks like one")
        found = None if name in _VOCABULARIES else _local_path(_text(content))
        if found or (name not in _VOCABULARIES and own.search(content)):
            where = f" ({found})" if found else ""
            problems.append(f"{name}: expected no path of this machine, got one{where}")
    return problems


def _local_path(text: str) -> str | None:
    """Return a path that looks like one of a person's machine, or that is there on this one."""
    if found := _LOCAL_PATH.search(text):
        return found[0]
    paths = {path for path in _PATH.findall(text) if not path.startswith(_PLACES_OF_EVERY_MACHINE)}
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
        folder: With safetensors files.
    """
    problems = []
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        problems.append("weights: expected safetensors files, got none")
    for file in files:
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


def card_problems(card: str, known: Iterable[Any], texts: Iterable[str] = ()) -> list[str]:
    """Return what is wrong with a card: metadata, places left open, numbers of which nobody knows where they are from.

    Args:
        card: Its text.
        known: Where its numbers may come from: the content of results.json, configurations, the paper's results.
        texts: Written by hand, once, for all cards; numbers in them are no results.
    """
    problems = []
    try:
        data = ModelCard(card).data
        if not data.get("license"):
            problems.append("README.md: expected a licence in its metadata, got none")
        if not data.get("library_name"):
            problems.append("README.md: expected a library_name in its metadata, got none")
        has_index = re.search(r"^model-index:", card, flags=re.MULTILINE)
        if has_index and not data.get("eval_results"):
            problems.append("README.md: expected a model-index that can be read, got another")
    except Exception as error:  # YAML's errors, and whatever the client raises for what it cannot read
        problems.append(f"README.md: expected metadata that the Hub reads, got {' '.join(str(error).split())}")
    if found := _PLACEHOLDER.search(card):
        problems.append(f"README.md: expected every place to be filled, got {found[0]!r}")
    numbers = [value for source in known for value in _numbers_in(source)]
    written = {token for text in texts for token in _tokens(text)}
    strange = [token for token in _tokens(card) if token not in written and not _is_known(token, numbers)]
    if strange:
        listed = ", ".join(dict.fromkeys(strange))
        problems.append(f"README.md: expected numbers that stand in results.json, got {listed}")
    return problems


def _tokens(text: str) -> list[str]:
    """Return the numbers of a text, but for those in code, links and the numbers of papers."""
    text = re.sub(r"```.*?```|`[^`\n]*`|https?://\S+|arXiv:? ?\d+\.\d+", " ", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "] ", text)
    return _NUMBER.findall(text)


def _numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _numbers_in(entry)
            if key == "seconds" and isinstance(entry, (int, float)):
                yield from (round(entry), round(entry / 60))  # cards give seconds or minutes
    elif isinstance(value, (list, tuple)):
        yield float(len(value))
        for entry in value:
            yield from _numbers_in(entry)
    elif isinstance(value, str):
        yield from (float(token.replace(",", "")) for token in _NUMBER.findall(value))
    elif isinstance(value, (int, float)) and math.isfinite(value):
        yield float(value)


def _is_known(token: str, numbers: list[float]) -> bool:
    """Return whether a number is one of those known, rounded as it is written; a share may stand as a percentage."""
    value = float(token.replace(",", ""))
    digits = len(token.partition(".")[2])
    if not digits:
        return value in numbers or -value in numbers
    # Results are rounded twice on their way: to four digits per seed, then for the card.
    margin = 0.5 * 10**-digits + 1e-4 + 1e-9
    return any(abs(abs(value) - scale * abs(number)) <= margin for number in numbers for scale in (1, 100))


def probe(config: Any, processor: Any) -> dict[str, Any]:
    """Return two utterances as arguments of a processor, in plain lists: one whole, one with a single stream.

    Args:
        config: Says how many columns a frame has.
        processor: Says which streams the model reads.
    """
    generator = np.random.default_rng(0)
    columns: dict[str, Any] = {}
    if "text" in processor.streams:
        words = [("i", 0.0, 0.2), ("loved", 0.2, 0.7), ("it", 0.7, 0.9)]
        columns |= {"text": ["i loved it", "what a waste"], "words": [words, None]}
    for stream, dim, rate in (("audio", config.audio_dim, 20.0), ("visual", config.visual_dim, 10.0)):
        if stream in processor.streams:
            recorded = (getattr(processor.feature_extractor, f"{stream}_features") or {}).get("rate")
            frames = generator.normal(size=(round(0.9 * rate), dim)).round(4).tolist()
            columns |= {stream: [frames, None if len(columns) else frames], f"{stream}_rate": recorded or rate}
    return columns


def reload_problems(folder: Path, model: Any, processor: Any) -> list[str]:
    """Return how a folder fails to load, or to give the same logits, where hf_msa and peft cannot be imported.

    Args:
        folder: A merged checkpoint.
        model: What was saved there, in evaluation mode.
        processor: The same.
    """
    columns = probe(model.config, processor)
    with torch.no_grad():
        logits = model.cpu()(**processor(**columns)).logits
    with tempfile.TemporaryDirectory() as place:
        utterances = Path(place) / "probe.json"
        utterances.write_text(json.dumps(columns), encoding="utf-8")
        # Nothing of this machine's settings, and no token for code that is looked at for the first time.
        hidden = ("PYTHONPATH", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
        environment = {key: value for key, value in os.environ.items() if key not in hidden}
        environment |= {"HF_HOME": place, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, str(_SCRIPT), str(folder), str(utterances)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=place)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [f"checkpoint: expected one that loads without hf_msa and peft, got {reason}"]
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    found = json.loads(line.removeprefix("RESULT "))
    again = torch.tensor(found["logits"], dtype=torch.float64)
    try:
        # As exact as the dtype is; another number of threads adds up in another order.
        torch.testing.assert_close(again.to(logits.dtype), logits)
    except AssertionError:
        difference = (again - logits.double()).abs().max().item()
        return [f"checkpoint: expected the same logits in a fresh process, got others by {difference:.3g}"]
    if not all(math.isfinite(score) for score in found["scores"]):
        return [f"checkpoint: expected finite scores from its pipeline, got {found['scores']}"]
    return []


__all__ = [
    "card_problems",
    "file_problems",
    "fresh_weight_problems",
    "index_problems",
    "probe",
    "reload_problems",
    "weight_problems",
]
