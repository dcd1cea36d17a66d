"""`hf-msa publish`: parse, call, print."""

import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from .terminal import Json, print_json, quiet


def publish(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a checkpoint, or of a run of hf-msa train.")],
    repo_id: Annotated[str, typer.Argument(help="user/name; made where it does not exist.")],
    private: Annotated[bool, typer.Option("--private", help="Hide it from others.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to push to.", show_default="main")] = None,
    tag: Annotated[str | None, typer.Option(help="Name for what is pushed, to be loaded by.")] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.")] = False,
    adapter_only: Annotated[
        bool, typer.Option("--adapter-only", help="LoRA and the fusion alone; users then need peft and hf_msa.")
    ] = False,
    licence: Annotated[str | None, typer.Option(help="Licence of the weights.", show_default="the corpus's")] = None,
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
    from hf_msa.training.adapters import is_adapter, merge_adapter

    with Console(stderr=True, quiet=as_json).status("publishing"), TemporaryDirectory() as place:
        if is_adapter(checkpoint) and not adapter_only:
            checkpoint = merge_adapter(checkpoint, Path(place) / "merged")
        found = publish_checkpoint(
            checkpoint,
            repo_id,
            private=private,
            revision=revision,
            tag=tag,
            create_pr=create_pr,
            adapter_only=adapter_only,
            dry_run=dry_run,
            licence=licence,
            dataset=dataset,
        )
    if as_json:
        print_json(asdict(found))
        return
    if dry_run:
        for name, size in found.files.items():
            sys.stdout.write(f"{size:>14,}  {name}\n")
        sys.stdout.write(f"\n{found.card}\nnothing was sent\n")
        return
    done = "published" if found.is_new else "nothing has changed since"
    sys.stdout.write(f"{done} {found.url}\npin it with revision={found.commit!r}\n")


__all__ = ["publish"]
