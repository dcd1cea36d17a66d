"""What the card of a checkpoint is written from."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from hf_msa.evaluation.results import Results
from hf_msa.pretrained.checkpoint import names_folder

from .terms import Terms


@dataclass(frozen=True)
class CardFacts:
    """What the card of a checkpoint is written from.

    Args:
        repo_id: Where the checkpoint goes.
        config: Configuration of the checkpoint.
        processor: Processor of the checkpoint.
        license: License of the weights, as the Hub spells it.
        terms: Terms of the corpora that it was trained on.
        results: Results of its run; None when it was not measured.
        revision: What the card loads, a tag or branch.
        is_adapter: Whether only LoRA and the fusion are there.
        dataset: Repository of the corpus on the Hub, if there is one.
    """

    repo_id: str
    config: Any
    processor: Any
    license: str
    terms: list[Terms]
    results: Results | None = None
    revision: str = "main"
    is_adapter: bool = False
    dataset: str | None = None

    @property
    def name(self) -> str:
        """Name of the repository, without its owner."""
        return self.repo_id.rsplit("/", 1)[-1]

    @property
    def model_class(self) -> type:
        """The class of the model, with its head."""
        return MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(self.config)]


def text_model_repository(config: Any) -> str | None:
    """Return the repository of a configuration's text model; None for a folder, or where none is recorded.

    Args:
        config: Configuration of a model of this package.
    """
    name = config.text_model_name_or_path
    is_name = name and re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name)
    return name if is_name and not names_folder(name) and not Path(name).is_dir() else None


__all__ = ["CardFacts", "text_model_repository"]
