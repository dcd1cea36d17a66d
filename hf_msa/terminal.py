"""What every command does the same way: errors as one line, JSON for machines, a quiet terminal."""

import functools
import json
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer
from huggingface_hub.errors import StrictDataclassError
from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def clear_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn a user's mistake into one line and exit code 2; anything else stays a traceback."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt as error:
            Console(stderr=True).print("hf-msa: stopped; a training goes on with --resume", markup=False)
            raise typer.Exit(130) from error
        except (ValueError, OSError, ModuleNotFoundError, StrictDataclassError) as error:
            message = " ".join(str(error).split())
            Console(stderr=True, soft_wrap=True).print(f"hf-msa: {message}", style="bold red", markup=False)
            raise typer.Exit(2) from error

    return run


def quiet() -> None:
    """Leave the terminal to our own progress bars."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    # peft asks transformers for a property that transformers has renamed; nothing a user could do.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON, null for what is not finite."""
    from .evaluation.results import strict_json

    sys.stdout.write(json.dumps(strict_json(value), default=str) + "\n")


__all__ = ["Json", "clear_errors", "print_json", "quiet"]
