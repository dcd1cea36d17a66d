"""The help: every command shows an example, and every example is a command line that the command accepts."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from hf_msa.cli import app

GROUP = typer.main.get_command(app)
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def shown_examples():
    """Return the command lines of all help texts and of the README."""
    for name, command in GROUP.commands.items():
        (example,) = re.findall(r"Example: (hf-msa .*)", " ".join((command.help or "").split()))
        yield pytest.param(name, example, id=name)
    for number, line in enumerate(re.findall(r"^(?:.*&& )?(hf-msa \w.*)$", README, flags=re.MULTILINE)):
        line = line.partition(" #")[0].strip()
        if "|" not in line:
            yield pytest.param(line.split()[1], line, id=f"README {number}")


@pytest.mark.parametrize(("name", "example"), list(shown_examples()))
def test_an_example_is_accepted_by_its_command(name, example):
    program, given, *arguments = shlex.split(example)
    assert (program, given) == ("hf-msa", name)
    context = GROUP.commands[name].make_context(name, arguments)
    # What the example names in this repository is there.
    for value in context.params.values():
        if isinstance(value, Path) and value.parts[0] in ("examples", "modeling_cards"):
            assert (Path(__file__).parents[2] / value).exists(), value


@pytest.mark.parametrize("name", list(GROUP.commands))
def test_every_option_says_what_it_is_in_a_sentence(name):
    for parameter in GROUP.commands[name].params:
        text = getattr(parameter, "help", None) or ""
        assert text.endswith("."), f"{parameter.name}: {text}"
        assert not re.match(r"(Of|In place of|As of) ", text), f"{parameter.name}: {text}"
