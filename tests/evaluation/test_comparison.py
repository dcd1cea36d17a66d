"""Comparing two runs: the sign of the gain, its interval, and what cannot be compared."""

import json

import numpy as np
import pytest

from hf_msa.evaluation.bootstrap import paired_bootstrap
from hf_msa.evaluation.comparison import compare_runs
from hf_msa.evaluation.metrics import classification_metrics, mosi_metrics
from hf_msa.evaluation.predictions import Predictions, write_predictions
from hf_msa.evaluation.results import PREDICTIONS_FILE, Results, SeedResult

LABELS = np.linspace(-3, 3, 40)


def write_run(folder, noise=0.1, seeds=(1, 2), labels=LABELS, name="run", ids=None, splits=("valid", "test")):
    """Write a run whose scores are the labels with noise."""
    folder.mkdir()
    found, runs = [], []
    ids = ids or [f"clip{i}" for i in range(len(labels))]
    for seed in seeds:
        scores = (labels + np.random.default_rng(seed).normal(size=len(labels)) * noise).astype(np.float32)
        found += [(seed, split, Predictions(ids, labels, scores)) for split in splits]
        metrics = {split: mosi_metrics(scores, labels) for split in splits}
        runs.append(SeedResult(seed, f"seeds/{seed}", 1.0, 1.0, 1.0, metrics))
    write_predictions(found, folder / PREDICTIONS_FILE)
    Results(name, {}, {}, {}, {}, {}, 1.0, seeds[0], tuple(runs)).write(folder)
    return folder


def write_classifier(folder, num_wrong, num_labels=3):
    folder.mkdir()
    labels = np.arange(30) % 3
    logits = np.eye(num_labels, dtype=np.float32)[[(l + (i < num_wrong)) % 3 for i, l in enumerate(labels)]]
    ids = [f"clip{i}" for i in range(30)]
    write_predictions([(1, "test", Predictions(ids, labels, logits))], folder / PREDICTIONS_FILE)
    metrics = {"test": classification_metrics(logits, labels, num_labels)}
    Results("run", {}, {}, {}, {}, {}, 1.0, 1, (SeedResult(1, "seeds/1", 1.0, 1.0, 1.0, metrics),)).write(folder)
    return folder


def test_the_gain_is_above_0_where_the_second_run_is_better(tmp_path):
    worse = write_run(tmp_path / "worse", noise=1.0, name="worse")
    better = write_run(tmp_path / "better", noise=0.1, name="better")
    forth, back = compare_runs(worse, better), compare_runs(better, worse)
    assert 0 < forth.gain.low < forth.gain.difference < forth.gain.high
    assert back.gain.low < back.gain.difference < back.gain.high < 0
    assert back.gain.difference == pytest.approx(-forth.gain.difference)
    assert forth.gain.difference == pytest.approx(
        forth.metrics[0]["mae"]["mean"] - forth.metrics[1]["mae"]["mean"], abs=1e-4
    )
    assert str(forth).endswith("better is better")
    assert str(back).endswith("better is better")
    assert str(forth).startswith("mae of worse minus better on test: +")


def test_a_run_against_itself_shows_nothing(tmp_path):
    run = write_run(tmp_path / "run", seeds=(1,))
    found = compare_runs(run, run)
    assert (found.gain.low, found.gain.difference, found.gain.high) == (0, 0, 0)
    assert found.names == ("run (1)", "run (2)")
    assert "the interval holds 0: no difference was shown; with a single seed" in str(found)


def test_the_interval_is_that_of_the_paired_bootstrap_over_seeds(tmp_path):
    first = write_run(tmp_path / "a", noise=0.5, seeds=(1, 2, 3))
    second = write_run(tmp_path / "b", noise=0.4, seeds=(8, 9))
    found = compare_runs(str(first), str(second), "valid")
    errors = [
        [np.abs(np.float32(LABELS + np.random.default_rng(seed).normal(size=40) * noise) - LABELS) for seed in seeds]
        for noise, seeds in ((0.5, (1, 2, 3)), (0.4, (8, 9)))
    ]
    assert found.gain == paired_bootstrap(*errors)
    assert (found.seeds, found.split, found.error) == ((3, 2), "valid", "mae")


def test_classifiers_are_compared_by_wrong_answers(tmp_path):
    found = compare_runs(write_classifier(tmp_path / "a", 12), write_classifier(tmp_path / "b", 3))
    assert found.error == "error_rate"
    assert found.gain.difference == pytest.approx(0.3)
    assert found.gain.low > 0
    assert "confusion_matrix" not in found.metrics[0]


def test_a_comparison_is_json(tmp_path):
    found = compare_runs(write_run(tmp_path / "a"), write_run(tmp_path / "b", noise=0.5))
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["gain"]["difference"] == found.gain.difference
    assert content["names"] == ["run (1)", "run (2)"]


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": LABELS[::-1]},
        {"labels": LABELS[:-1]},
        {"labels": LABELS + 1e-3},
        {"ids": [f"other{i}" for i in range(40)]},
        {"ids": [f"clip{i}" for i in reversed(range(40))]},
    ],
)
def test_runs_on_other_utterances_are_refused(tmp_path, changes):
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b", **changes)
    with pytest.raises(ValueError, match=r"b: expected the utterances and labels of .*a's test split, got others"):
        compare_runs(first, second)


def test_scores_and_classes_are_not_compared(tmp_path):
    classes = write_classifier(tmp_path / "classes", 3)
    scores = write_run(tmp_path / "scores", labels=np.arange(30) % 3.0)
    with pytest.raises(ValueError, match=r"scores: expected 3 classes as .*classes, got scores"):
        compare_runs(classes, scores)
    four = write_classifier(tmp_path / "four", 3, num_labels=4)
    with pytest.raises(ValueError, match=r"four: expected 3 classes as .*classes, got 4 classes"):
        compare_runs(classes, four)


def test_what_is_no_run_is_refused_by_name(tmp_path):
    run = write_run(tmp_path / "run")
    with pytest.raises(ValueError, match="nowhere: expected the results of hf-msa train"):
        compare_runs(run, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="expected the predictions of the tests split, got none"):
        compare_runs(run, run, "tests")
    (run / PREDICTIONS_FILE).unlink()
    with pytest.raises(
        ValueError, match=r"predictions\.parquet: expected the predictions of the test split, got none"
    ):
        compare_runs(run, run)
