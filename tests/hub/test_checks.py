"""Each check finds what it is there for, and nothing in what is well."""

import json
import pickle
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file

from hf_msa.hub import checks
from hf_msa.hub.checks import file_problems, fresh_weight_problems, index_problems, weight_problems


@pytest.mark.parametrize("name", ["weights.bin", "notes.txt"])
def test_a_pickle_is_found_by_its_name_and_by_its_content(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps({"a": 1}, 4))
    assert file_problems(tmp_path) == [f"{name}: expected no pickle, got one; save weights as safetensors"]


def test_the_clients_own_token_is_found_whatever_it_looks_like(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "get_token", lambda: "my-own-secret")
    (tmp_path / "config.json").write_text('{"a": "my-own-secret"}')
    (line,) = file_problems(tmp_path)
    assert line == "config.json: expected no token, got what looks like one"


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("/home/" + "somebody/corpora", True),
        ('"C:\\\\' + 'Users\\\\somebody"', True),
        ("https://example.org/home/somebody", False),
        ("runs/home/somebody, and/or tmp/x", False),
        ("file:///home/" + "somebody/corpora", True),
        (str(Path(transformers.__file__).parent), True),  # it is there, whatever it begins with
        ("/no-such-place/of/any/machine, /usr/bin/env", False),
    ],
)
def test_a_path_of_a_machine_is_found_and_an_address_is_none(tmp_path, text, is_found):
    (tmp_path / "config.json").write_text(text)
    assert bool(file_problems(tmp_path)) == is_found
    (tmp_path / "config.json").rename(tmp_path / "vocab.json")  # holds whatever people write
    assert not file_problems(tmp_path)


def test_the_folder_that_was_published_is_found_even_in_weights(tmp_path):
    folder = tmp_path / "a-folder"
    folder.mkdir()
    save_file({"a": torch.zeros(1)}, folder / "model.safetensors", metadata={"from": str(folder)})
    (line,) = file_problems(folder, [folder])
    assert line.startswith("model.safetensors: expected no path of this machine")


def test_a_folder_with_a_short_name_is_not_found_inside_of_other_words(tmp_path, monkeypatch):
    monkeypatch.setattr(checks.Path, "home", lambda: Path("/model"))
    (tmp_path / "config.json").write_text("https://example.org/model and a/model, /models")
    (tmp_path / "tokenizer.json").write_text('{"/model": 1}')
    assert not file_problems(tmp_path, [Path("/out")])
    (tmp_path / "config.json").write_text('{"a": "/model/x"}')
    assert len(file_problems(tmp_path)) == 1


def test_a_token_is_found_behind_an_underscore(tmp_path):
    (tmp_path / "results.json").write_text('{"name": "run_hf_' + "a1B2" * 8 + '"}')
    assert file_problems(tmp_path) == ["results.json: expected no token, got what looks like one"]


def test_weights_that_the_checkpoint_did_not_have_are_found(tmp_path):
    for name, keys in (("made", "ab"), ("read", "a")):
        (tmp_path / name).mkdir()
        save_file({key: torch.zeros(1) for key in keys}, tmp_path / name / "model.safetensors")
    assert not fresh_weight_problems(tmp_path / "made", tmp_path / "made")
    (line,) = fresh_weight_problems(tmp_path / "read", tmp_path / "made")
    assert line == "checkpoint: expected all weights of its model, but 1 are not there, among them b"


def test_weights_must_be_whole_and_finite(tmp_path):
    save_file({"a": torch.tensor([1.0, torch.inf]), "b": torch.zeros(2)}, tmp_path / "model.safetensors")
    (line,) = weight_problems(tmp_path)
    assert line.endswith("got NaN or infinity in 1, among them a")
    (tmp_path / "model.safetensors").write_bytes(b"\1" * 20)
    (line,) = weight_problems(tmp_path)
    assert "expected whole weights, got a damaged file" in line


def test_an_index_names_files_that_are_there(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    assert "model-1.safetensors is not there" in index_problems(tmp_path)[0]
    (tmp_path / "model-1.safetensors").touch()
    assert not index_problems(tmp_path)
    index.write_text("[]")
    assert "expected an index of shards" in index_problems(tmp_path)[0]
