"""`hf-msa publish`: what it prints, and one line for what is wrong."""

import json
import shutil
from dataclasses import replace

import pytest
from tiny_checkpoints import tiny_results, write_checkpoint
from tiny_models import SIZES
from tiny_tokenizers import bert
from transformers import BertConfig, BertModel
from typer.testing import CliRunner

from hf_msa import PGFNetForSequenceClassification
from hf_msa.cli import app
from hf_msa.hub import publication
from hf_msa.models import MsaFeatureExtractor, PGFNetProcessor
from hf_msa.training import add_lora, save_adapter


@pytest.fixture(autouse=True)
def trusting(monkeypatch):
    """Leave out the fresh process, which has tests of its own."""
    monkeypatch.setattr(publication, "reload_problems", lambda folder, model, processor: [])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("command") / "made", results=tiny_results())


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """Return an adapter whose text model lies in a folder that its configuration calls a repository."""
    place = tmp_path_factory.mktemp("adapter")
    text_model = place / "text"
    BertModel(BertConfig(**SIZES)).save_pretrained(text_model)
    model = PGFNetForSequenceClassification.from_text_pretrained(str(text_model), audio_dim=3, visual_dim=2)
    processor = PGFNetProcessor(MsaFeatureExtractor(audio_dim=3, visual_dim=2), bert(model_max_length=32))
    save_adapter(add_lora(model, r=2, lora_alpha=2), place / "adapter", processor)
    return place / "adapter"


def run(*arguments):
    return CliRunner().invoke(app, ["publish", *map(str, arguments)])


def test_a_dry_run_prints_files_with_sizes_and_the_card(checkpoint):
    done = run(checkpoint, "user/model", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "  model.safetensors\n" in done.stdout
    assert "\n# model\n" in done.stdout
    assert done.stdout.endswith("nothing was sent\n")


@pytest.mark.parametrize("more", [[], ["--create-pr"]])
def test_a_push_without_news_says_so(checkpoint, online, more):
    assert run(checkpoint, "user/model").stdout.startswith("published ")
    again = run(checkpoint, "user/model", *more)
    assert again.exit_code == 0, again.output
    assert again.stdout.startswith("nothing has changed since ")


def test_a_push_prints_where_it_went(checkpoint, online):
    done = run(checkpoint, "user/model", "--private", "--tag", "v1")
    assert done.exit_code == 0, done.output
    repository = online.repository("user/model")
    sha = repository.at("v1").sha
    assert done.stdout == f"published {online.url}/user/model/commit/{sha}\npin it with revision={sha!r}\n"
    assert repository.private


def test_machines_get_json(checkpoint):
    found = json.loads(run(checkpoint, "user/model", "--dry-run", "--json").stdout)
    assert found["url"] is None
    assert "results.json" in found["files"]
    assert found["card"].startswith("---\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model"], "repo_id: expected user/name, got 'model'"),
        (["user/model", "--create-pr", "--tag", "v1"], "create_pr: expected neither revision nor tag"),
        (["user/model", "--license", "mit", "--adapter-only"], "checkpoint: expected an adapter"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(checkpoint, arguments, message):
    done = run(checkpoint, *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"hf-msa: {message}")


def test_what_is_wrong_is_a_line_each(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "speech")
    replace(tiny_results("RAVDESS"), command="hf-msa train hf_" + "a1B2" * 8).write(folder)
    done = run(folder, "user/model", "--license", "mit", "--dry-run")
    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    assert "hf-msa: license: expected none freer than that of RAVDESS (cc-by-nc-sa-4.0), got mit" in lines
    assert "hf-msa: results.json: expected no token, got what looks like one" in lines


def test_an_adapter_goes_out_merged(adapter, online):
    done = run(adapter, "user/model")
    assert done.exit_code == 0, done.output
    files = set(online.repository("user/model").at("main").files)
    assert "model.safetensors" in files
    assert not {name for name in files if name.startswith("adapter")}


def test_an_adapter_alone_needs_a_text_model_that_others_can_load(adapter, online):
    done = run(adapter, "user/model", "--adapter-only")
    assert done.exit_code == 2
    assert "text_model_name_or_path: expected a repository from which others get the text model" in done.stderr


def test_an_adapter_alone_says_what_it_needs(adapter, online):
    config = adapter / "config.json"
    folder = json.loads(config.read_text())["text_model_name_or_path"]
    for file in (config, adapter / "adapter_config.json"):
        file.write_text(file.read_text().replace(folder, "somebody/text-model"))
    done = run(adapter, "user/model", "--adapter-only")
    assert done.exit_code == 0, done.output
    files = online.repository("user/model").at("main").files
    assert {"adapter_config.json", "adapter_model.safetensors", "config.json", "processor_config.json"} < set(files)
    assert "model.safetensors" not in files
    card = files["README.md"].content.decode()
    assert "library_name: peft" in card
    assert "It needs `peft` and `hf_msa`" in card
    assert "load_adapter" in card
