"""Tables of a model card, written from what the runs wrote; no number is typed by hand.

A card has places for them, each with the files it is made from, relative to the folder given:

    <!-- results: pgf_net_mosi_text.json -->            a table of runs, a row each
    <!-- comparison: pgf_net_composite_gain.json -->    what `hf-msa compare --json` printed
    <!-- robustness: agfn_visual.json -->               what `hf-msa robustness --json` printed
    <!-- tried: pgf_net_tried.json -->                  the configurations that were tried, and their validation error
    <!-- sweep: deepmlf_depth.json -->                  what `hf-msa sweep` wrote
    ...                                                 replaced
    <!-- end -->
"""

import json
import re
from pathlib import Path
from typing import Any

from hf_msa.errors import MsaError
from hf_msa.evaluation.comparison import Comparison
from hf_msa.evaluation.results import Results
from hf_msa.evaluation.robustness import Robustness
from hf_msa.evaluation.tried import Tried
from hf_msa.training.sweep import Sweep

# What a card can show, by the word in its comment.
KINDS: dict[str, Any] = {result.kind: result for result in (Results, Comparison, Robustness, Tried, Sweep)}
_PLACE = re.compile(rf"<!-- ({'|'.join(KINDS)}): ([^>]*?) -->\n(.*?)<!-- end -->", re.DOTALL)


def fill_card(card: str, folder: str | Path) -> str:
    """Return a card with its tables written anew.

    Args:
        card: Its text.
        folder: Where the files lie that it names.

    Raises:
        MsaError: When a file is missing or of another kind, or the card has no place for a table.
    """

    def fill(place: re.Match[str]) -> str:
        kind, names, _ = place.groups()
        first, *others = (read_result(kind, Path(folder) / name) for name in names.split())
        return f"<!-- {kind}: {names} -->\n{first.to_markdown(*others)}\n<!-- end -->"

    filled, count = _PLACE.subn(fill, card)
    if not count:
        raise MsaError("card: expected a place for a table, <!-- results: FILE --> to <!-- end -->, got none")
    return filled


def read_result(kind: str, file: Path) -> Any:
    """Return what a command wrote about a measurement.

    Args:
        kind: As in a card.
        file: Its JSON.

    Raises:
        MsaError: When there is no such file, or it holds something else.
    """
    try:
        return KINDS[kind].from_dict(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise MsaError(f"{file}: expected {kind} that hf-msa wrote, got {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MsaError(f"{file}: expected {kind} that hf-msa wrote, got another file ({error!r})") from error


__all__ = ["KINDS", "fill_card", "read_result"]
