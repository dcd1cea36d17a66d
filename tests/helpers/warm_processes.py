"""Processes of their own that start at once: a server imports what is heavy, once a test run, and forks them."""

import multiprocessing
import os
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["hf_msa.commands.train", "hf_msa.training.run", "hf_msa.models.modeling_deepmlf", "peft"]
)


def start(function, *arguments, environment=(), output=None):
    """Call the function in a process of its own; what it prints goes into the files `output`.out and `output`.err."""
    process = SERVER.Process(target=_call, args=(function, arguments, dict(environment), output))
    process.start()
    return process


def run(function, *arguments, **options):
    """Call the function in a process of its own and return its exit code."""
    process = start(function, *arguments, **options)
    process.join()
    return process.exitcode


def command(*arguments):
    """Be the command line `hf-msa ARGUMENTS`."""
    from hf_msa.cli import app

    app(list(map(str, arguments)))


def _call(function, arguments, environment, output):
    import torch

    os.environ.update(environment)
    torch.set_num_threads(1)
    with ExitStack() as files:
        if output is not None:
            for redirect, ending in ((redirect_stdout, ".out"), (redirect_stderr, ".err")):
                files.enter_context(redirect(files.enter_context(output.with_suffix(ending).open("w"))))
        function(*arguments)
        sys.stdout.flush()
