"""What every command does the same way: errors as one line, JSON for machines, a quiet terminal."""

import contextlib
import functools
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TextIO

import typer

from hf_msa._version import __version__

TRACEBACK_VARIABLE = "HF_MSA_TRACEBACK"

# Ours, and what huggingface_hub and PyYAML say of a configuration, a repository's name and a file that a user gave.
# By name: code that came with a checkpoint brings a class of its own, and nothing heavy is imported to compare with.
_USERS_TO_MEND = {"MsaError", "StrictDataclassError", "HFValidationError", "YAMLError"}

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Replace a key of the recipe, as key=value; may be repeated.")
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a repository.")]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Let code run that came with the checkpoint, such as a tokenizer's; its model runs the installed "
        "package's code all the same. Whose code ran is said.",
    ),
]


def clear_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn a user's mistake into one line and exit code 2, and a bug of ours into one line and exit code 1."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            with _warnings_as_lines():
                command(*args, **kwargs)
        except (typer.Exit, typer.Abort, BrokenPipeError):  # the last is `| head`, of which typer makes a quiet end
            raise
        except KeyboardInterrupt as error:
            print_error("stopped; a training goes on with --resume")
            raise typer.Exit(130) from error
        except Exception as error:
            if os.environ.get(TRACEBACK_VARIABLE):
                raise
            if not is_users_to_mend(error):
                print_error(
                    f"this is a bug of hf_msa {__version__}, not of yours: {type(error).__name__}: {error}; "
                    f"{TRACEBACK_VARIABLE}=1 shows where, please report it"
                )
                raise typer.Exit(1) from error
            for problem in getattr(error, "problems", None) or [error]:
                print_error(str(problem))
            raise typer.Exit(2) from error

    return run


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show warnings of ours as one line; those of others as they come."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_line(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            # By name, as errors: code that came with a checkpoint brings a class of its own.
            if category.__name__ == "MsaWarning":
                print_warning(str(message))
            else:
                show(message, category, *rest, **more)

        warnings.showwarning = show_line
        yield


def is_users_to_mend(error: BaseException) -> bool:
    """Return whether an error is a user's mistake, or says what the system or the Hub could not do.

    Args:
        error: As it was raised.
    """
    # An OSError says what the system, the Hub or transformers could not find, read or write; a path of ours that is
    # wrong looks the same, and its message names it.
    return isinstance(error, OSError) or any(kind.__name__ in _USERS_TO_MEND for kind in type(error).__mro__)


def print_error(message: str) -> None:
    """Print one line on standard error."""
    _print_line(message, "bold red")


def print_warning(message: str) -> None:
    """Print one line on standard error, of a run that goes on."""
    _print_line(f"warning: {message}", "yellow")


def _print_line(message: str, style: str) -> None:
    from rich.console import Console

    line = " ".join(message.split())
    Console(stderr=True, soft_wrap=True).print(f"hf-msa: {line}", style=style, markup=False, highlight=False)


def print_text(text: str) -> None:
    """Print text as it is, whatever stands in it and however long its lines are."""
    from rich.console import Console

    Console(soft_wrap=True).print(text, highlight=False, markup=False)


def quiet() -> None:
    """Leave the terminal to our own progress bars."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    # peft asks transformers for a property that transformers has renamed; nothing a user could do.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)


def print_json(value: Any, target: TextIO | None = None) -> None:
    """Print a value as one line of JSON, null for what is not finite.

    Args:
        value: Dicts, lists and what they hold.
        target: Where to; None for standard output. It is flushed, so that a reader need not wait for the next line.
    """
    from hf_msa.evaluation.results import strict_json

    target = target or sys.stdout
    target.write(json.dumps(strict_json(value), default=str) + "\n")
    target.flush()


__all__ = [
    "TRACEBACK_VARIABLE",
    "Json",
    "Overrides",
    "Revision",
    "TrustRemoteCode",
    "clear_errors",
    "is_users_to_mend",
    "print_error",
    "print_json",
    "print_text",
    "print_warning",
    "quiet",
]
