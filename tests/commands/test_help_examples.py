"""The examples of the help, run as they stand there, on models and corpora small enough for it."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer
from tiny_run import write_corpus, write_text_model
from typer.testing import CliRunner

from hf_msa.cli import app

# The small text model knows few of the sample corpus's words.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*expected words that the text model's tokenizer")]

ROOT = Path(__file__).parents[2]
COMMANDS = typer.main.get_command(app).commands
# Their examples need a package index, weights of the authors or minutes; tests of their own run the rest of them.
APART = {"demo", "offline-lm", "convert-deepmlf"}
STEPS = ["--set", "max_steps=2", "--set", "measure_train=false", "--set", "text_model=text_model"]
# What makes an example short, behind what stands in the help.
SHORTER = {
    "train": STEPS,
    "sweep": STEPS,
    "publish": ["--dry-run"],
    "benchmark": ["--batch-size", "1", "--repeats", "1", "--forward-only"],
}


def run(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder in which everything lies that the examples name, and go there."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(ROOT / "modeling_cards", folder / "modeling_cards")
    write_text_model(folder / "text_model", num_hidden_layers=4)
    (folder / "MOSI").mkdir()
    write_corpus(folder / "MOSI" / "unaligned_50.pkl")
    (folder / "utterances.jsonl").write_text(json.dumps({"text": "the movie was good"}))
    before = Path.cwd()
    os.chdir(folder)
    for output, recipe, *settings in (
        ("pgf_net_sample", "pgf_net_sample"),
        ("text_only", "pgf_net_sample", "--set", "streams=[text]"),
        ("agfn_sample", "agfn_sample"),
    ):
        recipe = f"examples/configs/{recipe}.yaml"
        run("train", recipe, "--seeds", 1, "--output", f"runs/{output}", *STEPS, *settings)
    for output in ("demo", "all_three"):
        shutil.copytree("runs/pgf_net_sample", f"runs/{output}")
    yield folder
    os.chdir(before)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - APART))
def test_the_example_of_a_command_runs(name, folder):
    (example,) = re.findall(r"Example: hf-msa (.*)", " ".join((COMMANDS[name].help or "").split()))
    if name == "train":
        shutil.rmtree("runs/pgf_net_sample")
    run(*shlex.split(example), *SHORTER.get(name, []))
