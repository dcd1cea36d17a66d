"""Load a checkpoint for prediction, with an error a user can act on."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoProcessor, pipeline

from hf_msa.models import MsaConfig


def load_checkpoint(name_or_path: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """Return model and processor of a checkpoint, the model ready to predict on the best device there is.

    Args:
        name_or_path: Folder or repository.
        revision: Branch, tag or commit of a repository.
        trust_remote_code: Run the checkpoint's own code instead of this package's.

    Raises:
        ValueError: When there is no such folder, or it holds another kind of model or is damaged.
    """
    check_place("model", name_or_path)
    options = {"revision": revision, "trust_remote_code": trust_remote_code or None}
    check_model_type(AutoConfig.from_pretrained(name_or_path, **options), name_or_path)
    model = AutoModelForSequenceClassification.from_pretrained(name_or_path, **options)
    try:
        processor = AutoProcessor.from_pretrained(name_or_path, **options)
    except Exception as error:  # tokenizers raises no narrower one, transformers whatever the content leads to
        if isinstance(error, (OSError, ImportError)) or name_or_path in str(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ValueError(
            f"{name_or_path}: expected processor_config.json, tokenizer.json and tokenizer_config.json "
            f"as they were saved, got damaged ones ({reason})"
        ) from error
    if torch.accelerator.is_available():
        model.to(torch.accelerator.current_accelerator())
    return model.eval(), processor


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
        ValueError: For a folder that is not there.
    """
    is_folder = names_folder(name_or_path) or ("/" not in name_or_path and not may_be_bare)
    if is_folder and not Path(name_or_path).exists():
        raise ValueError(f"{argument}: expected a folder or a repository (user/name), got {name_or_path!r}{advice}")


def load_pipeline(name_or_path: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """Return the pipeline of a checkpoint.

    `transformers.pipeline` would do, but wraps what is wrong with a checkpoint into a traceback of several attempts.

    Args:
        name_or_path: Folder or repository.
        revision: Branch, tag or commit of a repository.
        trust_remote_code: Run the checkpoint's own code instead of this package's.

    Raises:
        ValueError: As `load_checkpoint`.
    """
    model, processor = load_checkpoint(name_or_path, revision, trust_remote_code)
    return pipeline(
        "multimodal-sentiment-analysis",
        model=model,
        processor=processor,
        revision=revision,
        trust_remote_code=trust_remote_code or None,
    )


def check_model_type(config: Any, name: str) -> None:
    """Refuse a checkpoint of another package.

    Args:
        config: Its configuration, whichever code it came from.
        name: Where it came from, for the error.

    Raises:
        ValueError: It names the model type.
    """
    known = sorted(model.model_type for model in MsaConfig.__subclasses__())
    if config.model_type not in known:
        raise ValueError(f"model: expected one of type {', '.join(known)}, got {name!r} of type {config.model_type!r}")


__all__ = ["check_model_type", "check_place", "load_checkpoint", "load_pipeline", "names_folder"]
