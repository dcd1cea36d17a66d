"""The README: its code runs, its files exist, its commands are those of the gate."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hf_msa.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Return a folder in which `runs/demo` is a checkpoint as the demo saves it, but untrained and small."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, PreTrainedTokenizerFast

    from hf_msa.models import MsaFeatureExtractor, PGFNetConfig, PGFNetForSequenceClassification, PGFNetProcessor

    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "loved": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    text = BertConfig(vocab_size=3, hidden_size=24, num_hidden_layers=1, num_attention_heads=4, intermediate_size=40)
    sizes = {"audio_dim": 25, "visual_dim": 17}
    folder = tmp_path_factory.mktemp("readme")
    torch.manual_seed(0)
    PGFNetForSequenceClassification(PGFNetConfig(text_config=text.to_dict(), **sizes)).save_pretrained(
        folder / "runs/demo"
    )
    PGFNetProcessor(MsaFeatureExtractor(**sizes), tokenizer).save_pretrained(folder / "runs/demo")
    return folder


def test_the_python_blocks_run_one_after_the_other(workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    names: dict = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "text_share" in printed
    assert "grad_fn" in printed


@pytest.mark.filterwarnings("ignore:utterances. text. expected words that")  # this tokenizer knows one
def test_the_predict_commands_run(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    (block,) = [block for block in blocks("bash") if "hf-msa predict" in block]
    echo, predict = block.strip().splitlines()
    Path("runs/utterances.jsonl").write_text(shlex.split(echo)[1] + "\n")
    result = CliRunner().invoke(app, shlex.split(predict)[1:])
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip().endswith("i loved it")


def test_the_two_commands_stand_there_and_the_gate_runs_the_second():
    assert 'pip install -e ".[offline]" && hf-msa demo\n' in blocks("bash")
    assert 'pip install -e ".[test]" && pytest\n' in blocks("bash")
    assert """'pip install -e ".[test]" && pytest'""" in (ROOT / ".ci" / "run").read_text()


def test_every_command_is_named_and_has_a_file_of_its_name():
    (line,) = re.findall(r"cli\.py +hf-msa ([^:]*):", README)
    named = [name.strip().replace("-", "_") for name in line.split("|")]
    assert named == [command.callback.__name__ for command in app.registered_commands]
    assert all((ROOT / "hf_msa" / "commands" / f"{name}.py").exists() for name in named)


def test_the_tree_shows_every_file_of_the_package_and_no_other():
    (tree,) = [block for block in blocks("text") if block.startswith("hf_msa/\n")]
    shown = set(re.findall(r"\b\w+\.py\b", tree.partition("\nexamples/")[0]))
    there = {path.name for path in (ROOT / "hf_msa").rglob("*.py") if path.parent.name != "sample_corpus"}
    assert shown == there - {"__main__.py", "_version.py"}
    for folder in re.findall(r"^ *([\w/]+)/ ", tree, flags=re.MULTILINE):
        assert (ROOT / folder).is_dir() or any(ROOT.glob(f"hf_msa/**/{folder}")), folder


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_nothing_is_left_to_fill_in():
    assert not re.search(r"@@|TODO|FIXME|XXX", README)
