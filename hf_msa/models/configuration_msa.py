"""The configuration fields that every model of the package has.

A configuration describes the network and remembers what a user needs to feed it: which text model it grew from, what
its audio and visual columns are, and the range of its labels. Learning rates and the like are not configuration; they
live in the recipes.
"""

import math
from dataclasses import fields
from typing import Any, ClassVar, Literal, NamedTuple

import transformers
from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.utils import logging

from .errors_msa import MsaError

logger = logging.get_logger("transformers.configuration_msa")

# What may stand in a config.json beside the fields: keys of transformers that its base class takes as keywords.
_TRANSFORMERS_KEYS = frozenset(
    {
        "_attn_implementation_internal",
        "_commit_hash",
        "_experts_implementation_internal",
        "_name_or_path",
        "attn_implementation",
        "auto_map",
        "custom_pipelines",
        "experts_implementation",
        "model_type",
        "name_or_path",
        "num_labels",
        "output_attentions",
        "per_layer_config",
        "quantization_config",
        "torch_dtype",
        "transformers_weights",
    }
)


class PaperResult(NamedTuple):
    """A row of a paper's main table.

    Args:
        corpus: "mosi", "mosei" or "sims".
        metrics: By our names, in our units: an accuracy is a share, not a percentage.
        setting: Text model, seeds, and what else must be known to compare.
    """

    corpus: str
    metrics: dict[str, float]
    setting: str


class Paper(NamedTuple):
    """Where a model comes from: what a card cites, and which results it sets beside ours.

    Args:
        name: Of the model.
        title: Of the paper.
        authors: As BibTeX wants them, "Family, Given".
        year: Of the paper.
        arxiv: Its number there.
        results: What it reports.
    """

    name: str
    title: str
    authors: tuple[str, ...]
    year: int
    arxiv: str
    results: tuple[PaperResult, ...] = ()


_ENCODERS = ("bert", "roberta", "xlm-roberta", "electra")


def _is_newer(version: str | None) -> bool:
    def number(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())

    return version is not None and number(version) > number(transformers.__version__)


@strict
class MsaConfig(PreTrainedConfig):
    r"""Hold the fields that all models share.

    Args:
        text_config: Configuration of the text model, an object or its dict; None takes the defaults of the model's
            usual backbone.
        text_model_name_or_path: Where the text model's weights came from; a record, never loaded by `from_pretrained`.
        text_model_revision: Branch, tag or commit of it.
        audio_dim: Raw feature size F of a frame of audio. Default: CMU-MOSI as the field ships it.
        visual_dim: Raw feature size F of a frame of the visual stream. Default as above.
        audio_features: What the audio columns are, `{"name", "version", "columns", "rate"}`, or None when unknown.
        visual_features: The same for the visual columns.
        label_range: Lowest and highest label of a regression, (-3, 3) for MOSI and MOSEI, (-1, 1) for SIMS; it chooses
            the metrics and the words of the pipeline. None for classes.
        regression_loss: Loss of a regression, `num_labels=1`. All three papers use "l1".
        freeze_text_encoder: Keep the text model as it was pretrained; set by each model to what its paper does.
        problem_type: Follows from `num_labels`, whatever is given: "regression" for one label, so that transformers'
            own text-classification pipeline gives the score as it is; None for classes.

    Raises:
        MsaError: For an unknown key, or a value outside what is said here. A value of the wrong type raises the
            validation error of huggingface_hub.
    """

    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="bert")
    }
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "losses",
        "fused_state",
        "hidden_states",
        "attentions",
        "gates",
    ]

    # Filled by each model: what `auto_map` says in its checkpoints, and which text models it can be built on.
    exported_classes: ClassVar[dict[str, str]] = {}
    supported_text_models: ClassVar[tuple[str, ...]] = ()
    # Where the model comes from; None for one that no paper describes.
    paper: ClassVar[Paper | None] = None
    # Whether training may put LoRA on the text model.
    trains_with_lora: ClassVar[bool] = True
    # For a model that is trained in two stages: the field that names the checkpoint of the first, and its model type.
    stage_one_field: ClassVar[str | None] = None
    stage_one_type: ClassVar[str | None] = None

    text_config: Any = None
    text_model_name_or_path: str | None = None
    text_model_revision: str | None = None
    audio_dim: int = 5
    visual_dim: int = 20
    audio_features: dict | None = None
    visual_features: dict | None = None
    label_range: list[float | int] | tuple[float | int, ...] | None = (-3, 3)
    regression_loss: Literal["l1", "mse", "smooth_l1"] = "l1"
    freeze_text_encoder: bool = False
    problem_type: Literal["regression", "single_label_classification"] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse unknown keys and check what one field's type cannot say."""
        unknown = sorted(set(kwargs) - _TRANSFORMERS_KEYS)
        if unknown and _is_newer(self.transformers_version):
            # Written by a later transformers, which may have keys of its own; a fresh configuration has no version.
            logger.warning(f"{type(self).__name__}: left alone what a newer transformers wrote: {unknown}")
            kwargs = {key: value for key, value in kwargs.items() if key not in unknown}
        elif unknown:
            raise MsaError(f"{type(self).__name__}: unknown key(s) {', '.join(map(repr, unknown))}")
        if not type(self).__module__.startswith("transformers_modules"):
            # Installed code needs no permission to run; with this key `pipeline` would ask for it all the same.
            kwargs.pop("custom_pipelines", None)
        if self.id2label is None:
            kwargs.setdefault("num_labels", 1)
        super().__post_init__(**kwargs)

        for name in ("audio_dim", "visual_dim"):
            if getattr(self, name) < 1:
                raise MsaError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.num_labels < 1:
            raise MsaError(f"num_labels: expected at least 1, got {self.num_labels}")
        self.problem_type = "regression" if self.num_labels == 1 else None
        if self.num_labels > 1:
            self.label_range = None
        if self.label_range is not None:
            self.label_range = tuple(self.label_range)
            if len(self.label_range) != 2 or not -math.inf < self.label_range[0] < self.label_range[1] < math.inf:
                raise MsaError(f"label_range: expected (lowest, highest), got {self.label_range}")
        if self.text_config is None:
            return  # the one model without text, DeepMLF's audiovisual encoder
        if self.text_config.model_type not in self.supported_text_models:
            raise MsaError(
                f"text_config: {type(self).__name__} is built on {', '.join(self.supported_text_models)}, "
                f"not on {self.text_config.model_type!r}"
            )

        if getattr(self.text_config, "is_decoder", False) and self.text_config.model_type in _ENCODERS:
            raise MsaError("text_config: expected an encoder, got is_decoder=True")

    @property
    def has_text_model(self) -> bool:
        """Whether there is a text model inside, which can be run by itself."""
        return self.text_config is not None

    @property
    def has_gates(self) -> bool:
        """Whether `output_gates` gives gates; a variant without them, under whatever name, says False."""
        return False

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> tuple[dict, dict]:
        """Read a config.json and refuse one of another model, where transformers only warns and goes on."""
        config_dict, kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        found = config_dict.get("model_type") if isinstance(config_dict, dict) else None
        if found != cls.model_type:
            got = "no config.json that names one" if found is None else f"one of {found!r}"
            raise MsaError(
                f"{pretrained_model_name_or_path}: expected a checkpoint of model type {cls.model_type!r}, got {got}"
            )
        return config_dict, kwargs

    def to_dict(self) -> dict[str, Any]:
        """Return what config.json says: the fields, every class of the checkpoint, and its pipeline."""
        # Trainer hangs attributes of its own on a config (use_cache), which no one would be allowed to read back.
        known = {field.name for field in fields(self)} | _TRANSFORMERS_KEYS
        output = {key: value for key, value in super().to_dict().items() if key in known}
        # The folder from which the text model came; `text_model_name_or_path` is where a user says it.
        (output.get("text_config") or {}).pop("_name_or_path", None)
        # Saving a model enters only its own class here; a user may load any of them.
        output["auto_map"] = dict(self.exported_classes)
        output["custom_pipelines"] = {
            "multimodal-sentiment-analysis": {
                "impl": "pipeline_msa.MsaPipeline",
                "pt": ["AutoModelForSequenceClassification"],
                "type": "multimodal",
            }
        }
        return output

    def to_diff_dict(self) -> dict[str, Any]:
        """Return what is written: transformers leaves two unnamed classes out as its default, which is not ours."""
        return super().to_diff_dict() | {"id2label": self.id2label, "label2id": self.label2id}


__all__ = ["MsaConfig", "Paper", "PaperResult"]
