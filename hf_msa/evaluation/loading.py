"""Load a checkpoint for prediction, with an error a user can act on."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForSequenceClassification, AutoProcessor, pipeline

from hf_msa.models import MsaConfig


def load_pipeline(name_or_path: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """Return the pipeline of a checkpoint.

    `transformers.pipeline` would do, but wraps what is wrong with a checkpoint into a traceback of several attempts.

    Args:
        name_or_path: Folder or repository.
        revision: Branch, tag or commit of a repository.
        trust_remote_code: Run the checkpoint's own code instead of this package's.

    Raises:
        ValueError: When there is no such folder, or it holds another kind of model or is damaged.
    """
    if not Path(name_or_path).exists() and (name_or_path.count("/") != 1 or name_or_path.startswith(("/", "."))):
        raise ValueError(f"model: expected a folder or a repository (user/name), got {name_or_path!r}")
    options = {"revision": revision, "trust_remote_code": trust_remote_code or None}
    config = AutoConfig.from_pretrained(name_or_path, **options)
    known = {model.model_type for model in MsaConfig.__subclasses__()}
    if config.model_type not in known:
        raise ValueError(
            f"model: expected a checkpoint of {', '.join(sorted(known))}, got one of {config.model_type!r}"
        )
    model = AutoModelForSequenceClassification.from_pretrained(name_or_path, **options)
    processor = AutoProcessor.from_pretrained(name_or_path, **options)
    return pipeline("multimodal-sentiment-analysis", model=model, processor=processor, **options)
