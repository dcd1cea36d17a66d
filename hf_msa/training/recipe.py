"""A recipe: everything that a training run depends on, in one YAML file.

Its keys are the fields of [`Recipe`] and those of [`MsaTrainingArguments`], side by side and read by transformers'
`HfArgumentParser`. Numbers are cast to the type of their field first: YAML takes `1e-3` for a string.
"""

import dataclasses
import difflib
import inspect
import json
import math
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from transformers import CONFIG_MAPPING, HfArgumentParser

from hf_msa.data.named import without_folders
from hf_msa.errors import RecipeError
from hf_msa.models import MsaConfig, MsaFeatureExtractor, MsaProcessor

from .adapters import add_lora
from .arguments import MsaTrainingArguments

_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
_MAX_DEPTH = 20  # of lists and mappings in each other; ours
# Fields that may be "no", which YAML 1.1 reads as false.
_MAY_BE_NO = ("eval_strategy", "save_strategy", "logging_strategy")


@dataclass
class Recipe:
    """What is trained on what; the how is in `training`.

    Args:
        model_type: pgf_net, agfn, deepmlf_av (DeepMLF's stage one) or deepmlf.
        text_model: Repository or folder of the pretrained text model; "offline" is the MiniLM of the extra `offline`.
        corpus: "sample", or the path of a corpus (see `load_corpus`); a relative one starts at the folder that the
            environment variable HF_MSA_CORPORA names, or here.
        corpus_options: Options of `load_corpus`.
        streams: The streams that the model is given.
        model: Fields of the model's configuration. The sizes of the features are the corpus's.
        processor: Arguments of the processor's `from_text_pretrained`: alignment, max_text_length, ...
        normalize_by: None for statistics of all rows, or "speaker".
        lora: Arguments of `add_lora`; null trains without LoRA, as DeepMLF always does (its own is `model.lora_rank`).
        initial_checkpoint: Folder or repository of a checkpoint to start from, with its processor, in place of a fresh
            model; its configuration and normalisation are kept, so `model`, `processor` and `normalize_by` must be
            empty.
        seeds: Each trains a model of its own (MMSA: 1111 to 1115).
        measure_train: Also predict and measure the training split, which costs a good part of an epoch.
        training: The keys of `MsaTrainingArguments`.
    """

    model_type: str = field(default="pgf_net")
    text_model: str = field(default="offline")
    corpus: str = field(default="sample")
    corpus_options: dict[str, Any] = field(default_factory=dict)
    streams: list[str] = field(default_factory=lambda: ["text", "audio", "visual"])
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
        known = sorted(config.model_type for config in MsaConfig.__subclasses__())
        if self.model_type not in known:
            raise RecipeError(f"model_type: expected one of {', '.join(known)}, got {self.model_type!r}")
        streams = ("text", "audio", "visual")
        if not self.streams or not set(self.streams) <= set(streams):
            raise RecipeError(f"streams: expected some of {', '.join(streams)}, got {self.streams}")
        self.streams = [stream for stream in streams if stream in self.streams]
        if (
            not self.seeds
            or len(set(self.seeds)) < len(self.seeds)
            or not all(0 <= seed < 2**32 for seed in self.seeds)  # numpy's limit
        ):
            raise RecipeError(f"seeds: expected different numbers from 0 to 2**32 - 1, got {self.seeds}")
        if self.normalize_by not in (None, "speaker"):
            raise RecipeError(f"normalize_by: expected null or 'speaker', got {self.normalize_by!r}")
        if self.normalize_by is not None and self.model.get("av_encoder_name_or_path") is not None:
            raise RecipeError("normalize_by: expected null, since stage one brings its normalisation")
        if self.model_type in ("deepmlf_av", "deepmlf"):
            if self.lora:
                raise RecipeError(f"lora: expected null for {self.model_type}, see model.lora_rank; got {self.lora}")
            self.lora = None
        if self.initial_checkpoint is not None and (self.model or self.processor or self.normalize_by):
            raise RecipeError(
                "initial_checkpoint: expected model, processor and normalize_by to be empty, since it brings its own"
            )
        # Some of transformers' own fields name types that only a type checker knows; ours are plain.
        fields = dataclasses.fields(CONFIG_MAPPING[self.model_type])
        hints = {item.name: Any if isinstance(item.type, str) else item.type for item in fields} | _CLASS_FIELDS
        del hints["text_config"]  # the text model's own
        self.model = _cast_fields(self.model, hints, "model")
        self.processor = _cast_fields(self.processor, _PROCESSOR_ARGUMENTS, "processor")
        if self.lora is not None:
            self.lora = _cast_fields(self.lora, _LORA_ARGUMENTS, "lora")

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as it would stand in a file."""
        values = dataclasses.asdict(self)
        return values | values.pop("training")


_PUBLISHED_APART = "a recipe stands in results.json for everyone to read; publish afterwards"
_NOT_IN_RECIPES = {
    "output_dir": "the folder is given to hf-msa train (--output)",
    "seed": "see seeds",
    "hub_token": _PUBLISHED_APART,
    "push_to_hub": _PUBLISHED_APART,
    "hub_model_id": _PUBLISHED_APART,
}


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
        values = _load_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: expected YAML, got {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise RecipeError(f"{path}: expected keys with values, got {type(values).__name__}")
    for override in overrides:
        _override(values, override)
    try:
        return make_recipe(values)
    except ValueError as error:
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
    # By type hints, since HfArgumentParser writes other types into the fields.
    own, training = (
        {item.name: hints[item.name] for item in dataclasses.fields(kind) if item.init}
        for kind, hints in ((Recipe, get_type_hints(Recipe)), (MsaTrainingArguments, _training_hints()))
    )
    _check_known("recipe", values, own | training)
    cast = _cast_fields({key: values[key] for key in values if key in own}, own)
    meant = {key: "no" if key in _MAY_BE_NO and value is False else value for key, value in values.items()}
    cast_training = _cast_fields({key: meant[key] for key in meant if key in training}, training)
    recipe, _ = HfArgumentParser((Recipe, MsaTrainingArguments)).parse_dict({**cast, **cast_training})
    recipe.training = cast_training
    return recipe


def read_options(options: Sequence[str]) -> dict[str, Any]:
    """Read "key=value" pairs whose values are YAML.

    Args:
        options: The pairs.

    Raises:
        RecipeError: For what is no such pair.
    """
    values: dict[str, Any] = {}
    for option in options:
        _override(values, option)
    return values


def shareable_setting(setting: str) -> str:
    """Return a "key=value" without the folders of the machine on which it was typed.

    Args:
        setting: As for `read_recipe`.
    """
    key, _, text = setting.partition("=")
    value = _load_yaml(text)
    shared = without_folders(value)
    return setting if shared == value else f"{key}={json.dumps(shared, ensure_ascii=False)}"


def first_seeds(seeds: list[int], number: int | None) -> list[int]:
    """Return the first seeds of a recipe, or more in sequence.

    Args:
        seeds: The recipe's.
        number: How many; None for all.
    """
    return seeds if number is None else (seeds + [max(seeds) + 1 + i for i in range(number)])[:number]


class _Loader(yaml.SafeLoader):
    """YAML, except that of two equal keys the last does not win in silence."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
                if key.value in seen:
                    problem = f"the key {key.value!r} a second time"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _load_yaml(text: str) -> Any:
    try:
        value = yaml.load(text, _Loader)
        _check_depth(value)
    except RecursionError as error:
        raise yaml.YAMLError(f"values in more than {_MAX_DEPTH} others") from error
    return value


def _check_depth(value: Any, depth: int = 0) -> None:
    """Refuse what later code could not walk through, also a value that holds itself (`&a [*a]`)."""
    if depth > _MAX_DEPTH:
        raise RecursionError
    if isinstance(value, (dict, list)):
        for entry in value.values() if isinstance(value, dict) else value:
            _check_depth(entry, depth + 1)


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"set: expected key=value, got {override!r}")
    *path, last = key.split(".") if key.count(".") and key.split(".")[0] in values | _MAPPINGS else [key]
    place = values
    for part in path:
        inner = place.get(part)
        place[part] = place = dict(inner) if isinstance(inner, dict) else {}
    try:
        place[last] = _load_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"set: expected a YAML value, got {override!r}") from error


# Fields that are mappings, so that a dot in `--set` reaches into them even where the file leaves them out.
_MAPPINGS = {"model": None, "processor": None, "lora": None, "corpus_options": None, "learning_rates": None}


def _arguments(function: Any, *left_out: str) -> dict[str, Any]:
    names = set(inspect.signature(function).parameters) - {"self", "kwargs", *left_out}
    return {name: hint for name, hint in get_type_hints(function).items() if name in names}


# What a recipe's mappings may hold, and of which type.
_LORA_ARGUMENTS = _arguments(add_lora, "model")
_PROCESSOR_ARGUMENTS = {
    **_arguments(MsaFeatureExtractor.__init__),
    **_arguments(MsaProcessor.from_text_pretrained, "name_or_path", "streams"),
}
_CLASS_FIELDS = {"num_labels": int, "id2label": dict, "label2id": dict}


def _training_hints() -> dict[str, Any]:
    return get_type_hints(MsaTrainingArguments)


def _check_known(name: str, values: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, sorted(known), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise RecipeError(f"unknown key {key!r} in {name}{hint}")


def _cast_fields(values: Mapping[str, Any], hints: Mapping[str, Any], name: str = "") -> dict:
    """Return values cast to the types that their keys have."""
    prefix = ""
    if name:
        _check_known(name, values, hints)
        prefix = f"{name}."
    return {key: cast_value(value, hints[key], prefix + key) for key, value in values.items()}


def cast_value(value: Any, hint: Any, name: str) -> Any:
    """Return a value from YAML as its field's type wants it.

    Args:
        value: As YAML read it.
        hint: The type: a plain one, a union, a literal, a list, tuple or dict of types. What is none of these passes.
        name: Of the field, for the error.

    Raises:
        RecipeError: When the value is not of that type and no number that could be.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _cast_union(value, inner, name)
    if hint is Any:
        # Nobody says what it should be, so what only YAML 1.1 takes for a string is a number.
        if isinstance(value, dict):
            return {key: cast_value(entry, Any, name) for key, entry in value.items()}
        if isinstance(value, list):
            return [cast_value(entry, Any, name) for entry in value]
        return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value
    if origin is Literal:
        if value not in inner:
            raise RecipeError(f"{name}: expected {' or '.join(map(repr, inner))}, got {value!r}")
        return value
    if origin is dict or hint is dict:
        if not isinstance(value, dict):
            raise RecipeError(f"{name}: expected a mapping, got {value!r}")
        return {key: cast_value(entry, inner[1] if inner else Any, f"{name}.{key}") for key, entry in value.items()}
    if origin in (list, tuple) or hint in (list, tuple):
        if not isinstance(value, list):
            raise RecipeError(f"{name}: expected a list, got {value!r}")
        entry_type = inner[0] if inner else Any
        return [cast_value(entry, entry_type, name) for entry in value]
    return _cast_plain(value, hint, name)


def _cast_union(value: Any, options: tuple[Any, ...], name: str) -> Any:
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    if len(options) == 1:
        return cast_value(value, options[0], name)
    # A type that the value has already; then, of the others, the first that it can be cast to.
    exact = [option for option in options if isinstance(option, type) and type(value) is option and option is not str]
    for option in (*exact, *(option for option in options if option is not str), *(o for o in options if o is str)):
        try:
            return cast_value(value, option, name)
        except ValueError:
            continue
    names = " or ".join(getattr(option, "__name__", str(option)) for option in options)
    raise RecipeError(f"{name}: expected {names}, got {value!r}")


def _cast_plain(value: Any, hint: Any, name: str) -> Any:
    wrong = RecipeError(f"{name}: expected {getattr(hint, '__name__', hint)}, got {value!r}")
    if hint is bool or hint is str:
        if not isinstance(value, hint):
            raise wrong
        return value
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise wrong
        if hint is int and isinstance(value, int):
            return value
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise wrong from None
        if math.isnan(number) or (hint is int and not number.is_integer()):
            raise wrong
        return number if hint is float else int(number)
    return value


__all__ = ["Recipe", "cast_value", "first_seeds", "make_recipe", "read_options", "read_recipe", "shareable_setting"]
