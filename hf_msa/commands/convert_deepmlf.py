"""`hf-msa convert-deepmlf`: the authors' checkpoints as ours."""

from pathlib import Path
from typing import Annotated

import typer

from .terminal import Overrides, print_text, quiet


def convert_deepmlf(
    checkpoint: Annotated[Path, typer.Argument(help="Weights of the authors' code: .pth or .safetensors.")],
    output: Annotated[Path, typer.Argument(help="Folder for our checkpoint.")],
    recipe: Annotated[Path, typer.Option(help="Recipe of the same setting, for what the weights do not say.")],
    overrides: Overrides = None,
) -> None:
    """Turn a checkpoint of the authors' DeepMLF (efthymisgeo/deepmlf), of either stage, into one of ours.

    Nothing in the file is run. Sizes are read off the weights; model_type, text_model, av_length, heads, the scale of
    LoRA and the weights of losses are the recipe's.

    Example: hf-msa convert-deepmlf mosei.pth runs/mosei --recipe examples/configs/deepmlf_mosei.yaml
    """
    quiet()
    from hf_msa.conversion.deepmlf import convert_authors_checkpoint
    from hf_msa.training.recipe import read_recipe

    convert_authors_checkpoint(checkpoint, output, read_recipe(recipe, overrides or []))
    print_text(f"wrote {output}")


__all__ = ["convert_deepmlf"]
