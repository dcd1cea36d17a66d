"""The command line, `hf-msa COMMAND`; `hf-msa --help` lists the commands.

A command is a function in `commands/`, in a file of its name; here it gets a line.
"""

import sys
from typing import Annotated

import typer

from ._version import __version__
from .commands.benchmark import benchmark
from .commands.card import card
from .commands.compare import compare
from .commands.convert import convert
from .commands.convert_deepmlf import convert_deepmlf
from .commands.demo import demo
from .commands.evaluate import evaluate
from .commands.offline_lm import offline_lm
from .commands.predict import predict
from .commands.publish import publish
from .commands.robustness import robustness
from .commands.sweep import sweep
from .commands.terminal import clear_errors
from .commands.train import train

app = typer.Typer(
    help="Multimodal sentiment analysis on the Hugging Face Hub.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Multimodal sentiment analysis on the Hugging Face Hub."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that only knows ASCII gets a question mark for ± and not an error after hours of training.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    if version:
        sys.stdout.write(__version__ + "\n")
        raise typer.Exit


app.command()(clear_errors(demo))
app.command()(clear_errors(predict))
app.command()(clear_errors(train))
app.command()(clear_errors(sweep))
app.command()(clear_errors(evaluate))
app.command()(clear_errors(compare))
app.command()(clear_errors(robustness))
app.command()(clear_errors(card))
app.command()(clear_errors(publish))
app.command()(clear_errors(convert))
app.command()(clear_errors(convert_deepmlf))
app.command()(clear_errors(offline_lm))
app.command()(clear_errors(benchmark))


if __name__ == "__main__":
    app()
