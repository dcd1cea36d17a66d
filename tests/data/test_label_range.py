import json
import pickle
from unittest import TestCase

import numpy as np
import pytest
from tiny_corpus import tiny_model
from typer.testing import CliRunner

from hf_msa.cli import app
from hf_msa.data import CorpusError, convert_corpus, load_corpus
from hf_msa.data.checks import check_dataset
from hf_msa.data.description import label_range_of
from hf_msa.data.named import open_corpus

HEADER = "video_id,clip_id,text,label,label_T,label_A,label_V,mode\n"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    modes = ("train", "valid", "test")
    (folder / "label.csv").write_text(HEADER + "".join(f"v,{mode},good,0.4,,,,{mode}\n" for mode in modes))
    return folder


def fill_single_labels(folder):
    path = folder / "label.csv"
    path.write_text(path.read_text().replace("0.4,,,", "0.4,0.2,,0.2").replace("0.2,,0.2,train", "0.2,1,0.2,train"))


def test_the_range_that_a_user_gives_reaches_the_model(folder):
    assert open_corpus(str(folder), {"label_range": [-1, 1]}).features == {"label_range": (-1, 1)}


def test_three_columns_of_single_labels_say_that_it_is_sims(folder):
    assert "label_range" not in open_corpus(str(folder)).features
    fill_single_labels(folder)
    assert open_corpus(str(folder)).features == {"label_range": (-1, 1)}


def test_labels_of_sims_in_a_pickle_say_so_and_those_that_are_all_nan_do_not(tmp_path):
    split = {"raw_text": ["a"], "regression_labels": np.float32([0.5])}
    split |= {f"regression_labels_{name}": np.float32([0.5]) for name in "TAV"}
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({name: split | {"id": [name]} for name in ("train", "valid", "test")}))
    assert label_range_of(load_corpus(path)["test"]) == (-1, 1)
    split["regression_labels_A"] = np.float32([np.nan])
    path.write_bytes(pickle.dumps({name: split | {"id": [name]} for name in ("train", "valid", "test")}))
    assert label_range_of(load_corpus(path)["test"]) is None


def test_parquet_keeps_the_range(folder, tmp_path):
    out = convert_corpus(folder, tmp_path / "out", label_range=(-1, 1))
    assert json.loads((out / "corpus.json").read_text())["label_range"] == [-1, 1]
    options = {"cache_dir": str(tmp_path / "cache")}
    assert open_corpus(str(out), options).features == {"label_range": (-1, 1)}
    assert open_corpus(str(out), options | {"label_range": (-2, 2)}).features == {"label_range": (-2, 2)}


def test_the_command_takes_the_range(folder, tmp_path):
    done = CliRunner().invoke(app, ["convert", str(folder), str(tmp_path / "out"), "--label-range=-1,1"])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out" / "corpus.json").read_text())["label_range"] == [-1, 1]


@pytest.mark.parametrize("text", ["wide", "1", "1,-1", "-1,1,2", "nan,1"])
def test_the_command_refuses_what_is_no_range(folder, tmp_path, text):
    done = CliRunner().invoke(app, ["convert", str(folder), str(tmp_path / "out"), f"--label-range={text}"])
    assert done.exit_code == 2
    assert "label_range: expected" in done.output + done.stderr
    assert not (tmp_path / "out").exists()


def test_a_label_beyond_the_stated_range_is_refused(folder):
    with pytest.raises(CorpusError, match=r"label: expected a number in \[-0.1, 0.1\], got 0.4"):
        load_corpus(folder, label_range=(-0.1, 0.1))


def test_a_model_of_another_range_is_refused_and_one_of_an_unstated_range_is_not(folder):
    config = tiny_model().config
    sims = load_corpus(folder, label_range=(-1, 1))["train"]
    with pytest.raises(CorpusError, match=r"train: label_range: expected the model's \[-3, 3\], got \[-1, 1\]"):
        check_dataset("train", sims, config, ["text"])
    check_dataset("train", load_corpus(folder)["train"], config, ["text"])
    check_dataset("train", sims, tiny_model(num_labels=1, label_range=(-1, 1)).config, ["text"])


def test_labels_that_would_fit_a_narrower_range_are_mentioned(folder):
    # assertLogs in place of pytest's caplog, which pyproject.toml turns off.
    with TestCase().assertLogs("hf_msa", "WARNING") as logged:
        load_corpus(folder)
    assert "all labels lie in [-1, 1] and are taken for scores in [-3, 3]" in logged.output[0]
    with TestCase().assertNoLogs("hf_msa", "WARNING"):
        load_corpus(folder, label_range=(-3, 3))
        (folder / "label.csv").write_text((folder / "label.csv").read_text().replace("0.4", "1"))
        load_corpus(folder)  # perhaps classes


def test_what_was_mended_is_read_from_an_older_file_too(folder, tmp_path):
    out = convert_corpus(folder, tmp_path / "out")
    manifest = json.loads((out / "corpus.json").read_text())
    manifest["mended"] = {"utterances_cut": 2}
    del manifest["repairs"]
    (out / "corpus.json").write_text(json.dumps(manifest))
    corpus = open_corpus(str(out), {"cache_dir": str(tmp_path / "cache")})
    assert corpus.describe()["repairs"] == {"utterances_cut": 2}
