"""The weight of a stream under noise: which utterances count, and what is said of them."""

import json
import math

import numpy as np
import pytest

from hf_msa.errors import MsaError
from hf_msa.evaluation.probes.gates import GateResponse, gate_response, spearman
from hf_msa.evaluation.probes.noise import NoisePasses

STRENGTHS = (0.0, 1.0, 2.0, 3.0)


def passes(weights, strengths=STRENGTHS, has_stream=None):
    weights = np.asarray(weights, dtype=np.float64)
    has_stream = np.ones(weights.shape[1], bool) if has_stream is None else np.asarray(has_stream)
    return NoisePasses("visual", tuple(strengths), np.zeros_like(weights), has_stream, weights)


def test_a_model_that_doubts_noise_has_a_negative_rank_correlation():
    loudness = np.random.default_rng(0).uniform(1, 2, 12) * np.array(STRENGTHS)[:, None] ** 2
    response = gate_response(passes(1 / (1 + loudness)))
    assert response.strengths == STRENGTHS
    assert response.rank_correlation < -0.9
    assert list(response.weights) == sorted(response.weights, reverse=True)
    assert response.falling == 1


def test_utterances_without_the_stream_have_no_say():
    weights = [[0.5, 0.9], [0.4, 0.1], [0.3, 0.1], [0.2, 0.1]]
    response = gate_response(passes(weights, has_stream=[True, False]))
    assert response.weights == (0.5, 0.4, 0.3, 0.2)
    assert response.rank_correlation == -1


def test_passes_without_weights_are_refused():
    with pytest.raises(MsaError, match="passes: expected weights, got none"):
        gate_response(NoisePasses("visual", (0.0, 1.0), np.zeros((2, 3)), np.ones(3, bool)))


def test_those_that_turn_away_do_so_under_the_strongest_noise_wherever_it_stands():
    rising, falling = [0.5, 0.2, 0.6], [0.5, 0.6, 0.2]
    weights = np.transpose([rising, rising, rising, falling])
    assert gate_response(passes(weights, (0.0, 1.0, 3.0))).falling == 0.25
    assert gate_response(passes(weights, (0.0, 3.0, 1.0))).falling == 0.75


def test_a_weight_that_never_changes_has_no_correlation_and_is_null_in_a_file():
    response = gate_response(passes(np.full((4, 3), 0.5)))
    assert math.isnan(response.rank_correlation)
    assert response.falling == 0
    content = json.loads(json.dumps(response.to_dict() | {"rank_correlation": None}))
    read = GateResponse.from_dict(content)
    assert math.isnan(read.rank_correlation)
    assert (read.strengths, read.weights, read.falling) == (STRENGTHS, response.weights, 0)


def test_the_figures_are_said_in_one_line():
    said = GateResponse("visual", (0.0, 1.0), (0.5, 0.4), -0.25, 0.875).to_markdown()
    assert said == "rank correlation -0.250, 87.5% of the utterances turn away"


def test_rank_correlation_shares_ranks_between_equal_values():
    first, second = np.array([1, 1, 2, 3, 3, 5.0]), np.array([2, 1, 4, 3, 6, 6.0])
    ranks_1, ranks_2 = [1.5, 1.5, 3, 4.5, 4.5, 6], [2, 1, 4, 3, 5.5, 5.5]
    assert spearman(first, second) == pytest.approx(np.corrcoef(ranks_1, ranks_2)[0, 1])
    assert np.isnan(spearman(first, np.ones(6)))
