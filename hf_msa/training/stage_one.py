"""What a second stage takes over from a checkpoint of the first, beside its weights: how streams are read."""

from typing import Any

from hf_msa.errors import RecipeError
from hf_msa.pretrained.checkpoint import check_place, load_checkpoint

from .recipe import Recipe

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


def stage_one_fields(checkpoint: str, recipe: Recipe, *, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a processor that reads audio and visual as the processor of stage one does.

    The encoder goes on with the normalisation with which it was trained, on whatever corpus that was.

    Args:
        checkpoint: Folder or repository of the first stage.
        recipe: The recipe of the second, which names it.
        fields: Arguments of `from_text_pretrained` as recipe and corpus have them.

    Raises:
        OSError: When there is no such repository.
        RecipeError: When stage one is of another kind, was trained without a stream that stage two has, or its
            features differ in size, in kind, or in what the recipe says of them.
        CheckpointError: When there is no such folder.
    """
    key, wanted = recipe.config_class.stage_one_field, recipe.config_class.stage_one_type
    check_place(key, checkpoint, "; it is a run of stage one, or null for none")
    try:
        model, processor = load_checkpoint(checkpoint)
    except OSError as error:
        raise OSError(f"{key}: expected a run of stage one, or null for none, got {checkpoint!r}: {error}") from error
    where = f"in stage one, {checkpoint}"
    if model.config.model_type != wanted:
        raise RecipeError(f"{key}: expected a {wanted}, got a {model.config.model_type} {where}")
    if new := [stream for stream in recipe.streams if stream != "text" and stream not in processor.streams]:
        raise RecipeError(f"streams: expected of audio and visual those {where}, got {', '.join(new)} too")
    extractor = processor.feature_extractor
    for name, trained_with in ((name, getattr(extractor, name)) for name in _TAKEN):
        given = fields.get(name)
        if name.endswith("_features"):
            extractor.check_features(**{name: given})
        elif given is not None and given != trained_with:
            expected = f"those {where}, or none" if name.endswith("_statistics") else f"{trained_with} as {where}"
            raise RecipeError(f"{name}: expected {expected}, got {given}")
        if trained_with is not None:
            fields = fields | {name: trained_with}
    return fields


__all__ = ["stage_one_fields"]
