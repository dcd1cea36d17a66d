"""The scripts that push, run as a user runs them, against the Hub of the tests."""

import runpy
import shutil
import sys
from pathlib import Path

import pytest
from tiny_checkpoints import tiny_results, write_checkpoint

from hf_msa.data import sample_corpus
from hf_msa.hub import PublishError, publication, publish_corpus

SCRIPTS = Path(__file__).parents[2] / "upload_scripts"
SAMPLE = Path(sample_corpus.__file__).parent


@pytest.fixture
def run(online, monkeypatch, capsys):
    """Return a runner of scripts that leaves out the fresh process, which has tests of its own."""
    monkeypatch.setattr(publication, "reload_problems", lambda folder, model, processor: [])

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for file in SAMPLE.glob("*.parquet"):
        shutil.copyfile(file, folder / file.name)
    return folder


def test_a_model_goes_out_private(run, online, tmp_path):
    folder = write_checkpoint(tmp_path / "agfn", "agfn", tiny_results())
    assert "/user/model/commit/" in run("push_model.py", folder, "user/model")
    repository = online.repository("user/model")
    assert repository.private
    assert "modeling_agfn.py" in repository.at("main").files


def test_a_corpus_goes_out_private_with_its_terms(run, online, corpus):
    run("push_dataset.py", corpus, "user/mosi", "mosi")
    repository = online.repository("user/mosi", "dataset")
    assert repository.private
    files = repository.at("main").files
    assert {"train.parquet", "valid.parquet", "test.parquet", "README.md"} < set(files)
    card = files["README.md"].content.decode()
    assert "license: other" in card
    assert "CMU-MOSI: Given by its authors for research" in card


@pytest.mark.parametrize("answer", ["", "no"])
def test_a_corpus_with_terms_goes_out_public_only_after_a_yes(run, online, corpus, monkeypatch, answer):
    monkeypatch.setattr("builtins.input", lambda question: answer)
    with pytest.raises(PublishError, match="your word that you may pass on CMU-MOSI"):
        run("push_dataset.py", corpus, "user/mosi", "mosi", "--public")
    assert not online.requests
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    run("push_dataset.py", corpus, "user/mosi", "mosi", "--public")
    assert not online.repository("user/mosi", "dataset").private


def test_a_corpus_that_may_be_passed_on_needs_no_word(corpus):
    found = publish_corpus(corpus, "user/sample", "sample", private=False, dry_run=True)
    assert "license: apache-2.0" in found.card
    with pytest.raises(PublishError, match="none freer than that of RAVDESS"):
        publish_corpus(corpus, "user/speech", "ravdess", license="mit", dry_run=True)


def test_models_are_gathered_in_a_collection(run, online, api):
    for name in ("user/one", "user/two"):
        api.create_repo(name)
    run("push_collection.py", "Multimodal sentiment", "user/one")
    run("push_collection.py", "Multimodal sentiment", "user/one", "user/two")
    (collection,) = online.store.collections.values()
    assert [item["id"] for item in collection["items"]] == ["user/one", "user/two"]
    assert collection["private"]
