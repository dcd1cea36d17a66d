"""What must hold for a card: metadata that the Hub reads, no open place, and in one written by hand no other numbers.

A card that `publish` writes has its numbers out of results.json, so nothing about them is left to prove. In a card
that a user gives, each number with decimals must be one of results.json or of the paper, rounded as it is written; a
share may stand as a percentage where a % sign follows or the name of an accuracy or F1 goes before. Whole numbers are
not looked at: they are years, sizes, versions, and nobody can tell whose.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from huggingface_hub import ModelCard

_PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\[More Information Needed\]|\b(?:TODO|FIXME|TBD)\b")
# Code, links and the numbers of papers.
_NO_RESULT = re.compile(r"```.*?```|`[^`\n]*`|https?://\S+|\]\([^)]*\)|arxiv:? ?\d+\.\d+", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.,-])[-+]?\d[\d,]*(?P<decimals>\.\d+)?(?![\w]|[.-]\d)(?P<percent> ?%)?")
_SHARE = re.compile(r"acc|f1", re.IGNORECASE)
_AFTER_SHARE = re.compile(rf"\b(?:{_SHARE.pattern})[^|.,;\n]{{0,20}}$", re.IGNORECASE)


def card_problems(card: str) -> list[str]:
    """Return what is wrong with a card's metadata, and places that were left open.

    Args:
        card: Text of the card.
    """
    problems = []
    try:
        data = ModelCard(card).data
    except Exception as error:  # YAML's errors, and whatever the client raises for what it cannot read
        problems.append(f"README.md: expected metadata that the Hub reads, got {' '.join(str(error).split())}")
    else:
        for name in ("license", "library_name"):
            if not data.get(name):
                problems.append(f"README.md: expected a {name} in its metadata, got none")
        if re.search(r"^model-index:", card, flags=re.MULTILINE) and not data.get("eval_results"):
            problems.append("README.md: expected a model-index that can be read, got another")
    if open_place := _PLACEHOLDER.search(card):
        problems.append(f"README.md: expected every place to be filled, got {open_place[0]!r}")
    return problems


def number_problems(card: str, known: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the numbers of a card that are nobody's.

    Args:
        card: Text of the card, written by hand.
        known: Where its numbers may come from: the content of results.json, what the paper reports.
    """
    numbers = [entry for source in known for entry in _numbers_in(source)]
    text = _NO_RESULT.sub(" ", card)
    strange = []
    for number in _NUMBER.finditer(text):
        written = number[0].removesuffix(number["percent"] or "")
        if not number["decimals"] and not number["percent"]:
            continue
        is_share = bool(number["percent"] or _AFTER_SHARE.search(text, 0, number.start()))
        if not any(_is_written_as(written, value, is_share and share) for value, share in numbers):
            strange.append(number[0])
    if not strange:
        return []
    listed = ", ".join(dict.fromkeys(strange))
    return [f"README.md: expected numbers that stand in results.json, got {listed}"]


def _numbers_in(value: Any, is_share: bool = False) -> Iterator[tuple[float, bool]]:
    """Yield numbers, and whether each is a share, as the names above it say."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _numbers_in(entry, is_share or bool(_SHARE.match(str(key))))
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _numbers_in(entry, is_share)
    elif isinstance(value, (int, float)) and math.isfinite(value):
        yield float(value), is_share


def _is_written_as(written: str, value: float, may_be_percent: bool) -> bool:
    """Return whether a number is a value, or its percentage, to the digits that are written."""
    margin = 0.5 * 10 ** -len(written.partition(".")[2]) + 1e-9
    number = abs(float(written.replace(",", "")))
    return any(abs(number - scale * abs(value)) <= margin for scale in ((1, 100) if may_be_percent else (1,)))


__all__ = ["card_problems", "number_problems"]
