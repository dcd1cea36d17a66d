"""What a command's error becomes: a user's is one line and exit code 2, ours one line and exit code 1."""

import pytest
import typer
import yaml
from huggingface_hub.errors import HFValidationError, StrictDataclassError
from typer.testing import CliRunner

from hf_msa import __version__
from hf_msa.commands.terminal import TRACEBACK_VARIABLE, clear_errors
from hf_msa.errors import CheckpointError, CorpusError, MissingLibraryError, MsaError, PublishError, RecipeError


def run(error, **environment):
    """Run a command that raises an error."""
    app = typer.Typer(pretty_exceptions_enable=False)

    def fail():
        raise error

    app.command()(clear_errors(fail))
    return CliRunner(env=environment).invoke(app, [])


class CheckpointsOwnError(ValueError):
    """An error of code that came with a checkpoint, which has an `MsaError` of its own."""


CheckpointsOwnError.__name__ = "MsaError"


@pytest.mark.parametrize(
    "error",
    [
        MsaError("a: expected b\n  got c"),
        CorpusError("x"),
        RecipeError("x"),
        CheckpointError("x"),
        MissingLibraryError("x"),
        CheckpointsOwnError("x"),
        StrictDataclassError("x"),
        HFValidationError("x"),
        yaml.YAMLError("x"),
        OSError("nobody/nothing is not a local folder and is not a valid model identifier"),
        OSError(28, "No space left on device", "/tmp/x"),
        PermissionError(13, "Permission denied", "/x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_2(error):
    result = run(error)
    assert result.exit_code == 2
    assert result.stderr == f"hf-msa: {' '.join(str(error).split())}\n"
    assert result.stdout == ""


def test_problems_of_a_publication_are_a_line_each():
    assert run(PublishError(["a", "b"])).stderr == "hf-msa: a\nhf-msa: b\n"


@pytest.mark.parametrize("error", [ValueError("operands could not be broadcast"), KeyError("x"), RuntimeError("x")])
def test_a_bug_says_that_it_is_ours_and_how_to_see_where(error):
    result = run(error)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert f"a bug of hf_msa {__version__}" in line
    assert f"{type(error).__name__}: {error}" in line
    assert f"{TRACEBACK_VARIABLE}=1" in line


def test_the_variable_gives_the_traceback():
    error = KeyError("x")
    assert run(error, **{TRACEBACK_VARIABLE: "1"}).exception is error


def test_an_interruption_is_one_line_and_exit_code_130():
    result = run(KeyboardInterrupt())
    assert result.exit_code == 130
    assert len(result.stderr.splitlines()) == 1


def test_a_closed_pipe_says_nothing():
    assert run(BrokenPipeError(32, "Broken pipe")).stderr == ""
