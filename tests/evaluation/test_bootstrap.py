import dataclasses
import math

import numpy as np
import pytest
import torch

from hf_msa.evaluation import bootstrap, paired_bootstrap


def simulate(seed, difference=0.1, num_utterances=80, num_seeds=(4, 5)):
    """Errors of two systems: difficulty that both share, a mean that differs, noise of each run and utterance."""
    rng = np.random.default_rng(seed)
    difficulty_N = rng.gamma(2.0, 0.5, num_utterances)

    def runs(num, shift):
        return (
            difficulty_N
            + shift
            + 0.3 * rng.standard_normal((1, num_utterances))
            + 0.05 * rng.standard_normal((num, 1))
        )

    return runs(num_seeds[0], difference), runs(num_seeds[1], 0.0)


def test_the_difference_is_that_of_the_means_and_lies_in_the_interval():
    errors_a, errors_b = simulate(0, difference=0.5)
    result = paired_bootstrap(errors_a, errors_b, num_samples=500)
    assert result.difference == pytest.approx(errors_a.mean() - errors_b.mean())
    assert result.low < result.difference < result.high
    assert (result.confidence, result.num_samples) == (0.95, 500)
    assert result.excludes_zero


def test_swapping_the_systems_mirrors_the_difference():
    errors_a, errors_b = simulate(1, difference=0.5, num_seeds=(3, 3))
    forth, back = paired_bootstrap(errors_a, errors_b), paired_bootstrap(errors_b, errors_a)
    assert back.difference == pytest.approx(-forth.difference)
    assert back.low == pytest.approx(-forth.high, abs=0.02)
    assert back.high == pytest.approx(-forth.low, abs=0.02)
    assert back.excludes_zero


def test_about_95_of_100_intervals_hold_the_true_difference():
    covered = 0
    for seed in range(200):
        result = paired_bootstrap(*simulate(seed), num_samples=400, seed=seed)
        covered += result.low <= 0.1 <= result.high
    assert 0.90 <= covered / 200 <= 0.99


def test_a_narrower_confidence_covers_less():
    errors = simulate(2)
    wide, narrow = (paired_bootstrap(*errors, num_samples=1000, confidence=share) for share in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high
    # A normal distribution's central half is 0.34 as wide as its central 95 %.
    assert (narrow.high - narrow.low) / (wide.high - wide.low) == pytest.approx(0.34, abs=0.05)


def test_the_same_arguments_give_the_same_result_and_another_seed_another():
    errors = simulate(3)
    result = paired_bootstrap(*errors, num_samples=300)
    assert paired_bootstrap(*errors, num_samples=300) == result
    assert paired_bootstrap(*errors, num_samples=300, seed=1) != result


def test_the_global_random_state_is_neither_read_nor_moved():
    np.random.seed(0)
    state = np.random.get_state()[1].tolist()
    paired_bootstrap(*simulate(3), num_samples=10)
    assert np.random.get_state()[1].tolist() == state


def test_the_size_of_a_chunk_changes_nothing(monkeypatch):
    errors = simulate(4, num_utterances=50)
    whole = paired_bootstrap(*errors, num_samples=101)
    monkeypatch.setattr(bootstrap, "CHUNK_ELEMENTS", 50 * 7)
    chunked = paired_bootstrap(*errors, num_samples=101)
    assert (chunked.low, chunked.high) == pytest.approx((whole.low, whole.high), rel=1e-12)
    monkeypatch.setattr(bootstrap, "CHUNK_ELEMENTS", 1)
    assert paired_bootstrap(*errors, num_samples=101).low == pytest.approx(whole.low, rel=1e-12)


def test_memory_stays_small_on_a_corpus_of_mosei_size(monkeypatch):
    largest = 0
    resample = bootstrap._resample

    def watched(rng, num_samples, size):
        nonlocal largest
        largest = max(largest, num_samples * size)
        return resample(rng, num_samples, size)

    monkeypatch.setattr(bootstrap, "_resample", watched)
    paired_bootstrap(np.ones((3, 4659)), np.ones((3, 4659)), num_samples=500)
    assert largest <= bootstrap.CHUNK_ELEMENTS


def test_identical_runs_give_an_interval_around_zero():
    errors, _ = simulate(5)
    result = paired_bootstrap(errors, errors, num_samples=1000)
    assert result.difference == 0.0
    assert result.low < 0.0 < result.high  # seeds are drawn apart, so the training noise remains
    assert not result.excludes_zero


def test_one_identical_run_gives_exactly_zero():
    errors, _ = simulate(5, num_seeds=(1, 1))
    result = paired_bootstrap(errors, errors, num_samples=100)
    assert (result.difference, result.low, result.high) == (0.0, 0.0, 0.0)
    assert not result.excludes_zero


def test_pairing_takes_the_shared_difficulty_out():
    # Utterances differ by 10, the systems by exactly 0.01 on each: only a joint draw leaves an interval of no width.
    errors = np.random.default_rng(6).uniform(0, 10, (1, 200))
    result = paired_bootstrap(errors + 0.01, errors, num_samples=200)
    assert result.low == pytest.approx(0.01)
    assert result.high == pytest.approx(0.01)


def test_seeds_of_each_system_are_drawn_apart():
    # Two seeds, 0 and 1, one utterance: the mean is 0, 1/2 or 1 for each, so the differences span -1 to 1. Were the
    # seeds drawn together, every difference would be 0.
    result = paired_bootstrap([[0.0], [1.0]], [[0.0], [1.0]], num_samples=1000)
    assert (result.low, result.high) == (-1.0, 1.0)


def test_utterances_are_drawn_with_replacement():
    # One seed, two utterances, errors 0 and 2 against 0 and 0: the difference is 0, 1 or 2, with 1/4, 1/2, 1/4.
    errors = [[0.0, 2.0]], [[0.0, 0.0]]
    result = paired_bootstrap(*errors, num_samples=2000)
    assert (result.low, result.high) == (0.0, 2.0)
    result = paired_bootstrap(*errors, num_samples=2000, confidence=0.4)
    assert (result.low, result.high) == (1.0, 1.0)


def test_the_spread_over_utterances_is_the_standard_error():
    errors_a = np.random.default_rng(7).standard_normal((1, 400))
    result = paired_bootstrap(errors_a, np.zeros((1, 400)), num_samples=4000)
    assert (result.high - result.low) / 2 == pytest.approx(1.96 * errors_a.std() / math.sqrt(400), rel=0.05)


def test_groups_of_one_utterance_are_utterances():
    errors = simulate(10)
    alone = paired_bootstrap(*errors, num_samples=300)
    grouped = paired_bootstrap(*errors, num_samples=300, groups=[f"{i:03}" for i in range(80)])
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high), rel=1e-12)


def test_groups_are_drawn_with_all_their_utterances():
    # Two groups of sizes 1 and 3, errors 0 and 4: both drawn once give (0 + 3 * 4) / 4 = 3, one twice gives 0 or 4.
    errors = [[0.0, 4.0, 4.0, 4.0]], [[0.0] * 4]
    result = paired_bootstrap(*errors, num_samples=2000, groups=["a", "b", "b", "b"])
    assert (result.difference, result.low, result.high) == (3.0, 0.0, 4.0)
    result = paired_bootstrap(*errors, num_samples=2000, groups=["a", "b", "b", "b"], confidence=0.4)
    assert (result.low, result.high) == (3.0, 3.0)


def test_what_differs_by_speaker_is_less_certain_than_it_looks():
    by_speaker = np.repeat(np.random.default_rng(11).normal(0.2, 0.5, 20), 10)[None]
    alone, grouped = (
        paired_bootstrap(by_speaker, np.zeros((1, 200)), num_samples=1000, groups=groups)
        for groups in (None, np.repeat(np.arange(20), 10))
    )
    assert grouped.difference == alone.difference
    assert (grouped.high - grouped.low) / (alone.high - alone.low) == pytest.approx(math.sqrt(10), rel=0.15)


def test_another_number_of_groups_than_utterances_is_refused():
    with pytest.raises(ValueError, match="groups: expected one per utterance, 5, got 2"):
        paired_bootstrap(np.ones((2, 5)), np.ones((2, 5)), groups=["a", "b"])


def test_tensors_and_lists_are_welcome():
    errors_a, errors_b = (np.float32(errors) for errors in simulate(8))
    expected = paired_bootstrap(errors_a, errors_b, num_samples=50)
    assert paired_bootstrap(torch.tensor(errors_a), errors_b.tolist(), num_samples=50) == expected


def test_the_result_is_frozen_and_holds_plain_floats():
    result = paired_bootstrap(*simulate(9), num_samples=10)
    assert all(type(getattr(result, name)) is float for name in ("difference", "low", "high"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.low = 0.0


def test_other_shapes_are_refused_with_the_argument():
    good = np.ones((2, 5))
    for bad in (np.ones(5), np.ones((2, 5, 1)), np.ones((0, 5)), np.ones((2, 0)), 1.0):
        with pytest.raises(ValueError, match=r"errors_a must have shape \(seeds, utterances\)"):
            paired_bootstrap(bad, good)
        with pytest.raises(ValueError, match=r"errors_b must have shape \(seeds, utterances\)"):
            paired_bootstrap(good, bad)


def test_different_utterances_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match="same utterances, got 5 and 1 of them"):
        paired_bootstrap(np.ones((2, 5)), np.ones((2, 1)))


def test_an_error_that_is_not_finite_is_refused_with_its_place():
    errors = np.ones((2, 5))
    errors[1, 3] = math.nan
    with pytest.raises(ValueError, match=r"errors_b\[1, 3\] is nan, expected a finite number"):
        paired_bootstrap(np.ones((2, 5)), errors)


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"num_samples": 0}, "num_samples must be at least 1, got 0"),
        ({"confidence": 1.0}, "confidence must lie between 0 and 1, got 1.0"),
        ({"confidence": 95}, "confidence must lie between 0 and 1, got 95"),
    ],
)
def test_impossible_settings_are_refused(setting, match):
    with pytest.raises(ValueError, match=match):
        paired_bootstrap(np.ones((2, 5)), np.ones((2, 5)), **setting)
