"""A card shows the sections of a model file's docstring by their names; what is not there is empty."""

import pytest

from hf_msa.hub.model_docstring import ModelDescription, describe_model, read_description
from hf_msa.models import (
    AGFNForSequenceClassification,
    DeepMLFForSequenceClassification,
    PGFNetForSequenceClassification,
)

WHOLE = """Gate: two gates that weigh text: and audio,
line after line.

Paper: Gate, somebody.

Nothing else is known.

Diagram:

      text
        |

      score

The score is a mean.

Differences from the paper:
- One gate,
  not two.

- No bias.

The layers are in `layers_gate.py`.

Choices: width and
depth.

Shapes: B batch.

    """


def test_every_section_is_found_by_its_name():
    assert read_description(WHOLE) == ModelDescription(
        summary="Two gates that weigh text: and audio, line after line.",
        introduction="Paper: Gate, somebody.\n\nNothing else is known.",
        diagram="text\n  |\n\nscore",
        remarks="The score is a mean.\n\nThe layers are in `layers_gate.py`.",
        differences="- One gate,\n  not two.\n\n- No bias.",
        choices="width and\ndepth.",
    )


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (None, {}),
        ("", {}),
        (" \n ", {}),
        ("A model of one line", {"summary": "A model of one line"}),
        (
            "X: a model\nDiagram:\n    a -> b\nChoices:\n- c",
            {"summary": "A model", "diagram": "a -> b", "choices": "- c"},
        ),
        (
            "X: a model.\n\n    Indented text.\n    More.",
            {"summary": "A model.", "introduction": "Indented text.\nMore."},
        ),
        ("X: a model.\n\nShapes: B batch.\n\n    L length", {"summary": "A model."}),
        ("Diagram:\n\n    a -> b", {"diagram": "a -> b"}),
        (
            "X: a model.\n\nDiagram:\n\nDifferences from the paper:\n    None.",
            {"summary": "A model.", "differences": "None."},
        ),
        ("X: a model.\n\nThe Diagram: is none.", {"summary": "A model.", "introduction": "The Diagram: is none."}),
    ],
)
def test_a_docstring_of_another_layout_gives_what_is_there(docstring, expected):
    assert read_description(docstring) == ModelDescription(**expected)


@pytest.mark.parametrize(
    "model_class", [AGFNForSequenceClassification, DeepMLFForSequenceClassification, PGFNetForSequenceClassification]
)
def test_every_paper_model_describes_itself(model_class):
    description = describe_model(model_class)
    assert description.summary[0].isupper()
    assert description.introduction.startswith("Paper: ")
    assert description.diagram.count("|") > 10
    assert description.differences.startswith("- ")
