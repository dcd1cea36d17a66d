"""Read a checkpoint of DeepMLF's authors (efthymisgeo/deepmlf): their names of weights, ours beside them.

Their names say almost everything about a model; what they do not say is in a recipe.

Shapes: n fusion tokens, D width of the language model, F raw feature size.
"""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PROCESSOR_MAPPING, AutoConfig

from hf_msa.errors import CheckpointError
from hf_msa.models import DeepMLFAudioVisualConfig, DeepMLFConfig
from hf_msa.pretrained.checkpoint import check_output, save_checkpoint
from hf_msa.training.recipe import Recipe

_PREFIX = "Model."
_BLOCK = r"lang_encoder\.(?:transformer\.h|model\.layers)\.(\d+)"
_OURS = r"deepmlf.fusion_blocks.\1"

# The audiovisual encoder; LETTER and STREAM stand for a and audio, v and visual. "in_proj" holds query, key and value.
_STREAM_NAMES = {
    r"BN_LETTER\.(\w+)": r"STREAM.batch_norm.\1",
    r"proj_LETTER\.weight": "STREAM.proj.weight",
    r"enc_LETTER\.layers\.(\d+)\.linear1\.(\w+)": r"STREAM.layers.\1.up.\2",
    r"enc_LETTER\.layers\.(\d+)\.linear2\.(\w+)": r"STREAM.layers.\1.down.\2",
    r"enc_LETTER\.layers\.(\d+)\.(norm[12])\.(\w+)": r"STREAM.layers.\1.\2.\3",
    r"enc_LETTER\.layers\.(\d+)\.self_attn\.out_proj\.(\w+)": r"STREAM.layers.\1.output.\2",
    r"enc_LETTER\.layers\.(\d+)\.self_attn\.in_proj_(\w+)": r"STREAM.layers.\1.QKV.\2",
    r"embed_positions_LETTER\._float_tensor": "",  # not read, theirs neither
}
_AV_NAMES = {
    theirs.replace("LETTER", letter): ours.replace("STREAM", stream)
    for letter, stream in (("a", "audio"), ("v", "visual"))
    for theirs, ours in _STREAM_NAMES.items()
} | {r"fusion\.(\w+)": r"fusion.\1"}
STAGE_ONE_NAMES = {theirs: ours and f"av_encoder.{ours}" for theirs, ours in _AV_NAMES.items()} | {
    r"clf\.(\w+)": r"classifier.\1"
}
STAGE_TWO_NAMES = {
    **{rf"av_encoder\.{theirs}": ours and f"deepmlf.av_encoder.{ours}" for theirs, ours in _AV_NAMES.items()},
    r"av_encoder\.clf\.(\w+)": "",  # stage one's head
    r"LN\.(\w+)": r"deepmlf.av_norm.\1",
    r"W_bn\.(\w+)": r"fusion_head.\1",
    r"W_text\.(\w+)": r"text_head.\1",
    r"W_av\.(\w+)": r"av_head.\1",
    r"W_task\.0\.(\w+)": r"classifier.hidden.\1",
    r"W_task\.1\.(\w+)": r"classifier.norm.\1",
    r"W_task\.3\.(\w+)": r"classifier.output.\1",
    _BLOCK + r"\.ca_layer\.ln_1\.(\w+)": _OURS + r".attention_norm.\2",
    _BLOCK + r"\.ca_layer\.ln_2\.(\w+)": _OURS + r".feed_forward_norm.\2",
    _BLOCK + r"\.ca_layer\.alpha_1": _OURS + ".attention_gate.alpha",
    _BLOCK + r"\.ca_layer\.alpha_2": _OURS + ".feed_forward_gate.alpha",
    _BLOCK + r"\.ca_layer\.attn\.W_q\.weight": _OURS + ".cross_attention.query.weight",
    _BLOCK + r"\.ca_layer\.attn\.W_kv\.weight": _OURS + ".cross_attention.key_value.weight",
    _BLOCK + r"\.ca_layer\.attn\.W_o\.weight": _OURS + ".cross_attention.output.weight",
    _BLOCK + r"\.ca_layer\.mlp\.c_fc\.(\w+)": _OURS + r".feed_forward.up.\2",
    _BLOCK + r"\.ca_layer\.mlp\.c_proj\.(\w+)": _OURS + r".feed_forward.down.\2",
    _BLOCK + r"\.ca_layer\.mlp\.(?:lora_)?(gate|up|down)_proj\.(\w+)": _OURS + r".feed_forward.\2.\3",
    r"lang_encoder\.\w+\.\w+\.0\.bn_embedding\.bn_embedding": "deepmlf.fusion_tokens.embedding",
    r"lang_encoder\.\w+\.(wte|embed_tokens)\.0\.embedding\.weight": r"deepmlf.text_encoder.\1.weight",
    r"lang_encoder\.\w+\.wpe\.0\.positional\.weight": "deepmlf.text_encoder.wpe.weight",
    r"lang_encoder\.\w+\.(h|layers)\.(\d+)\.decoder_layer\.(.+)": r"deepmlf.text_encoder.\1.\2.\3",
    r"lang_encoder\.\w+\.(ln_f|norm)\.(\w+)": r"deepmlf.text_encoder.\1.\2",
    r"lang_encoder\.lm_head\.weight": "lm_head.weight",
}


def our_weights(weights: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the authors' weights under our names.

    Args:
        weights: Tensors by the authors' names, without "Model.".
        names: `STAGE_ONE_NAMES` or `STAGE_TWO_NAMES`.

    Raises:
        CheckpointError: For a name that is not theirs.
    """
    # An MM block carries the number of its language-model block; ours are counted by themselves.
    blocks = {layer: str(number) for number, layer in enumerate(fusion_layers_of(weights))}
    ours: dict[str, Tensor] = {}
    for name, value in weights.items():
        theirs = next((pattern for pattern in names if re.fullmatch(pattern, name)), None)
        if theirs is None:
            raise CheckpointError(f"expected the names of the authors' DeepMLF, got {_PREFIX + name!r}")
        our_name = re.sub(theirs, names[theirs], name)
        our_name = re.sub(r"(?<=fusion_blocks\.)\d+", lambda number: blocks[int(number[0])], our_name)
        if "QKV" in our_name:
            for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
                ours[our_name.replace("QKV", part)] = rows.contiguous()
        elif our_name:
            ours[our_name] = value
    return ours


def fusion_layers_of(weights: Mapping[str, Tensor]) -> list[int]:
    """Return the language-model blocks behind which an MM block stands.

    Args:
        weights: Tensors by the authors' names, without "Model.".
    """
    matches = (re.match(_BLOCK + r"\.ca_layer\.", name) for name in weights)
    return sorted({int(match[1]) for match in matches if match})


def read_authors_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict; nothing in the file is run.

    Args:
        path: `.safetensors`, or what `torch.save` wrote.

    Returns:
        Tensors by the authors' names, without "Model.".

    Raises:
        CheckpointError: For a damaged file, and one that holds anything but tensors by name.
        OSError: When it cannot be read.
    """
    with path.open("rb"):  # a folder or a missing file is said as such
        pass
    try:
        is_safetensors = path.suffix == ".safetensors"
        values = load_file(path) if is_safetensors else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: expected weights alone, got {_first_line(error)}") from error
    except (RuntimeError, EOFError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: expected whole weights, got a damaged file ({_first_line(error)})") from error
    if not isinstance(values, dict) or not values:
        raise CheckpointError(f"{path}: expected tensors by name, got {type(values).__name__}")
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise CheckpointError(
                f"{path}: expected tensors by name, got {type(value).__name__} for {str(name)[:60]!r}"
            )
    return {name.removeprefix(_PREFIX): value for name, value in values.items()}


def _first_line(error: Exception) -> str:
    # torch adds paragraphs of advice, among them to load the file unsafely.
    lines = [line for line in str(error).splitlines() if "unsupported" in line.lower()] or str(error).splitlines()
    return (lines[0] if lines else type(error).__name__).strip()[:200]


def fields_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the fields of a configuration that the weights decide, of either stage.

    Args:
        weights: Tensors by the authors' names, without "Model.".

    Raises:
        CheckpointError: It names a tensor that is missing.
    """
    is_stage_two = any(name.startswith("lang_encoder.") for name in weights)
    av = "av_encoder." if is_stage_two else ""

    def shape(name: str, num_dims: int) -> torch.Size:
        if name not in weights or weights[name].dim() != num_dims:
            raise CheckpointError(
                f"expected {_PREFIX + name!r} with {num_dims} dimensions, as in the authors' DeepMLF"
            )
        return weights[name].shape

    fields: dict[str, Any] = {
        "audio_dim": shape(f"{av}proj_a.weight", 2)[1],
        "visual_dim": shape(f"{av}proj_v.weight", 2)[1],
        "av_hidden_size": shape(f"{av}proj_a.weight", 2)[0],
        "av_intermediate_size": shape(f"{av}enc_a.layers.0.linear1.weight", 2)[0],
        "av_num_hidden_layers": sum(name.startswith(f"{av}enc_a.") and "linear1.weight" in name for name in weights),
        "audio_batch_norm": f"{av}BN_a.weight" in weights,
        "visual_batch_norm": f"{av}BN_v.weight" in weights,
    }
    if is_stage_two:
        tokens = next((name for name in weights if name.endswith(".bn_embedding")), "lang_encoder...bn_embedding")
        lora = next((name for name in weights if name.endswith("lora_up_proj.lora_A")), None)
        fields |= {
            "fusion_layers": fusion_layers_of(weights),
            "num_fusion_tokens": shape(tokens, 2)[0],
            "classifier_hidden_size": shape("W_task.0.weight", 2)[0],
            "lora_rank": shape(lora, 2)[1] if lora else 0,
        }
    return fields


def convert_authors_checkpoint(path: Path, folder: Path, recipe: Recipe) -> Any:
    """Write a checkpoint of the authors' code, of either stage, as a folder of ours.

    Sizes are read off the weights. The recipe says what they cannot: the stage (`model_type`), whose configuration and
    tokenizer the text has (`text_model`), `av_length`, the heads, the scale of LoRA, the weights of the losses,
    `lowercase`. Streams are not normalised, since the authors' are not.

    Args:
        path: As for `read_authors_weights`.
        folder: Where ours goes: a folder that is new or empty, or an older checkpoint.
        recipe: A recipe of the same setting.

    Returns:
        The model, in evaluation mode.

    Raises:
        CheckpointError: For what is no such checkpoint, and where weights and recipe contradict each other.
        OSError: When something cannot be read or written.
    """
    stages = {"deepmlf_av": (DeepMLFAudioVisualConfig, STAGE_ONE_NAMES), "deepmlf": (DeepMLFConfig, STAGE_TWO_NAMES)}
    if recipe.model_type not in stages:
        raise CheckpointError(f"model_type: expected a recipe of deepmlf or deepmlf_av, got {recipe.model_type!r}")
    config_class, names = stages[recipe.model_type]
    check_output(folder)
    weights = read_authors_weights(path)
    has_text = any(name.startswith("lang_encoder.") for name in weights)
    if has_text != (recipe.model_type == "deepmlf"):
        other = "deepmlf" if has_text else "deepmlf_av"
        raise CheckpointError(
            f"{path}: expected weights of {recipe.model_type} as in the recipe, got those of {other}"
        )
    try:
        fields = fields_of(weights)
        for name, value in fields.items():
            wanted = recipe.model.get(name, value)
            if (list(wanted) if isinstance(wanted, (list, tuple)) else wanted) != value:
                raise CheckpointError(
                    f"model.{name}: expected {value} as the weights have it, got {wanted} in the recipe"
                )
        ours = our_weights(weights, names)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error

    # The weights of stage one are in the file.
    fields = {key: value for key, value in recipe.model.items() if key != config_class.stage_one_field} | fields
    fields |= {"text_model_name_or_path": recipe.text_model}
    if has_text:
        fields["text_config"] = AutoConfig.from_pretrained(recipe.text_model, trust_remote_code=False).to_dict()
    config = config_class(**fields)
    model = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[config_class](config)
    optional = ("fusion_head.", "text_head.", "av_head.", "lm_head.")  # at weight 0 there is none
    wanted_names = model.state_dict().keys()
    ours = {key: value for key, value in ours.items() if key in wanted_names or not key.startswith(optional)}
    try:
        model.load_state_dict(ours)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{path}: expected the sizes of {recipe.text_model} and the recipe: {reason}") from error
    features = {
        key: fields[key] for key in ("audio_dim", "visual_dim", "audio_features", "visual_features") if key in fields
    }
    processor = PROCESSOR_MAPPING[config_class].from_text_pretrained(
        recipe.text_model, streams=recipe.streams, **features | recipe.processor
    )
    save_checkpoint(model.eval(), processor, folder)
    return model


__all__ = [
    "STAGE_ONE_NAMES",
    "STAGE_TWO_NAMES",
    "convert_authors_checkpoint",
    "fields_of",
    "fusion_layers_of",
    "our_weights",
    "read_authors_weights",
]
