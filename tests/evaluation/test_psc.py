"""Prediction-space correlation and its plot."""

import builtins

import numpy as np
import pytest

from hf_msa.evaluation.psc import correlations_with_error, embed_in_plane, plot_psc, psc

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
    states = np.concatenate([RNG.normal(-4, 1, (30, 6)), RNG.normal(4, 1, (30, 6))]).astype(np.float32)
    tied = np.repeat([0.1, 2.0], 30) + 0.05 * ERRORS
    found, loose = psc(states, tied, seeds=[0]), psc(states, ERRORS, seeds=[0])
    assert found.invariant_mean > 0.9 > 0.5 > loose.invariant_mean
    assert found.std == 0
    assert found.seeds == (0,)


def test_the_same_seed_lays_out_the_same_plane():
    states = RNG.normal(size=(40, 5))
    assert np.array_equal(embed_in_plane(states, 1), embed_in_plane(states, 1))


@pytest.mark.parametrize(
    ("states", "errors", "seeds", "message"),
    [
        (np.zeros((20, 4)), np.zeros(20), [0], r"fused_states: expected \(N of at least 32, D\), got \(20, 4\)"),
        (RNG.normal(size=(40, 4)), np.zeros(39), [0], "errors: expected 40 as fused_states, got 39"),
        (RNG.normal(size=(40, 4)), np.zeros(40), [], "seeds: expected at least one, got none"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(states, errors, seeds, message):
    with pytest.raises(ValueError, match=message):
        psc(states, errors, seeds)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    plain = builtins.__import__

    def hidden(name, *args, **kwargs):
        if name.split(".")[0] == "sklearn":
            raise ModuleNotFoundError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", hidden)
    with pytest.raises(ModuleNotFoundError, match=r"hf_msa\[plots\]"):
        embed_in_plane(RNG.normal(size=(40, 4)))


def test_the_plot_marks_the_worst_tenth(tmp_path):
    plot_psc(PLANE, RNG.uniform(-3, 3, 60), ERRORS, tmp_path / "psc.png", title="a model")
    assert (tmp_path / "psc.png").stat().st_size > 5000
