"""Noise goes where it is said, and what models do about it is measured."""

import numpy as np
import pytest
import torch
from tiny_models import tiny_agfn
from tiny_tokenizers import bert

from hf_msa.evaluation.probes.noise import NoisyProcessor, gate_response, noise_rise, spearman
from hf_msa.models import AGFNProcessor, MsaFeatureExtractor


@pytest.fixture(scope="module")
def processor():
    return AGFNProcessor(MsaFeatureExtractor(audio_dim=3, visual_dim=2), bert(model_max_length=32))


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return [
        {
            "id": str(i),
            "text": "i loved the movie",
            "audio": rng.normal(size=(5, 3)).astype(np.float32),
            "visual": rng.normal(size=(0 if i == 3 else 4, 2)).astype(np.float32),
            "label": float(i % 3 - 1),
        }
        for i in range(12)
    ]


def test_noise_falls_on_the_real_frames_of_one_stream(processor, rows):
    clean, noisy = processor.collate(rows), NoisyProcessor(processor, "visual", 2.0).collate(rows)
    real = clean["visual_attention_mask"].bool()
    difference = noisy["visual_values"] - clean["visual_values"]
    assert (difference[real] != 0).all()
    assert (difference[~real] == 0).all()
    assert difference[real].std().item() == pytest.approx(2.0, rel=0.2)
    for key in set(clean) - {"visual_values"}:
        assert torch.equal(clean[key], noisy[key])


def test_the_same_seed_gives_the_same_noise_in_proportion(processor, rows):
    clean = processor.collate(rows)["audio_values"]
    one, two = (
        NoisyProcessor(processor, "audio", s, seed=5).collate(rows)["audio_values"] - clean for s in (1.0, 2.0)
    )
    torch.testing.assert_close(2 * one, two)


@pytest.mark.parametrize(
    ("stream", "strength", "message"),
    [
        ("text", 1.0, "stream: expected 'audio' or 'visual', got 'text'"),
        ("audio", -1.0, "strength: expected a finite"),
    ],
)
def test_other_noise_is_refused(processor, stream, strength, message):
    with pytest.raises(ValueError, match=message):
        NoisyProcessor(processor, stream, strength)


def test_without_noise_no_error_rises_and_with_noise_one_does(processor, rows):
    models = [(tiny_agfn(seed=seed), processor) for seed in (0, 1)]
    none, much = noise_rise(models, rows, "visual", [0.0, 50.0])
    assert none.rise.difference == none.rise.low == none.rise.high == 0
    assert much.rise.difference != 0
    assert much.rise.low <= much.rise.difference <= much.rise.high
    assert much.to_dict()["strength"] == 50.0


class Doubter(torch.nn.Module):
    """Trusts a stream the less the louder it is."""

    device = torch.device("cpu")

    def explain(self, audio_values, visual_values, visual_attention_mask, **batch):
        loudness = (visual_values**2).mean(dim=(1, 2))
        share = 1 / (1 + loudness)
        shares = torch.stack([1 - share, torch.zeros_like(share), share], dim=1)
        return type("Explanation", (), {"stream_shares": shares})


def test_a_model_that_doubts_noise_has_a_negative_rank_correlation(processor, rows):
    found = gate_response(Doubter(), processor, rows, "visual")
    assert found.strengths == (0.0, 1.0, 2.0, 3.0)
    assert found.rank_correlation < -0.6
    assert list(found.weights) == sorted(found.weights, reverse=True)
    assert found.falling > 0.9


def test_the_gates_of_a_model_answer(processor, rows):
    found = gate_response(tiny_agfn(), processor, rows, "visual", strengths=[3.0])
    assert -1 <= found.rank_correlation <= 1
    assert len(found.weights) == 2


def test_a_stream_that_no_row_has_is_refused(processor, rows):
    without = [row | {"visual": np.zeros((0, 2), np.float32)} for row in rows]
    with pytest.raises(ValueError, match="rows: expected some with visual, got none"):
        gate_response(tiny_agfn(), processor, without, "visual")


def test_rank_correlation_shares_ranks_between_equal_values():
    first, second = np.array([1, 1, 2, 3, 3, 5.0]), np.array([2, 1, 4, 3, 6, 6.0])
    ranks_1, ranks_2 = [1.5, 1.5, 3, 4.5, 4.5, 6], [2, 1, 4, 3, 5.5, 5.5]
    assert spearman(first, second) == pytest.approx(np.corrcoef(ranks_1, ranks_2)[0, 1])
    assert np.isnan(spearman(first, np.ones(6)))
