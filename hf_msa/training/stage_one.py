"""What DeepMLF's second stage takes over from a checkpoint of the first, beside its weights: how streams are read."""

from collections.abc import Sequence
from typing import Any

from hf_msa.errors import RecipeError
from hf_msa.pretrained.checkpoint import check_place, load_checkpoint

_TAKEN = (
    "audio_dim",
    "visual_dim",
    "audio_features",
    "visual_features",
    "audio_statistics",
    "visual_statistics",
    "max_audio_length",
    "max_visual_length",
)


def stage_one_fields(name_or_path: str, streams: Sequence[str], fields: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a processor that reads audio and visual as the processor of stage one does.

    The encoder goes on with the normalisation with which it was trained, on whatever corpus that was.

    Args:
        name_or_path: Folder or repository of stage one.
        streams: Those that stage two is given.
        fields: Arguments of `from_text_pretrained` as recipe and corpus have them.

    Raises:
        OSError: When there is no such repository.
        RecipeError: When there is no such folder, it is no stage one, was trained without a stream that stage two has,
            or its features differ in size, in kind, or in what the recipe says of them.
    """
    check_place("av_encoder_name_or_path", name_or_path, "; it is a run of stage one, or null for none")
    try:
        model, processor = load_checkpoint(name_or_path)
    except OSError as error:
        raise OSError(
            f"av_encoder_name_or_path: expected a run of stage one, or null for none, got {name_or_path!r}: {error}"
        ) from error
    found = f"in stage one, {name_or_path}"
    if model.config.model_type != "deepmlf_av":
        raise RecipeError(f"av_encoder_name_or_path: expected a deepmlf_av, got a {model.config.model_type} {found}")
    if new := [stream for stream in streams if stream != "text" and stream not in processor.streams]:
        raise RecipeError(f"streams: expected of audio and visual those {found}, got {', '.join(new)} too")
    extractor = processor.feature_extractor
    for key, own in ((key, getattr(extractor, key)) for key in _TAKEN):
        given = fields.get(key)
        if key.endswith("_features"):
            extractor.check_features(**{key: given})
        elif given is not None and given != own:
            expected = f"those {found}, or none" if key.endswith("_statistics") else f"{own} as {found}"
            raise RecipeError(f"{key}: expected {expected}, got {given}")
        if own is not None:
            fields = fields | {key: own}
    return fields


__all__ = ["stage_one_fields"]
