"""Comparing two runs: the sign of the gain, its interval, and what cannot be compared."""

import json

import numpy as np
import pytest

from hf_msa.errors import MsaError
from hf_msa.evaluation.bootstrap import BootstrapResult, paired_bootstrap
from hf_msa.evaluation.comparison import Comparison, compare_runs
from hf_msa.evaluation.metrics import classification_metrics, mosi_metrics
from hf_msa.evaluation.predictions import Predictions, write_predictions
from hf_msa.evaluation.results import PREDICTIONS_FILE, Results, SeedResult

LABELS = np.linspace(-3, 3, 40)


def write_run(
    folder, noise=0.1, seeds=(1, 2), labels=LABELS, name="run", ids=None, splits=("valid", "test"), config=None
):
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
    Results(name, {}, {}, {"config": config or {}}, {}, {}, 1.0, seeds[0], tuple(runs)).write(folder)
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


def test_speakers_are_drawn_with_all_their_utterances_where_one_of_the_runs_names_them(tmp_path):
    ids, speakers = [f"clip{i}" for i in range(40)], [f"video{i // 8}" for i in range(40)]
    scores = [np.float32(LABELS + np.random.default_rng(seed).normal(size=40)) for seed in (1, 2)]
    folders = []
    for name, score, named in zip("ab", scores, (speakers, None), strict=True):
        folders.append(write_run(tmp_path / name))
        write_predictions([(1, "test", Predictions(ids, LABELS, score, named))], folders[-1] / PREDICTIONS_FILE)
    errors = [np.abs(score.astype(np.float64) - LABELS)[None] for score in scores]
    forth, back = compare_runs(*folders), compare_runs(*folders[::-1])
    assert forth.unit == back.unit == "speakers"
    assert forth.gain == paired_bootstrap(*errors, groups=speakers)
    assert back.gain.difference == -forth.gain.difference
    assert "paired bootstrap over speakers and 1 and 1 seeds" in forth.to_markdown()
    assert "interval over speakers" in str(forth)


def test_one_speaker_alone_is_no_sample(tmp_path):
    run = write_run(tmp_path / "a")
    alone = Predictions(["x", "y"], np.array([1.0, 2.0]), np.float32([1, 3]), ["video", "video"])
    write_predictions([(1, "test", alone)], run / PREDICTIONS_FILE)
    assert compare_runs(run, run).unit == "utterances"


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


def test_a_comparison_comes_back_from_its_file_and_is_a_sentence_in_a_card(tmp_path):
    found = compare_runs(write_run(tmp_path / "a"), write_run(tmp_path / "b", noise=0.5, name="other"))
    read = Comparison.from_dict(json.loads(json.dumps(found.to_dict())))
    assert read == found
    gain = BootstrapResult(0.0412, 0.0201, 0.0623, 0.95, 100)
    text = Comparison(("text", "all"), (5, 4), "test", "error_rate", ({}, {}), gain).to_markdown()
    assert text == (
        "ERROR RATE of text minus all on test: +0.041, 95% interval +0.020 to +0.062 "
        "(paired bootstrap over utterances and 5 and 4 seeds)."
    )
    assert read.to_markdown(found).splitlines() == [f"- {found.to_markdown()}"] * 2


def test_the_order_of_the_utterances_changes_nothing(tmp_path):
    """Runs are joined by the ids: the same corpus from another file may come in another order."""
    scores = LABELS + np.random.default_rng(5).normal(size=40)
    ids = [f"clip{i}" for i in range(40)]
    folders = []
    for name, order in (("straight", np.arange(40)), ("shuffled", np.random.default_rng(6).permutation(40))):
        folders.append(write_run(tmp_path / name, name=name))
        shuffled = Predictions([ids[i] for i in order], LABELS[order], np.float32(scores[order]))
        write_predictions([(1, "test", shuffled)], folders[-1] / PREDICTIONS_FILE)
    first = write_run(tmp_path / "first", noise=0.5)
    assert compare_runs(first, folders[0]).gain == compare_runs(first, folders[1]).gain
    assert compare_runs(*folders).gain.low == compare_runs(*folders).gain.high == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": LABELS[::-1]}, r"expected the label -3\.0 of 'clip0' as .*a, got 3\.0"),
        ({"labels": LABELS + 1e-3}, r"expected the label -3\.0 of 'clip0' as .*a, got -2\.999"),
        ({"labels": LABELS[:-1]}, r"expected the utterances of .*a, got others: 'clip39' stand in one run alone"),
        (
            {"ids": [f"other{i}" for i in range(40)]},
            r"got others: 'clip0', 'clip1', 'clip10', \.\.\. stand in one run",
        ),
        ({"ids": ["clip0", *(f"clip{i}" for i in range(39))]}, "expected every utterance once, got 'clip0' twice"),
    ],
)
def test_runs_on_other_utterances_are_refused_by_name(tmp_path, changes, message):
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b", **changes)
    with pytest.raises(MsaError, match=rf"b: .*{message}"):
        compare_runs(first, second)


def test_an_utterance_that_the_first_run_has_twice_is_refused_too(tmp_path):
    twice = write_run(tmp_path / "a", ids=["clip0", *(f"clip{i}" for i in range(39))])
    with pytest.raises(MsaError, match="a: expected every utterance once, got 'clip0' twice"):
        compare_runs(twice, write_run(tmp_path / "b"))


def test_errors_in_other_units_are_not_compared_whichever_run_comes_first(tmp_path):
    """SIMS clips scores to (-1, 1) before it measures an error: the first run's range used to decide for both."""
    mosi = write_run(tmp_path / "mosi", config={"label_range": [-3, 3]})
    sims = write_run(tmp_path / "sims", config={"label_range": [-1, 1]})
    with pytest.raises(MsaError, match=r"sims: expected the label_range \[-3, 3\] as .*mosi, got \[-1, 1\]"):
        compare_runs(mosi, sims)
    with pytest.raises(MsaError, match=r"mosi: expected the label_range \[-1, 1\] as .*sims, got \[-3, 3\]"):
        compare_runs(sims, mosi)


def test_the_errors_of_sims_are_those_of_its_metrics(tmp_path):
    runs = [
        write_run(tmp_path / n, noise=2.0, seeds=(s,), config={"label_range": [-1, 1]})
        for n, s in zip("ab", (1, 2), strict=True)
    ]
    clipped = [
        np.abs(np.float32(LABELS + np.random.default_rng(seed).normal(size=40) * 2.0).clip(-1, 1) - LABELS.clip(-1, 1))
        for seed in (1, 2)
    ]
    assert compare_runs(*runs).gain.difference == pytest.approx(clipped[0].mean() - clipped[1].mean(), abs=1e-6)


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
