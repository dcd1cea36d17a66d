"""`hf-msa predict`: score utterances."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .bars import progress_bars
from .terminal import Json, Revision, TrustRemoteCode, print_error, print_json, quiet


def predict(
    model: Annotated[str, typer.Argument(help="Folder or repository of a checkpoint.")],
    utterances: Annotated[
        Path, typer.Argument(help="File of JSON lines: text, paths of .npy arrays, words; - is standard input.")
    ],
    output: Annotated[Path | None, typer.Option(help="File to write JSON lines to instead of printing.")] = None,
    batch_size: Annotated[int, typer.Option(help="Number of utterances per forward pass.", min=1)] = 32,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Add the share of each stream, and the text's per word where the model knows it."
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first line that is wrong.")] = False,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Score utterances given as text and arrays of features.

    Each line of the file is an object with any of id, text, audio, visual (paths of .npy files with one row per frame,
    relative to the file), words (a list of word, start, end in seconds), audio_rate and visual_rate (frames a second).
    A line that is wrong costs no other one: it is named at the end, and the exit code is 3.

    Example: hf-msa predict runs/demo utterances.jsonl --explain
    """
    quiet()
    from hf_msa.data.utterances import read_utterances
    from hf_msa.errors import MsaError
    from hf_msa.evaluation.scoring import score_utterances
    from hf_msa.files import check_output_file, growing_file
    from hf_msa.pretrained.checkpoint import load_pipeline
    from hf_msa.progress import Progress

    if output is not None:
        check_output_file(output, utterances)
    pipe = load_pipeline(model, revision=revision, trust_remote_code=trust_remote_code)
    is_plain = output is None and not as_json and not explain
    # A bar between lines that are printed would tear them apart.
    is_shown = output is not None or not (as_json or sys.stdout.isatty())
    problems = []
    with contextlib.ExitStack() as stack:
        target = sys.stdout if output is None else stack.enter_context(growing_file(output))
        report = stack.enter_context(progress_bars(is_shown))
        scored = score_utterances(pipe, read_utterances(utterances), batch_size=batch_size, explain=explain)
        for done, (utterance, score) in enumerate(scored, 1):
            if score is None:
                problems.append(f"{utterances}:{utterance.line}: {utterance.problem}")
                if strict:
                    raise MsaError(problems[0])
            elif is_plain:
                _print_plain(score, utterance.fields)
            else:
                name = {key: utterance.fields[key] for key in ("id",) if key in utterance.fields}
                print_json((name or {"line": utterance.line}) | score, target)
            report(Progress("predicting", done))
    for problem in problems:
        print_error(problem)
    if problems:
        raise typer.Exit(3)


def _print_plain(score: dict[str, Any], fields: dict[str, Any]) -> None:
    text = " ".join((fields.get("text") or "").split())
    sys.stdout.write(f"{score['score']:+.3f}\t{score['label']}\t{text}\n")
    sys.stdout.flush()


__all__ = ["predict"]
