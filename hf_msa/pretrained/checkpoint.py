"""A checkpoint, model and processor in one folder: loaded with errors a user can act on, saved whole or not at all."""

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoProcessor, PreTrainedConfig, pipeline

from hf_msa._version import __version__
from hf_msa.errors import CheckpointError, MsaError, MsaWarning
from hf_msa.files import fresh_folder
from hf_msa.models import MODELS
from hf_msa.own_files import foreign_files


def load_checkpoint(name_or_path: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """Return model and processor of a checkpoint, the model ready to predict on the best device there is.

    Args:
        name_or_path: Folder or repository.
        revision: Branch, tag or commit of a repository.
        trust_remote_code: Let code run that came with the checkpoint, such as a tokenizer's. Of what this package
            knows, models, processors and pipeline, its own code runs all the same, as transformers has it; a warning
            says whose code ran.

    Raises:
        CheckpointError: When there is no such folder, or it holds another kind of model, brings code that it cannot
            do without and that may not run, or is damaged.
    """
    check_place("model", name_or_path)
    # False, not None: of None transformers makes a question, and whatever standard input holds is the answer.
    options = {"revision": revision, "trust_remote_code": bool(trust_remote_code)}
    read_config(name_or_path, **options)
    model = AutoModelForSequenceClassification.from_pretrained(name_or_path, **options)
    try:
        processor = AutoProcessor.from_pretrained(name_or_path, **options)
    except Exception as error:  # tokenizers raises no narrower one, transformers whatever the content leads to
        if "trust_remote_code" in str(error):
            raise CheckpointError(
                f"{name_or_path}: expected a tokenizer that transformers knows, got one with code of its own, which "
                "was not run; look at it, then allow it by trust_remote_code (--trust-remote-code)"
            ) from error
        if isinstance(error, (OSError, ImportError)) or name_or_path in str(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise CheckpointError(
            f"{name_or_path}: expected processor_config.json, tokenizer.json and tokenizer_config.json "
            f"as they were saved, got damaged ones ({reason})"
        ) from error
    if trust_remote_code:
        warnings.warn(f"{name_or_path}: {_whose_code(model, processor)}", MsaWarning, stacklevel=2)
    if torch.accelerator.is_available():
        model.to(torch.accelerator.current_accelerator())
    return model.eval(), processor


def _whose_code(model: Any, processor: Any) -> str:
    """Return a sentence on whose code has run, this package's or what came with the checkpoint."""
    parts = (model, processor, processor.feature_extractor, processor.tokenizer)
    # The package into which transformers puts code that it has fetched.
    theirs = sorted(
        {type(part).__name__ for part in parts if type(part).__module__.startswith("transformers_modules.")}
    )
    ours = f"the code of hf_msa {__version__} ran"
    if theirs:
        return f"{ours}, and of the checkpoint's own that of {', '.join(theirs)}"
    return f"{ours}, none that came with the checkpoint; transformers prefers what is installed"


def names_folder(name_or_path: str) -> bool:
    """Return whether a name is that of a folder, be it there or not; "runs/", where this package writes, is nobody's.

    Args:
        name_or_path: Folder or repository.
    """
    return name_or_path.startswith(("/", ".", "~", "runs/")) or name_or_path.count("/") > 1


def check_place(argument: str, name_or_path: str, advice: str = "", may_be_bare: bool = False) -> None:
    """Refuse at once what is neither a folder nor can be a repository, before the Hub is asked for it.

    Args:
        argument: That gave the name.
        name_or_path: Folder or repository.
        advice: What else to say.
        may_be_bare: A name without a user is a repository too, as "gpt2" is.

    Raises:
        CheckpointError: For a folder that is not there.
    """
    is_folder = names_folder(name_or_path) or ("/" not in name_or_path and not may_be_bare)
    if is_folder and not Path(name_or_path).exists():
        raise CheckpointError(
            f"{argument}: expected a folder or a repository (user/name), got {name_or_path!r}{advice}"
        )


def load_pipeline(name_or_path: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """Return the pipeline of a checkpoint.

    `transformers.pipeline` would do, but wraps what is wrong with a checkpoint into a traceback of several attempts.

    Args:
        name_or_path: Folder or repository.
        revision: Branch, tag or commit of a repository.
        trust_remote_code: As for `load_checkpoint`.

    Raises:
        CheckpointError: As `load_checkpoint`.
    """
    model, processor = load_checkpoint(name_or_path, revision, trust_remote_code)
    return pipeline(
        "multimodal-sentiment-analysis",
        model=model,
        processor=processor,
        revision=revision,
        trust_remote_code=bool(trust_remote_code),
    )


def read_config(name_or_path: str, **options: Any) -> Any:
    """Return the configuration of a checkpoint of this package.

    Args:
        name_or_path: Folder or repository, or the path of a config.json.
        options: Of `AutoConfig.from_pretrained`; no code that came with a checkpoint is run for it.

    Raises:
        CheckpointError: When it describes no model of this package, or none at all.
    """
    options["trust_remote_code"] = False
    try:
        # Its type first: another package's checkpoint may bring code, and says so itself without that.
        described, _ = PreTrainedConfig.get_config_dict(name_or_path, **options)
        check_model_type(described.get("model_type"), name_or_path)
        config = AutoConfig.from_pretrained(name_or_path, **options)
    except MsaError:
        raise
    except (StrictDataclassError, ValueError) as error:
        raise CheckpointError(f"{name_or_path}: config.json: {' '.join(str(error).split())}") from error
    return config


def check_model_type(model_type: Any, name: str) -> None:
    """Refuse a checkpoint of another package.

    Args:
        model_type: What its configuration says, whichever code that came from.
        name: Where it came from, for the error.

    Raises:
        CheckpointError: It names the model type.
    """
    if not isinstance(model_type, str) or model_type not in MODELS:
        raise CheckpointError(f"model: expected one of type {', '.join(MODELS)}, got {name!r} of type {model_type!r}")


def check_output(folder: Path) -> None:
    """Make a folder for a checkpoint, before any time is spent on what goes into it.

    Args:
        folder: New, empty, or an older checkpoint or run, which stays until the new one is whole.

    Raises:
        CheckpointError: When something else than a checkpoint lies there, or beside it.
        OSError: When it cannot be written to.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not _is_checkpoint(folder)):
        raise CheckpointError(f"output: expected a new or empty folder or an older checkpoint, got {folder}")
    if others := foreign_files(folder):
        count = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise CheckpointError(
            f"output: expected nothing beside the older checkpoint in {folder}, got {others[0]}{count}; move it, or "
            "give another folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"output: expected a folder that can be written to, got {folder}: {error.strerror}") from error


def _is_checkpoint(folder: Path) -> bool:
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"] in MODELS
    except (OSError, ValueError, KeyError, TypeError):
        return False


def save_checkpoint(model: Any, processor: Any, folder: Path) -> None:
    """Write model and processor; an older checkpoint stays until the new one is whole.

    Args:
        model: A merged model.
        processor: Its processor.
        folder: As `check_output` accepts it.
    """
    with fresh_folder(folder) as fresh:
        model.save_pretrained(fresh)
        processor.save_pretrained(fresh)


__all__ = [
    "check_model_type",
    "check_output",
    "check_place",
    "load_checkpoint",
    "load_pipeline",
    "names_folder",
    "read_config",
    "save_checkpoint",
]
