"""Build what a recipe describes on a corpus: one processor, and a fresh model per seed."""

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from datasets import Dataset
from huggingface_hub.errors import StrictDataclassError
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PROCESSOR_MAPPING, set_seed

from hf_msa.data.checks import check_dataset
from hf_msa.data.named import Corpus
from hf_msa.data.rows import SPLITS
from hf_msa.errors import MsaError, MsaWarning, RecipeError
from hf_msa.files import without_folders
from hf_msa.models.modeling_msa import has_safetensors
from hf_msa.models.streams_msa import FRAME_STREAMS
from hf_msa.pretrained.checkpoint import check_place, load_checkpoint
from hf_msa.pretrained.text_models import OFFLINE_TEXT_MODEL, offline_text_model

from .adapters import add_lora
from .parameter_groups import match_learning_rates, without_numbers
from .recipe import Recipe
from .stage_one import stage_one_fields

_FEATURE_FIELDS = ("audio_dim", "visual_dim", "audio_features", "visual_features")
_ROW_FIELDS = (*_FEATURE_FIELDS, "label_range", "num_labels", "id2label", "label2id")


class Builder:
    """Builds the processor and the models of a recipe; the corpus is checked before a large text model is loaded.

    Args:
        recipe: What to build.
        corpus: What it is to be trained on.

    Attributes:
        processor: Fitted on the training split, or as a checkpoint brings it.
        config: A configuration with what labels and metrics depend on; the model's own may say more.

    Raises:
        CorpusError: When the rows do not fit the recipe.
        RecipeError: When the recipe describes no processor or configuration.
        CheckpointError: When a text model, stage one or initial checkpoint is not there or does not fit.
    """

    def __init__(self, recipe: Recipe, corpus: Corpus) -> None:
        self.recipe = recipe
        self.corpus = corpus
        if recipe.initial_checkpoint is None:
            is_offline = recipe.text_model == "offline"
            self.text_model = str(offline_text_model()) if is_offline else recipe.text_model
            check_place("text_model", self.text_model, "; hf-msa offline-lm FOLDER writes one for DeepMLF", True)
            fields = corpus.features | {key: value for key, value in recipe.model.items() if key in _ROW_FIELDS}
            with _recipe_errors("model", recipe.model):
                self.config = recipe.config_class(**fields)
            self._check_rows()
            self.processor = self._build_processor()
            if not has_safetensors(self.text_model):
                warnings.warn(
                    f"text_model: the weights of {without_folders(self.text_model)} are a pickle (*.bin), of which "
                    "torch reads the tensors alone (weights_only); safetensors hold nothing else",
                    MsaWarning,
                    stacklevel=2,
                )
        else:
            model, self.processor = load_checkpoint(recipe.initial_checkpoint)
            self.config = model.config
            if self.processor.streams != recipe.streams:
                raise RecipeError(
                    f"streams: expected those of the initial checkpoint, {', '.join(self.processor.streams)}, "
                    f"got {', '.join(recipe.streams)}"
                )
            self._check_rows()

    def _check_rows(self) -> None:
        for split in SPLITS:
            check_dataset(split, self.corpus.splits[split], self.config, self.recipe.streams)

    def _build_processor(self) -> Any:
        recipe = self.recipe
        described = self.corpus.features | recipe.model
        fields = {key: described[key] for key in _FEATURE_FIELDS if key in described} | recipe.processor
        stage_one = recipe.stage_one
        if stage_one is not None:
            fields = stage_one_fields(stage_one, recipe, fields=fields)
        with _recipe_errors("processor", recipe.processor):
            processor = PROCESSOR_MAPPING[recipe.config_class].from_text_pretrained(
                self.text_model, streams=recipe.streams, **fields
            )
        if stage_one is not None:
            return processor
        return processor.fit(_with_streams(self.corpus.splits["train"], recipe.streams), by=recipe.normalize_by)

    def build_model(self, seed: int) -> Any:
        """Return a fresh model, with LoRA where the recipe wants it.

        Args:
            seed: Seed for the initial values.

        Raises:
            RecipeError: When the recipe describes no model, and CheckpointError as the class.
        """
        recipe = self.recipe
        set_seed(seed)
        if recipe.initial_checkpoint is not None:
            model = load_checkpoint(recipe.initial_checkpoint)[0]
        else:
            fields = self.corpus.features | recipe.model
            if recipe.text_model == "offline":
                fields.setdefault("text_model_name_or_path", OFFLINE_TEXT_MODEL)
            model_class = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[recipe.config_class]
            with _recipe_errors("model", recipe.model):
                model = model_class.from_text_pretrained(self.text_model, **fields)
        if recipe.lora is None:
            return model
        with _recipe_errors("lora", recipe.lora):
            return add_lora(model, **recipe.lora)


def describe_model(model: Any, learning_rates: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Return what results say of a model: its class, configuration, sizes, and which parameters have own rates.

    Args:
        model: As `Builder.build_model` returns it.
        learning_rates: As in `MsaTrainingArguments`.

    Raises:
        RecipeError: As `match_learning_rates`.
    """
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    taken = match_learning_rates(model, learning_rates or {})
    return {
        "class": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(model.config)].__name__,
        "text_model": without_folders(model.config.text_model_name_or_path),
        "parameters": sum(size for size, _ in sizes),
        "trainable_parameters": sum(size for size, is_trained in sizes if is_trained),
        "learning_rates": {pattern: without_numbers(names) for pattern, names in taken.items()},
        "config": without_folders(json.loads(model.config.to_json_string())),
    }


@contextlib.contextmanager
def _recipe_errors(name: str, values: Mapping[str, Any]) -> Iterator[None]:
    """Turn what configurations, processors and transformers say of a recipe's values into a RecipeError.

    Args:
        name: The mapping of the recipe that holds the values, which an error then names before the key.
        values: The mapping.
    """
    try:
        yield
    except (StrictDataclassError, ValueError) as error:
        message = " ".join(str(error).split())
        if message.partition(":")[0] in values:
            raise RecipeError(f"{name}.{message}") from error
        if isinstance(error, MsaError):
            raise
        raise RecipeError(message) from error


def _with_streams(dataset: Dataset, streams: list[str]) -> Dataset:
    return dataset.remove_columns([stream for stream in FRAME_STREAMS if stream not in streams])


__all__ = ["Builder", "describe_model"]
