"""AGFN is trained, measured and explained by the same commands as every model."""

import json
import math

import pytest
import torch
from tiny_models import tiny_agfn, tiny_batch
from tiny_run import recipe_values, write_corpus, write_text_model
from transformers import pipeline
from typer.testing import CliRunner

from hf_msa.cli import app
from hf_msa.evaluation import evaluate_checkpoint, robustness
from hf_msa.training import make_recipe, train_recipe


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("agfn")
    text_model, corpus = write_text_model(place / "text"), write_corpus(place / "corpus.pkl")
    values = recipe_values(text_model, corpus, model_type="agfn", lora=None, seeds=[1])
    values["model"] = {"hidden_size": 8, "num_attention_heads": 2, "num_encoder_layers": 1}
    values["learning_rates"] = {"text_encoder": 1e-4}
    results = train_recipe(make_recipe(values), place / "run")
    return place / "run", corpus, results


def test_the_saved_checkpoint_repeats_the_numbers(run):
    folder, corpus, results = run
    assert evaluate_checkpoint(str(folder), str(corpus)) == results.runs[0].metrics["test"]
    assert math.isfinite(results.runs[0].metrics["test"]["mae"])
    assert results.model["trainable_parameters"] == results.model["parameters"]


def test_the_pipeline_gives_the_share_of_each_stream(run):
    pipe = pipeline("multimodal-sentiment-analysis", model=str(run[0]))
    found = pipe({"text": "the movie was good", "audio": torch.ones(4, 3)}, explain=True)
    assert set(found) == {"score", "label", "shares"}
    assert found["shares"]["visual"] == 0
    assert sum(found["shares"].values()) == pytest.approx(1)


def test_the_command_measures_what_noise_does_to_a_run(run):
    folder, corpus, results = run
    command = ["robustness", str(folder), "--corpus", str(corpus), "--strength", "2", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["error"] == pytest.approx(results.runs[0].metrics["test"]["mae"], abs=1e-6)
    assert [rise["strength"] for rise in found["rises"]] == [2.0]
    assert len(found["gates"]) == 1
    refused = CliRunner().invoke(app, [*command, "--stream", "text"])
    assert refused.exit_code == 2
    assert "stream: expected 'audio' or 'visual', got 'text'" in refused.stderr


def test_a_run_is_not_measured_on_its_corpus_after_that_has_changed(run, tmp_path, monkeypatch):
    (tmp_path / run[1].parent.name).mkdir()
    changed = write_corpus(tmp_path / run[1].parent.name / run[1].name, seed=1)
    monkeypatch.setenv("HF_MSA_CORPORA", str(tmp_path))
    refused = CliRunner().invoke(app, ["robustness", str(run[0])])
    assert refused.exit_code == 2
    (line,) = refused.stderr.strip().splitlines()
    assert f"corpus: expected that of the run, of SHA-256 {run[2].corpus['sha256']}, got {changed} of" in line


def test_another_corpus_than_the_runs_is_warned_of_and_read_with_its_own_options(run, tmp_path, monkeypatch):
    other, found = write_corpus(tmp_path / "other.pkl", seed=1), []
    monkeypatch.setattr(robustness, "check_dataset", lambda split, rows, *_: found.append(rows))
    with pytest.warns(UserWarning, match="corpus: expected that of the run, of SHA-256 .*, got .*other.pkl of"):
        robustness.measure_robustness(
            run[0], corpus=str(other), split="valid", strengths=[1.0], corpus_options={"audio_rate": 10}
        )
    assert found[0]["id"] == [f"valid$_${i}" for i in range(6)]
    assert found[0]["audio_rate"][0] == 10


def test_rows_that_do_not_fit_a_run_are_refused_before_it_is_measured(run, tmp_path):
    other = write_corpus(tmp_path / "other.pkl", audio_dim=4)
    message = r"test: audio: expected config\.audio_dim 3 columns per frame, got 4"
    with pytest.warns(UserWarning, match="SHA-256"), pytest.raises(ValueError, match=message):
        robustness.measure_robustness(run[0], corpus=str(other))
    with pytest.raises(ValueError, match="split: expected train, valid, test, got 'tests'"):
        robustness.measure_robustness(run[0], split="tests")


def test_accumulated_gradients_equal_those_of_the_whole_batch():
    """Without the adversarial loss, whose random directions are drawn per batch."""
    batch, labels = tiny_batch(4), torch.tensor([1.0, -1.0, 2.0, 0.0])

    def gradients(parts):
        model = tiny_agfn(
            virtual_adversarial_weight=0.0, encoder_dropout=0.0, attention_dropout=0.0, classifier_dropout=0.0
        )
        for part in parts:
            output = model(**{key: value[part] for key, value in batch.items()}, labels=labels[part])
            (output.loss / len(parts)).backward()
        return {name: parameter.grad for name, parameter in model.named_parameters()}

    whole, accumulated = gradients([slice(0, 4)]), gradients([slice(0, 2), slice(2, 4)])
    for name, gradient in whole.items():
        torch.testing.assert_close(accumulated[name], gradient, atol=1e-6, rtol=1e-4, msg=name)
