"""What is no checkpoint is refused before a Hub is asked; nobody is asked whether a checkpoint's code may run."""

import ast
import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest
from tiny_checkpoints import write_checkpoint
from typer.testing import CliRunner

import hf_msa
from hf_msa.cli import app
from hf_msa.errors import CheckpointError, MsaWarning
from hf_msa.pretrained.checkpoint import check_place, load_checkpoint, load_pipeline


@pytest.mark.parametrize("name", ["runs/nowhere", "/nowhere", "./nowhere", "a/b/c", "nowhere"])
def test_a_folder_that_is_not_there_is_named(name):
    with pytest.raises(
        ValueError, match=rf"model: expected a folder or a repository \(user/name\), got '{name}'; look"
    ):
        check_place("model", name, "; look")


@pytest.mark.parametrize(("name", "may_be_bare"), [("user/name", False), ("gpt2", True)])
def test_what_may_be_a_repository_passes(name, may_be_bare):
    check_place("model", name, may_be_bare=may_be_bare)


def test_a_folder_that_is_there_passes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    check_place("model", "runs/mine")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("code") / "made")


@pytest.fixture
def checkpoint(made, tmp_path, monkeypatch):
    """A checkpoint whose every file of code says when it is run; standard input says yes to all that is asked."""
    folder = shutil.copytree(made, tmp_path / "checkpoint")
    (tmp_path / "ran").mkdir()
    for file in folder.glob("*.py"):
        file.write_text(f"{file.read_text()}\nopen({str(tmp_path / 'ran' / file.name)!r}, 'w').close()\n")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 20))
    return folder


def ran(checkpoint):
    return sorted(file.name for file in (checkpoint.parent / "ran").iterdir())


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def with_code(checkpoint, base="object"):
    """Put a module into a checkpoint that says when it is run."""
    (checkpoint / "stranger.py").write_text(
        f"from transformers import PreTrainedTokenizerFast\n"
        f"open({str(checkpoint.parent / 'ran' / 'stranger.py')!r}, 'w').close()\n"
        f"class Stranger({base}):\n    pass\n"
    )


def strange_tokenizer(checkpoint):
    with_code(checkpoint, "PreTrainedTokenizerFast")
    auto_map = {"AutoTokenizer": [None, "stranger.Stranger"]}
    edit(checkpoint / "tokenizer_config.json", tokenizer_class="Stranger", auto_map=auto_map)


def strange_model(checkpoint):
    with_code(checkpoint)
    auto_map = dict.fromkeys(("AutoConfig", "AutoModelForSequenceClassification"), "stranger.Stranger")
    edit(checkpoint / "config.json", model_type="stranger", auto_map=auto_map)


def strange_processor(checkpoint):
    with_code(checkpoint)
    auto_map = {"AutoProcessor": "stranger.Stranger"}
    edit(checkpoint / "processor_config.json", processor_class="Stranger", auto_map=auto_map)


def test_with_this_package_its_own_code_runs_and_not_the_checkpoints(checkpoint):
    load_pipeline(str(checkpoint))
    assert not ran(checkpoint)
    with pytest.warns(MsaWarning, match=r"the code of hf_msa \S+ ran, none that came with the checkpoint"):
        load_pipeline(str(checkpoint), trust_remote_code=True)
    assert not ran(checkpoint)


@pytest.mark.parametrize("change", [strange_tokenizer, strange_model, strange_processor])
def test_without_permission_nobody_is_asked_and_no_code_of_a_checkpoint_runs(checkpoint, change):
    change(checkpoint)
    with contextlib.suppress(CheckpointError):  # of a processor that it knows, this package takes its own
        load_pipeline(str(checkpoint))
    assert not ran(checkpoint)


def test_a_tokenizer_with_code_of_its_own_runs_with_permission_alone_and_that_is_said(checkpoint):
    strange_tokenizer(checkpoint)
    with pytest.raises(CheckpointError, match="expected a tokenizer that transformers knows, got one with code"):
        load_checkpoint(str(checkpoint))
    with pytest.warns(MsaWarning, match="hf_msa .* ran, and of the checkpoint's own that of Stranger"):
        load_checkpoint(str(checkpoint), trust_remote_code=True)
    assert ran(checkpoint) == ["stranger.py"]


def test_a_checkpoint_of_another_package_is_refused_before_its_code_runs_even_with_permission(checkpoint):
    strange_model(checkpoint)
    with pytest.raises(CheckpointError, match=r"model: expected one of type .* of type 'stranger'"):
        load_checkpoint(str(checkpoint), trust_remote_code=True)
    assert not ran(checkpoint)


@pytest.mark.parametrize("change", [strange_tokenizer, strange_model])
def test_a_command_takes_no_yes_from_standard_input(checkpoint, tmp_path, change):
    change(checkpoint)
    (tmp_path / "utterances.jsonl").write_text('{"text": "good"}\n')
    done = CliRunner().invoke(app, ["predict", str(checkpoint), str(tmp_path / "utterances.jsonl")], input="y\n" * 9)
    assert done.exit_code == 2
    assert not ran(checkpoint)


# Of Auto classes, and of models of this package, which load through them.
ASKING = {"AutoConfig", "AutoModel", "AutoModelForSequenceClassification", "AutoModelForCausalLM", "AutoProcessor"}
ASKING |= {"AutoTokenizer", "AutoFeatureExtractor", "text_auto_class", "auto"}


def test_no_call_of_this_package_lets_transformers_ask():
    calls = 0
    for path in Path(hf_msa.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = getattr(node.func.value, "attr", None) or getattr(node.func.value, "id", None)
                if node.func.attr == "from_pretrained" and owner in ASKING:
                    calls += 1
                    names = {keyword.arg for keyword in node.keywords}
                    # In options it stands, too: those of `load_checkpoint`, and of the script that trusts its folder.
                    assert {"trust_remote_code"} & names or None in names, f"{path}:{node.lineno}"
    assert calls > 10
