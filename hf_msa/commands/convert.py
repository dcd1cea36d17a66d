"""`hf-msa convert`: a corpus as Parquet."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .bars import progress_bars
from .terminal import print_text, quiet


def convert(
    corpus: Annotated[
        Path, typer.Argument(help="Corpus: an MMSA pickle, a folder with label.csv, or a folder of .csd files.")
    ],
    output: Annotated[Path, typer.Argument(help="Folder for the Parquet files; must not exist.")],
    tokenizer: Annotated[
        str | None, typer.Option(help="For aligned pickles: the tokenizer that made them, a folder or repository.")
    ] = None,
    audio_rate: Annotated[
        float | None, typer.Option(help="Audio frames a second, where the corpus is silent.")
    ] = None,
    visual_rate: Annotated[
        float | None, typer.Option(help="Visual frames a second, where the corpus is silent.")
    ] = None,
) -> None:
    """Turn a corpus into Parquet, which training reads memory-mapped. Pickles are read without running code.

    Example: hf-msa convert MOSI/unaligned_50.pkl corpora/mosi
    """
    quiet()
    from hf_msa.data import convert_corpus

    options: dict[str, Any] = {"tokenizer": tokenizer, "audio_rate": audio_rate, "visual_rate": visual_rate}
    options = {key: value for key, value in options.items() if value is not None}
    with progress_bars() as report:
        folder = convert_corpus(corpus, output, report, **options)
    print_text(f"wrote {folder}")


__all__ = ["convert"]
