"""`hf-msa predict`: score utterances."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from .terminal import Json, Revision, TrustRemoteCode, print_json, quiet


def predict(
    model: Annotated[str, typer.Argument(help="Folder or repository of a checkpoint.")],
    utterances: Annotated[Path, typer.Argument(help="JSON lines: text, paths of .npy arrays, words.")],
    output: Annotated[Path | None, typer.Option(help="Write JSON lines there instead of printing.")] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Add the share of each stream, and the text's per word where the model knows it."
        ),
    ] = False,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Score utterances given as text and arrays of features.

    Each line of the file is an object with any of text, audio, visual (paths of .npy files with one row per frame,
    relative to the file), words (a list of word, start, end in seconds), audio_rate and visual_rate (frames a second).

    Example: hf-msa predict runs/demo utterances.jsonl --explain
    """
    quiet()
    from hf_msa.data.utterances import read_utterances
    from hf_msa.errors import MsaError
    from hf_msa.files import check_output_file, write_file
    from hf_msa.pretrained.checkpoint import load_pipeline

    if output is not None:
        check_output_file(output, utterances)
    rows = list(read_utterances(utterances))
    pipe = load_pipeline(model, revision=revision, trust_remote_code=trust_remote_code)

    def predictions() -> Iterator[dict[str, Any]]:
        for number, row in track(list(rows), "predicting", console=Console(stderr=True), transient=True):
            try:
                yield pipe(row, explain=explain)
            except ValueError as error:
                raise MsaError(f"{utterances}:{number}: {error}") from error

    found = list(predictions())
    if output is not None:
        write_file(output, "".join(json.dumps(line) + "\n" for line in found))
        return
    if as_json or explain:
        for line in found:
            print_json(line)
        return
    for (_, row), line in zip(rows, found, strict=True):
        sys.stdout.write(f"{line['score']:+.3f}\t{line['label']}\t{' '.join((row.get('text') or '').split())}\n")


__all__ = ["predict"]
