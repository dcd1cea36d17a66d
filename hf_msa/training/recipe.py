"""A recipe: everything that a training run depends on, in one YAML file.

Its keys are the fields of [`Recipe`] and those of [`MsaTrainingArguments`], side by side and read by transformers'
`HfArgumentParser`. Numbers are cast to the type of their field first: YAML takes `1e-3` for a string.
"""

import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from transformers import CONFIG_MAPPING, HfArgumentParser

from hf_msa.errors import MsaError, RecipeError
from hf_msa.files import without_folders
from hf_msa.models import MODELS, MsaFeatureExtractor, MsaProcessor
from hf_msa.models.streams_msa import STREAMS

from .adapters import add_lora, check_lora
from .arguments import MsaTrainingArguments
from .yaml_values import cast_fields, check_known, load_yaml, set_value

# Fields that may be "no", which YAML 1.1 reads as false.
_MAY_BE_NO = ("eval_strategy", "save_strategy", "logging_strategy")
# Keys that are mappings, so that a dot in `--set` reaches into them even where the file leaves them out.
_MAPPINGS = ("model", "processor", "lora", "corpus_options", "learning_rates")
_PUBLISHED_APART = "a recipe stands in results.json for everyone to read; publish afterwards"
_NOT_IN_RECIPES = {
    "output_dir": "the folder is given to hf-msa train (--output)",
    "seed": "see seeds",
    "hub_token": _PUBLISHED_APART,
    "push_to_hub": _PUBLISHED_APART,
    "hub_model_id": _PUBLISHED_APART,
}


def _arguments(function: Any, *left_out: str) -> dict[str, Any]:
    names = set(inspect.signature(function).parameters) - {"self", "kwargs", *left_out}
    return {name: hint for name, hint in get_type_hints(function).items() if name in names}


# What a recipe's mappings may hold, and of which type.
_LORA_ARGUMENTS = _arguments(add_lora, "model")
_PROCESSOR_ARGUMENTS = {
    **_arguments(MsaFeatureExtractor.__init__),
    **_arguments(MsaProcessor.from_text_pretrained, "name_or_path", "streams"),
}


def _model_fields(config_class: type) -> dict[str, Any]:
    # Some of transformers' own fields name types that only a type checker knows; ours are plain.
    fields = {
        item.name: Any if isinstance(item.type, str) else item.type
        for item in dataclasses.fields(config_class)
        if item.name != "text_config"  # the text model's own
    }
    return fields | {"num_labels": int, "id2label": dict, "label2id": dict}


@dataclass
class Recipe:
    """What is trained on what; the how is in `training`.

    Args:
        model_type: A key of `hf_msa.models.MODELS`, say pgf_net.
        text_model: Repository or folder of the pretrained text model; "offline" is the MiniLM of the extra `offline`.
        corpus: "sample", or the path of a corpus (see `load_corpus`); a relative one starts at the folder that the
            environment variable HF_MSA_CORPORA names, or here.
        corpus_options: Options of `load_corpus`.
        streams: The streams that the model is given.
        model: Fields of the model's configuration. The sizes of the features are the corpus's.
        processor: Arguments of the processor's `from_text_pretrained`: alignment, max_text_length, ...
        normalize_by: None for statistics of all rows, or "speaker".
        lora: Arguments of `add_lora`; null trains without LoRA, as DeepMLF always does, which has LoRA of its own
            (`model.lora_rank`).
        initial_checkpoint: Folder or repository of a checkpoint to start from, with its processor, in place of a fresh
            model; its configuration and normalisation are kept, so `model`, `processor` and `normalize_by` must be
            empty.
        seeds: Each trains a model by itself (MMSA: 1111 to 1115).
        measure_train: Also predict and measure the training split, which costs a good part of an epoch.
        training: The keys of `MsaTrainingArguments`.

    Raises:
        RecipeError: For a value that cannot be meant, as far as can be said without loading anything.
    """

    model_type: str = field(default="pgf_net")
    text_model: str = field(default="offline")
    corpus: str = field(default="sample")
    corpus_options: dict[str, Any] = field(default_factory=dict)
    streams: list[str] = field(default_factory=lambda: list(STREAMS))
    model: dict[str, Any] = field(default_factory=dict)
    processor: dict[str, Any] = field(default_factory=dict)
    normalize_by: str | None = field(default=None)
    lora: dict[str, Any] | None = field(default_factory=dict)
    initial_checkpoint: str | None = field(default=None)
    seeds: list[int] = field(default_factory=lambda: [1111, 1112, 1113, 1114, 1115])
    measure_train: bool = field(default=True)
    training: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Check what can be checked without loading anything."""
        if self.model_type not in MODELS:
            raise RecipeError(f"model_type: expected one of {', '.join(sorted(MODELS))}, got {self.model_type!r}")
        if not self.streams or not set(self.streams) <= set(STREAMS):
            raise RecipeError(f"streams: expected some of {', '.join(STREAMS)}, got {self.streams}")
        self.streams = [stream for stream in STREAMS if stream in self.streams]
        if (
            not self.seeds
            or len(set(self.seeds)) < len(self.seeds)
            or not all(0 <= seed < 2**32 for seed in self.seeds)  # numpy's limit
        ):
            raise RecipeError(f"seeds: expected different numbers from 0 to 2**32 - 1, got {self.seeds}")
        if self.normalize_by not in (None, "speaker"):
            raise RecipeError(f"normalize_by: expected null or 'speaker', got {self.normalize_by!r}")
        if self.normalize_by is not None and self.stage_one is not None:
            raise RecipeError("normalize_by: expected null, since stage one brings its normalisation")
        if not self.config_class.trains_with_lora:
            if self.lora:
                raise RecipeError(f"lora: expected null for {self.model_type}, see model.lora_rank; got {self.lora}")
            self.lora = None
        if self.initial_checkpoint is not None and (self.model or self.processor or self.normalize_by):
            raise RecipeError(
                "initial_checkpoint: expected model, processor and normalize_by to be empty, since it brings its own"
            )
        self.model = cast_fields(self.model, _model_fields(self.config_class), "model")
        self.processor = cast_fields(self.processor, _PROCESSOR_ARGUMENTS, "processor")
        if self.lora is not None:
            self.lora = cast_fields(self.lora, _LORA_ARGUMENTS, "lora")
            try:
                check_lora(**self.lora)
            except MsaError as error:
                raise RecipeError(f"lora.{error}") from error

    @property
    def config_class(self) -> Any:
        """The configuration class of the model type."""
        return CONFIG_MAPPING[self.model_type]

    @property
    def stage_one(self) -> str | None:
        """Folder or repository of the model that an earlier stage trained; None where there is none."""
        return self.model.get(self.config_class.stage_one_field)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as it would stand in a file."""
        values = dataclasses.asdict(self)
        return values | values.pop("training")

    def to_shareable_dict(self) -> dict[str, Any]:
        """Return the recipe as it would stand in a file, without the folders of the machine on which it ran."""
        return without_folders(self.to_dict())


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: A YAML file.
        overrides: "key=value" in place of what the file says; "model.use_gate=false" reaches into a mapping.

    Raises:
        RecipeError: For a file that is no mapping, an unknown key, a key that stands there twice, a value of another
            type than its field.
        OSError: When the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise OSError(f"{path}: expected a recipe, a YAML file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: expected a recipe, a YAML file in UTF-8: {error}") from error
    try:
        values = load_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: expected YAML, got {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        found = "an empty file" if values is None else type(values).__name__
        raise RecipeError(f"{path}: expected keys with values, got {found}")
    for override in overrides:
        set_value(values, override, _MAPPINGS)
    try:
        return make_recipe(values)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def make_recipe(values: Mapping[str, Any]) -> Recipe:
    """Make a recipe from its keys.

    Args:
        values: As in a file.

    Raises:
        RecipeError: As `read_recipe`.
    """
    for key, hint in _NOT_IN_RECIPES.items():
        if key in values:
            # Without the value: it may be a token.
            raise RecipeError(f"{key}: expected no such key in a recipe; {hint}")
    of_recipe, of_training = _fields_of(Recipe), _fields_of(MsaTrainingArguments)
    check_known("recipe", values, of_recipe | of_training)
    meant = {key: "no" if key in _MAY_BE_NO and value is False else value for key, value in values.items()}
    cast = cast_fields({key: meant[key] for key in meant if key in of_recipe}, of_recipe)
    training = cast_fields({key: meant[key] for key in meant if key in of_training}, of_training)
    try:
        recipe, _ = HfArgumentParser((Recipe, MsaTrainingArguments)).parse_dict({**cast, **training})
    except ValueError as error:  # of transformers too, for arguments that contradict each other
        raise RecipeError(" ".join(str(error).split())) from error
    recipe.training = training
    return recipe


def _fields_of(kind: type) -> dict[str, Any]:
    # By type hints, since HfArgumentParser writes other types into the fields.
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in dataclasses.fields(kind) if item.init}


def shareable_setting(setting: str) -> str:
    """Return a "key=value" without the folders of the machine on which it was typed.

    Args:
        setting: As for `read_recipe`.
    """
    key, _, text = setting.partition("=")
    value = load_yaml(text)
    shared = without_folders(value)
    return setting if shared == value else f"{key}={json.dumps(shared, ensure_ascii=False)}"


def first_seeds(seeds: list[int], number: int | None) -> list[int]:
    """Return the first seeds of a recipe, or more in sequence.

    Args:
        seeds: The recipe's.
        number: How many; None for all.
    """
    return seeds if number is None else (seeds + [max(seeds) + 1 + i for i in range(number)])[:number]


__all__ = ["Recipe", "first_seeds", "make_recipe", "read_recipe", "shareable_setting"]
