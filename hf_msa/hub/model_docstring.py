"""What a card says of a model's design, read out of the docstring of the model's own file, so that they cannot differ.

    summary                        the first paragraph, without the model's name in front of a colon
    introduction                   what follows it, up to the first section
    Diagram:                       a section: what is indented or listed beneath its name
    Differences from the paper:    the same
    Choices:                       the same
    remarks                        what stands between and behind the sections
    Shapes:                        a section that is left out: it explains the code

Whatever is missing is empty.
"""

import inspect
import re
import sys
import textwrap
from dataclasses import dataclass

_FIELDS = {"Diagram": "diagram", "Differences from the paper": "differences", "Choices": "choices", "Shapes": "shapes"}
_HEADING = re.compile(rf"^({'|'.join(_FIELDS)}):[ \t]*\n?", re.MULTILINE)
_BLANK = re.compile(r"\n(?:[ \t]*\n)+")


@dataclass(frozen=True)
class ModelDescription:
    """What a docstring says of a model, each part empty where it says nothing of the kind.

    Args:
        summary: One sentence.
        introduction: Paper, authors, what was at hand.
        diagram: ASCII.
        remarks: Whatever else there is to say.
        differences: From the paper.
        choices: Where the paper is open, or there is none.
    """

    summary: str = ""
    introduction: str = ""
    diagram: str = ""
    remarks: str = ""
    differences: str = ""
    choices: str = ""


def describe_model(model_class: type) -> ModelDescription:
    """Return what the file of a model says of it.

    Args:
        model_class: A model of this package.
    """
    return read_description(sys.modules[model_class.__module__].__doc__)


def read_description(docstring: str | None) -> ModelDescription:
    """Return the parts of a docstring.

    Args:
        docstring: Docstring of a model's file.
    """
    text = _HEADING.sub(lambda heading: f"\n\n{heading[0]}", inspect.cleandoc(docstring or ""))
    parts: dict[str, list[str]] = {}
    part = "summary"
    for paragraph in filter(str.strip, _BLANK.split(text)):
        if heading := _HEADING.match(paragraph):
            part, paragraph = _FIELDS[heading[1]], paragraph[heading.end() :]
        elif part in _FIELDS.values() and part in parts and not paragraph.startswith((" ", "- ")):
            part = "remarks"
        elif part == "summary" and part in parts:
            part = "introduction"
        if paragraph.strip():
            parts.setdefault(part, []).append(paragraph)
    parts.pop("shapes", None)
    summary = " ".join(" ".join(parts.pop("summary", [])).split())
    summary = summary.partition(": ")[2] or summary
    rest = {name: textwrap.dedent("\n\n".join(paragraphs)).strip("\n") for name, paragraphs in parts.items()}
    return ModelDescription(summary=summary[:1].upper() + summary[1:], **rest)


__all__ = ["ModelDescription", "describe_model", "read_description"]
