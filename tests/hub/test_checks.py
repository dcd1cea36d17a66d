"""Each check finds what it is there for, and nothing in what is well."""

import json
import pickle
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file

from hf_msa.hub import checks
from hf_msa.hub.checks import (
    card_problems,
    file_problems,
    fresh_weight_problems,
    index_problems,
    weight_problems,
)
from hf_msa.hub.terms import choose_licence, freedom, licence_problems, terms_of

HEAD = "---\nlicense: mit\nlibrary_name: transformers\n---\n"


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
    place = tmp_path / "a-folder"
    place.mkdir()
    save_file({"a": torch.zeros(1)}, place / "model.safetensors", metadata={"from": str(place)})
    (line,) = file_problems(place, [place])
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


def test_weights_must_be_there_and_whole_and_finite(tmp_path):
    assert weight_problems(tmp_path) == ["weights: expected safetensors files, got none"]
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


@pytest.mark.parametrize(
    ("body", "strange"),
    [
        ("MAE 0.754 ± 0.034, 75.4%, seeds 1111, 1112", None),
        ("on 814,079 parameters in 29 minutes, torch 2.13.0", None),
        ("`--set a=0.999`, arXiv 2508.15852, [x](https://a.b/0.999)", None),
        ("MAE 0.764", "0.764"),
        ("814,078 parameters", "814,078"),
        ("42 of them", "42"),
    ],
)
def test_a_number_in_a_card_is_one_of_the_results_or_strange(body, strange):
    known = {"mae": 0.75412, "std": 0.03391, "seeds": [1111, 1112], "parameters": 814079, "seconds": 1763.1}
    found = card_problems(HEAD + body, [known])
    assert found == (
        [] if strange is None else [f"README.md: expected numbers that stand in results.json, got {strange}"]
    )


def test_a_card_without_readable_metadata_or_with_open_places_is_refused():
    assert "expected metadata that the Hub reads" in card_problems("---\nlicense: [\n---\n", [])[0]
    assert "expected a library_name" in card_problems("---\nlicense: mit\n---\n", [])[0]
    assert "got '[More Information Needed]'" in card_problems(HEAD + "[More Information Needed]", [])[0]
    assert not card_problems(HEAD + "# todo-list, para todo el mundo", [])


def test_the_least_free_terms_of_all_parts_decide():
    assert [entry.corpus for entry in terms_of("composite/aligned_50.pkl")] == ["CMU-MOSI", "RAVDESS"]
    assert choose_licence(terms_of("composite")) == "other"
    assert choose_licence(terms_of("RAVDESS")) == "cc-by-nc-sa-4.0"
    assert choose_licence(terms_of("somebody's")) == "other"
    order = ["other", "cc-by-nc-sa-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "apache-2.0"]
    assert [freedom(licence) for licence in order] == [0, 1, 2, 3, 4]
    assert "got cc-by-nc-4.0" in licence_problems("cc-by-nc-4.0", terms_of("RAVDESS"))[0]
    assert not licence_problems("other", terms_of("composite"))


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        ("CMUMOSI/aligned_50.pkl", "CMU-MOSI"),
        ("cmu-mosei", "CMU-MOSEI"),
        ("SIMSv2", "CH-SIMS"),
        ("chsims", "CH-SIMS"),
        ("ravdess2/speech", "RAVDESS"),
        ("sample", "sample"),
        ("clips/sample", None),  # somebody's own
        ("maxims", None),
    ],
)
def test_a_corpus_is_known_by_its_usual_names(corpus, expected):
    assert [entry.corpus for entry in terms_of(corpus)] == ([] if expected is None else [expected])
