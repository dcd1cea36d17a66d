"""Prediction-space correlation and its plot."""

import importlib.util
import json

import numpy as np
import pytest
from tiny_models import tiny_agfn
from tiny_tokenizers import bert

from hf_msa.errors import MissingLibraryError, MsaError
from hf_msa.evaluation.predictions import predict_rows
from hf_msa.evaluation.probes.psc import PSC, correlations_with_error, embed_in_plane, fused_features, plot_psc, psc
from hf_msa.models import AGFNProcessor, MsaFeatureExtractor

RNG = np.random.default_rng(0)
PLANE, ERRORS = RNG.normal(size=(60, 2)), RNG.random(60)


def test_the_figure_is_the_mean_of_both_absolute_correlations():
    expected = (abs(np.corrcoef(PLANE[:, 0], ERRORS)[0, 1]) + abs(np.corrcoef(PLANE[:, 1], ERRORS)[0, 1])) / 2
    assert correlations_with_error(PLANE, ERRORS)[0] == pytest.approx(expected)


def test_turning_the_plane_changes_the_papers_figure_and_not_its_companion():
    errors = PLANE[:, 0] + 0.1 * ERRORS
    turn = np.array([[np.cos(0.8), -np.sin(0.8)], [np.sin(0.8), np.cos(0.8)]])
    (before, same), (after, companion) = (
        correlations_with_error(PLANE, errors),
        correlations_with_error(PLANE @ turn, errors),
    )
    assert abs(before - after) > 0.05
    assert same == pytest.approx(companion)
    assert same > 0.99


def test_errors_that_follow_a_feature_give_more_than_errors_that_do_not():
    states = np.concatenate([RNG.normal(-4, 1, (20, 6)), RNG.normal(4, 1, (20, 6))]).astype(np.float32)
    tied = np.repeat([0.1, 2.0], 20) + 0.05 * ERRORS[:40]
    found, loose = psc(states, tied, seeds=[0]), psc(states, ERRORS[:40], seeds=[0])
    assert found.invariant_mean > 0.9 > 0.5 > loose.invariant_mean
    assert found.std == 0
    assert found.seeds == (0,)


def test_the_same_seed_lays_out_the_same_plane():
    states = RNG.normal(size=(32, 5))
    assert np.array_equal(embed_in_plane(states, 1), embed_in_plane(states, 1))


@pytest.mark.parametrize(
    ("states", "errors", "seeds", "message"),
    [
        (
            np.zeros((20, 4)),
            np.zeros(20),
            [0],
            r"fused_states: expected \(N of at least 32, D of at least 2\), got \(20, 4\)",
        ),
        (np.zeros((40, 1)), np.zeros(40), [0], r"D of at least 2\), got \(40, 1\)"),
        (np.full((40, 4), np.nan), RNG.random(40), [0], "fused_states: expected finite values, got nan"),
        (RNG.normal(size=(40, 4)), np.full(40, np.inf), [0], "errors: expected finite values, got inf"),
        (RNG.normal(size=(40, 4)), np.ones(40), [0], "errors: expected some that differ, got 1.0 for all"),
        (RNG.normal(size=(40, 4)), np.ones((40, 1)), [0], r"errors: expected \(40,\) as fused_states, got \(40, 1\)"),
        (RNG.normal(size=(40, 4)), np.zeros(39), [0], r"errors: expected \(40,\) as fused_states, got \(39,\)"),
        (RNG.normal(size=(40, 4)), np.zeros(40), [], "seeds: expected at least one, got none"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(states, errors, seeds, message):
    with pytest.raises(ValueError, match=message):
        psc(states, errors, seeds)


@pytest.mark.parametrize("rounding", [0, 1e-7])
def test_a_model_that_says_the_same_of_all_is_refused_and_does_not_end_the_process(rounding):
    """The start by PCA divides by the spread of the states, and sklearn's tree does not survive a NaN."""
    states = np.ones((40, 4)) + rounding * RNG.normal(size=(40, 4))
    with pytest.raises(ValueError, match="fused_states: expected utterances that differ, got the same state for all"):
        embed_in_plane(states)


def test_features_are_read_in_evaluation_mode_and_the_mode_is_left_alone():
    processor = AGFNProcessor(MsaFeatureExtractor(audio_dim=3, visual_dim=2), bert(model_max_length=32))
    rows = [{"text": text, "label": 1.0} for text in ("the movie was good", "bad")]
    model = tiny_agfn().train()
    (states, predictions), (again, _) = (fused_features(model, processor, rows) for _ in range(2))
    assert model.training
    assert states.shape == (2, 8)
    assert np.array_equal(states, again)
    expected = predict_rows(model, processor, rows)
    assert np.array_equal(predictions.scores, expected.scores)
    assert np.array_equal(predictions.labels, expected.labels)
    with pytest.raises(MsaError, match="rows: expected a label in every row, got none"):
        fused_features(model, processor, [{"text": "bad"}])
    with pytest.raises(MsaError, match="rows: expected at least one, got none"):
        fused_features(model, processor, [])
    assert model.training


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else find(name))
    with pytest.raises(MissingLibraryError, match=r"hf_msa\[plots\]"):
        embed_in_plane(RNG.normal(size=(40, 4)))


def test_the_figures_survive_a_file_and_are_said_in_one_line():
    figures = PSC(0.25, 0.01, 0.5, 0.02, (0, 1))
    assert PSC.from_dict(json.loads(json.dumps(figures.to_dict()))) == figures
    assert figures.to_markdown() == "PSC 0.250 ± 0.010, turned at will 0.500 ± 0.020"


def test_the_plot_marks_the_worst_tenth(tmp_path):
    plot_psc(PLANE, RNG.uniform(-3, 3, 60), errors=ERRORS, file=tmp_path / "psc.png", title="a model")
    assert (tmp_path / "psc.png").stat().st_size > 5000
