"""`hf-msa card`: write a card's tables anew."""

from pathlib import Path
from typing import Annotated

import typer


def card(
    file: Annotated[Path, typer.Argument(help="The card, Markdown with places for tables.")],
    results: Annotated[
        Path | None, typer.Option(help="Folder of the files that it names.", show_default="results beside the card")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a number is out of date.")] = False,
) -> None:
    """Write the tables of a model card anew from results.json files, so that no number is typed by hand.

    Example: hf-msa card modeling_cards/pgf_net.md
    """
    from hf_msa.errors import MsaError
    from hf_msa.files import write_file
    from hf_msa.hub.card import fill_card

    text = file.read_text(encoding="utf-8")
    filled = fill_card(text, results or file.parent / "results")
    if check and filled != text:
        raise MsaError(f"{file}: expected the tables that hf-msa card writes, got others; run it")
    if not check:
        write_file(file, filled)


__all__ = ["card"]
