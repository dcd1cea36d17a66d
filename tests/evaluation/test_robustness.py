"""The robustness of a run: what belongs together is measured in the same way."""

import numpy as np
import pytest
from tiny_models import tiny_agfn
from tiny_tokenizers import bert

from hf_msa.evaluation import robustness
from hf_msa.models import AGFNProcessor, MsaFeatureExtractor


def test_the_errors_of_the_space_are_those_whose_mean_is_reported(monkeypatch):
    """Those of SIMS are between scores clipped to (-1, 1)."""
    model = tiny_agfn(label_range=(-1, 1))
    processor = AGFNProcessor(MsaFeatureExtractor(audio_dim=3, visual_dim=2), bert(model_max_length=32))
    model.classifier.output.bias.data.fill_(3.0)
    frames = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    rows = [
        {"id": str(i), "text": "the movie was good", "visual": visual, "label": 0.5} for i, visual in enumerate(frames)
    ]
    run = type("Results", (), {"name": "run", "seeds": [1], "runs": [type("Run", (), {"checkpoint": "."})]})
    measured = []
    monkeypatch.setattr(robustness, "read_results", lambda _: run)
    monkeypatch.setattr(robustness, "load_checkpoint", lambda _: (model, processor))
    monkeypatch.setattr(robustness, "psc", lambda states, errors: measured.append(errors))
    found = robustness.measure_robustness("run", rows, strengths=[1.0], with_psc=True)
    assert measured[0].mean() == pytest.approx(found.error)


def test_a_plot_is_drawn_for_every_seed(monkeypatch, tmp_path):
    model = tiny_agfn()
    processor = AGFNProcessor(MsaFeatureExtractor(audio_dim=3, visual_dim=2), bert(model_max_length=32))
    frames = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    rows = [{"id": str(i), "text": "the movie was good", "visual": f, "label": i - 1.0} for i, f in enumerate(frames)]
    runs = [type("Run", (), {"checkpoint": "."})] * 2
    monkeypatch.setattr(
        robustness, "read_results", lambda _: type("Results", (), {"name": "run", "seeds": [1, 2], "runs": runs})
    )
    monkeypatch.setattr(robustness, "load_checkpoint", lambda _: (model, processor))
    monkeypatch.setattr(robustness, "psc", lambda states, errors: errors)
    monkeypatch.setattr(robustness, "embed_in_plane", lambda states: states[:, :2])  # three rows are too few for t-SNE
    found = robustness.measure_robustness("run", rows, strengths=[1.0], plots=tmp_path / "new")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["run-1.png", "run-2.png"]
    assert (tmp_path / "new" / "run-1.png").read_bytes().startswith(b"\x89PNG")
    assert len(found.spaces) == 2
