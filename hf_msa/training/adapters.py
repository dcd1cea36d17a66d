"""LoRA, kept out of the models: put it on for training, merge it or save it by itself afterwards.

A merged checkpoint needs neither peft nor this package. The adapter-only form is PEFT's own: LoRA and the fusion
modules without the frozen text model, about 12 MB for BERT-base.
"""

import math
from pathlib import Path
from typing import Any

import peft
from torch.nn import Linear
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, AutoProcessor, PreTrainedModel
from transformers.utils import cached_file

from hf_msa.errors import MsaError
from hf_msa.evaluation.results import RESULTS_FILE
from hf_msa.models import MsaPreTrainedModel
from hf_msa.pretrained.checkpoint import read_config, save_checkpoint

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_MAX_RANK = 1024  # ours: beyond the width of any text model that fits beside it, a slip of the pen fills the memory


def add_lora(
    model: MsaPreTrainedModel,
    r: int = 32,
    lora_alpha: int = 32,
    lora_dropout: float = 0.1,
    target_modules: tuple[str, ...] = ("query", "value"),
) -> peft.PeftModel:
    """Wrap a model for training: LoRA on its frozen text model, everything fresh trained in full.

    Args:
        model: A model with a head.
        r: Rank (PGF-Net: 32), at most 1,024.
        lora_alpha: Scale times rank (MMA: 32).
        lora_dropout: Dropout in front of LoRA (MMA: 0.1).
        target_modules: Linear layers of the text model by their last name (MMA, PEFT's own for BERT: query, value).

    Returns:
        The model as PEFT wraps it; train it with any Trainer, then `merge_lora` or `save_adapter`.

    Raises:
        MsaError: For a number out of range, or no layer of that name.
    """
    check_lora(r, lora_alpha, lora_dropout, target_modules)
    layers = [name for name, layer in model.text_model.named_modules() if isinstance(layer, Linear)]
    # As PEFT reads them: a name, or how one ends.
    if unknown := [name for name in target_modules if not any(f".{layer}".endswith(f".{name}") for layer in layers)]:
        last_parts = sorted({layer.rpartition(".")[2] for layer in layers})
        raise MsaError(
            f"target_modules: expected linear layers of the text model, {', '.join(last_parts)}, "
            f"got {', '.join(map(repr, unknown))}"
        )
    lora = peft.LoraConfig(
        r=r,
        lora_alpha=lora_alpha,
        lora_dropout=lora_dropout,
        target_modules=rf".*\.text_encoder\..*\.({'|'.join(target_modules)})",
        modules_to_save=list(model.modules_to_save),
    )
    return peft.get_peft_model(model, lora)


def check_lora(
    r: int = 32,
    lora_alpha: int = 32,
    lora_dropout: float = 0.1,
    target_modules: tuple[str, ...] = ("query", "value"),
) -> None:
    """Refuse what `add_lora` cannot do, before there is a model.

    Args:
        r: As there, and so all others.
        lora_alpha: As there.
        lora_dropout: As there.
        target_modules: As there.

    Raises:
        MsaError: It names the argument.
    """
    if not 1 <= r <= _MAX_RANK:
        raise MsaError(f"r: expected a rank of LoRA from 1 to {_MAX_RANK}, got {r}")
    if not 0 < lora_alpha < math.inf:
        raise MsaError(f"lora_alpha: expected a finite number above 0, got {lora_alpha}")
    if not 0 <= lora_dropout < 1:
        raise MsaError(f"lora_dropout: expected a rate in [0, 1), got {lora_dropout}")
    if not target_modules:
        raise MsaError("target_modules: expected at least one name of a linear layer, got none")


def merge_lora(model: peft.PeftModel) -> PreTrainedModel:
    """Return the plain model with LoRA added into its weights."""
    merged = model.merge_and_unload()
    merged.freeze_text_model()
    return merged


def save_adapter(model: peft.PeftModel, folder: str | Path, processor: Any = None) -> None:
    """Write the adapter-only form: PEFT's files, the configuration and, if given, the processor.

    Args:
        model: As `add_lora` returned it.
        folder: Is created.
        processor: Saved beside it.
    """
    # Only here: with a name in it, PEFT asks the Hub for that repository at every checkpoint of a training run.
    model.peft_config["default"].base_model_name_or_path = model.config.text_model_name_or_path
    model.save_pretrained(str(folder), save_embedding_layers=False)
    model.get_base_model().config.save_pretrained(str(folder))
    if processor is not None:
        processor.save_pretrained(str(folder))


def load_adapter(
    folder_or_repo: str | Path,
    text_model_name_or_path: str | None = None,
    merge: bool = True,
    **kwargs: Any,
) -> Any:
    """Load the adapter-only form onto a freshly loaded text model.

    Args:
        folder_or_repo: What `save_adapter` wrote, a folder or a repository.
        text_model_name_or_path: Where to find the text model; None takes the place that the adapter recorded.
        merge: Return the plain model, LoRA merged; else the PEFT model, ready to train on.
        kwargs: `revision`, `token`, `cache_dir`, `local_files_only` of the adapter.

    Raises:
        MsaError: When the checkpoint is of no model of this package, its weights are no safetensors, or it does not
            say where its text model is.
    """
    source = str(folder_or_repo)
    if Path(source).is_dir() and not (Path(source) / "adapter_config.json").exists():
        raise MsaError(f"{source}: expected an adapter, got no adapter_config.json; is it a merged checkpoint?")
    config = read_config(source, **kwargs)
    place = {"name_or_path": config.text_model_name_or_path, "revision": config.text_model_revision}
    if text_model_name_or_path is not None:
        place = {"name_or_path": text_model_name_or_path}
    if place["name_or_path"] is None:
        raise MsaError("text_model_name_or_path: expected a repository or folder, since this adapter records none")
    model_class = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    base = model_class.from_text_pretrained(**place, config=config)
    _check_weights(source, **kwargs)
    model = peft.PeftModel.from_pretrained(base, source, is_trainable=not merge, **kwargs)
    return merge_lora(model).eval() if merge else model


def _check_weights(source: str, **kwargs: Any) -> None:
    """Refuse an adapter without safetensors; PEFT would read its pickle."""
    if cached_file(source, ADAPTER_WEIGHTS, _raise_exceptions_for_missing_entries=False, **kwargs) is None:
        raise MsaError(f"{source}: expected weights as {ADAPTER_WEIGHTS}, got none; pickles (*.bin) are never read")


def is_adapter(folder: str | Path) -> bool:
    """Return whether a folder holds the adapter-only form.

    Args:
        folder: Of a checkpoint.
    """
    return (Path(folder) / "adapter_config.json").is_file()


def merge_adapter(folder: str | Path, output: Path) -> Path:
    """Load an adapter onto its text model and write the merged checkpoint, with its results.

    Args:
        folder: What `save_adapter` wrote, with the processor.
        output: Is created.

    Returns:
        The output.

    Raises:
        MsaError: As `load_adapter`.
    """
    save_checkpoint(load_adapter(folder), AutoProcessor.from_pretrained(folder, trust_remote_code=False), output)
    results = Path(folder) / RESULTS_FILE
    if results.is_file():
        (output / RESULTS_FILE).write_bytes(results.read_bytes())
    return output


__all__ = ["add_lora", "check_lora", "is_adapter", "load_adapter", "merge_adapter", "merge_lora", "save_adapter"]
