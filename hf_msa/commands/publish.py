"""`hf-msa publish`: parse, call, print."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .terminal import Json, print_json, quiet


def publish(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a checkpoint, or of a run of hf-msa train.")],
    repo_id: Annotated[str, typer.Argument(help="Repository user/name, made where it does not exist.")],
    private: Annotated[bool, typer.Option("--private", help="Hide it from others.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to push to.", show_default="main")] = None,
    tag: Annotated[str | None, typer.Option(help="Name for what is pushed, to be loaded by.")] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.")] = False,
    adapter_only: Annotated[
        bool, typer.Option("--adapter-only", help="Send LoRA and the fusion alone; users then need peft and hf_msa.")
    ] = False,
    license: Annotated[
        str | None, typer.Option(help="License of the weights, as the Hub spells it.", show_default="the corpus's")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Repository of the corpus, to show the results there.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, print files and card, send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Check a checkpoint and push it to the Hub: weights, code, processor, card and results, in one commit.

    The token is the one of `hf auth login`, or HF_TOKEN. Nothing is sent when something is wrong.

    Example: hf-msa publish runs/pgf_net_sample user/name --private --tag v1
    """
    quiet()
    from rich.console import Console

    from hf_msa.hub import publish as publish_checkpoint

    with Console(stderr=True, quiet=as_json).status("publishing"):
        published = publish_checkpoint(
            checkpoint,
            repo_id,
            private=private,
            revision=revision,
            tag=tag,
            create_pr=create_pr,
            adapter_only=adapter_only,
            dry_run=dry_run,
            license=license,
            dataset=dataset,
        )
    if as_json:
        print_json(asdict(published))
        return
    if dry_run:
        for name, size in published.files.items():
            sys.stdout.write(f"{size:>14,}  {name}\n")
        sys.stdout.write(f"\n{published.card}\nnothing was sent\n")
        return
    done = "published" if published.is_new else "nothing has changed since"
    sys.stdout.write(f"{done} {published.url}\npin it with revision={published.commit!r}\n")
    if published.removed:
        sys.stdout.write(f"took away what an older push had left: {', '.join(published.removed)}\n")
    if published.pickles:
        sys.stdout.write(
            f"these pickles stay there, since they may be yours, and older commits hold what was taken away: "
            f"{', '.join(published.pickles)}\n"
        )


__all__ = ["publish"]
