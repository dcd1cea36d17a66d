"""Noise goes where it is said, and what it does to the errors is measured."""

import json

import numpy as np
import pytest
import torch
from tiny_models import tiny_agfn
from tiny_tokenizers import bert

from hf_msa.errors import MsaError
from hf_msa.evaluation.predictions import predict_rows
from hf_msa.evaluation.probes.noise import NoiseRise, NoisyProcessor, noise_rises, run_under_noise
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
    passes = [
        run_under_noise(tiny_agfn(seed=seed), processor, rows, stream="visual", strengths=[0.0, 50.0])
        for seed in (0, 1)
    ]
    none, much = noise_rises(passes)
    assert none.rise.difference == none.rise.low == none.rise.high == 0
    assert much.rise.difference != 0
    assert much.rise.low <= much.rise.difference <= much.rise.high
    assert much.error == pytest.approx(much.clean_error + much.rise.difference)
    assert NoiseRise.from_dict(json.loads(json.dumps(much.to_dict()))) == much


def test_the_errors_are_those_of_predictions_in_the_order_of_the_rows(processor, rows):
    model = tiny_agfn()
    passes = run_under_noise(model, processor, rows, stream="audio", strengths=[2.0])
    np.testing.assert_array_equal(passes.errors[0], predict_rows(model, processor, rows).errors((-3, 3)))
    noisy = predict_rows(model, NoisyProcessor(processor, "audio", 2.0), rows).errors((-3, 3))
    np.testing.assert_array_equal(passes.errors[1], noisy)
    assert passes.weights is None


def test_errors_and_weights_come_from_one_pass_per_strength(processor, rows):
    model, reported = tiny_agfn(), []
    passes = run_under_noise(
        model, processor, rows, stream="visual", strengths=[1.0, 3.0], with_weights=True, report=reported.append
    )
    assert [progress.task for progress in reported] == ["noise 0", "noise 1", "noise 3"]
    assert passes.errors.shape == passes.weights.shape == (3, len(rows))
    assert passes.has_stream.tolist() == [i != 3 for i in range(len(rows))]
    plain = run_under_noise(model, processor, rows, stream="visual", strengths=[1.0, 3.0])
    np.testing.assert_allclose(passes.errors, plain.errors, atol=1e-6)
    shares = model.explain(**processor.collate([{key: rows[5][key] for key in ("text", "audio", "visual")}]))
    assert passes.weights[0, 5] == pytest.approx(shares.stream_shares[0, 2].item(), abs=1e-6)


def test_a_stream_that_no_row_has_and_no_strength_are_refused(processor, rows):
    without = [row | {"visual": np.zeros((0, 2), np.float32)} for row in rows]
    with pytest.raises(MsaError, match="rows: expected some with visual, got none"):
        run_under_noise(tiny_agfn(), processor, without, stream="visual")
    with pytest.raises(MsaError, match="strengths: expected at least one, got none"):
        run_under_noise(tiny_agfn(), processor, rows, stream="visual", strengths=[])
