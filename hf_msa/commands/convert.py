"""`hf-msa convert`: a corpus as Parquet."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .bars import progress_bars
from .terminal import print_text, quiet


def convert(
    corpus: Annotated[
        Path, typer.Argument(help="MMSA pickle, folder with label.csv, folder of .csd files, table of texts.")
    ],
    output: Annotated[Path, typer.Argument(help="Folder for the Parquet files; must not exist.")],
    tokenizer: Annotated[
        str | None, typer.Option(help="For aligned pickles: the tokenizer that made them, a folder or repository.")
    ] = None,
    audio_rate: Annotated[
        float | None, typer.Option(help="Audio frames a second, where the corpus does not say.")
    ] = None,
    visual_rate: Annotated[
        float | None, typer.Option(help="Visual frames a second, where the corpus does not say.")
    ] = None,
    label_range: Annotated[
        str | None, typer.Option(help="Lowest and highest label, as --label-range=-1,1, where it is not -3,3.")
    ] = None,
) -> None:
    """Turn a corpus into Parquet, which training reads memory-mapped. Pickles are read without running code.

    Example: hf-msa convert MOSI/unaligned_50.pkl corpora/mosi
    """
    quiet()
    from hf_msa.data import convert_corpus

    options: dict[str, Any] = {"tokenizer": tokenizer, "audio_rate": audio_rate, "visual_rate": visual_rate}
    options["label_range"] = None if label_range is None else _read_range(label_range)
    options = {key: value for key, value in options.items() if value is not None}
    with progress_bars() as report:
        folder = convert_corpus(corpus, output, report, **options)
    print_text(f"wrote {folder}")


def _read_range(text: str) -> tuple[float, ...]:
    """Return the two numbers of "low,high"; whether they make a range, the corpus says."""
    from hf_msa.errors import MsaError

    try:
        return tuple(float(end) for end in text.split(","))
    except ValueError:
        raise MsaError(f"label_range: expected two numbers with a comma, as -1,1, got {text!r}") from None


__all__ = ["convert"]
