"""The demo: in short (slow), as users run it (release), and what it is made of."""

from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict

from hf_msa.data import named
from hf_msa.data.sample_corpus import load_sample_corpus
from hf_msa.data.utterances import read_utterances, write_utterances
from hf_msa.training import quickstart
from hf_msa.training.quickstart import DEMO_RECIPE, run_demo
from hf_msa.training.recipe import make_recipe, read_recipe


def test_utterances_come_back_from_their_file_as_they_went(tmp_path):
    rows = [
        {
            "text": "i loved it",
            "words": [{"word": "i", "start": 0.0, "end": 0.5}],
            "audio": np.arange(6.0).reshape(2, 3),
            "visual": np.zeros((0, 2)),
            "audio_rate": 20.0,
            "label": 1.0,
        }
    ]
    (utterance,) = read_utterances(write_utterances(rows, tmp_path))
    assert utterance.line == 1
    read = utterance.fields
    assert np.array_equal(read.pop("audio"), rows[0]["audio"])
    assert read == {"text": "i loved it", "words": rows[0]["words"], "audio_rate": 20.0}


def check_predictions(result):
    assert len(result.predictions) == 3
    for prediction in result.predictions:
        assert sum(prediction["shares"].values()) == pytest.approx(1, abs=1e-4)
        assert min(prediction["shares"].values()) > 0.01


def few_rows():
    """Return the first rows of the sample corpus, among whose tests are all that the demo predicts."""
    splits, sizes = load_sample_corpus(), {"train": 32, "valid": 16, "test": 16}
    return DatasetDict({split: splits[split].select(range(size)) for split, size in sizes.items()})


@pytest.mark.slow
def test_a_demo_of_one_epoch_measures_all_runs_and_predicts_in_a_fresh_process(tmp_path, monkeypatch):
    monkeypatch.setitem(DEMO_RECIPE, "num_train_epochs", 1)
    for module in (named, quickstart):
        monkeypatch.setattr(module, "load_sample_corpus", few_rows)
    result = run_demo(tmp_path / "demo")
    assert list(result.metrics) == ["majority", "text only", "text + audio + visual"]
    assert len({metrics["mae"] for metrics in result.metrics.values()}) == 3
    check_predictions(result)


@pytest.mark.release
def test_the_demo_beats_its_text_only_run_and_predicts_in_a_fresh_process(tmp_path):
    result = run_demo(tmp_path / "demo")
    mae = {run: metrics["mae"] for run, metrics in result.metrics.items()}
    assert mae["text + audio + visual"] < mae["text only"] - 0.15
    assert mae["text only"] < mae["majority"] - 0.2
    check_predictions(result)
    scores = [prediction["score"] for prediction in result.predictions]
    assert scores[0] < scores[2]


def test_the_demo_is_the_sample_recipe():
    recipe = read_recipe(Path(__file__).parents[2] / "examples/configs/pgf_net_sample.yaml")
    assert recipe.to_dict() == make_recipe(DEMO_RECIPE).to_dict()
