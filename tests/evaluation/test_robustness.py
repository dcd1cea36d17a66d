"""The robustness of a run: what belongs together is measured in the same way, and what cannot be is refused."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_models import tiny_agfn
from tiny_tokenizers import bert

from hf_msa.errors import MsaError
from hf_msa.evaluation import robustness
from hf_msa.evaluation.bootstrap import BootstrapResult
from hf_msa.evaluation.probes.gates import GateResponse
from hf_msa.evaluation.probes.noise import NoiseRise
from hf_msa.evaluation.probes.psc import PSC
from hf_msa.evaluation.robustness import Robustness, measure_robustness
from hf_msa.models import AGFNProcessor, MsaFeatureExtractor


@pytest.fixture
def run(monkeypatch):
    """Give a run of two seeds, of which the model may be replaced."""
    processor = AGFNProcessor(MsaFeatureExtractor(audio_dim=3, visual_dim=2), bert(model_max_length=32))
    frames = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    rows = [{"id": str(i), "text": "the movie was good", "visual": f, "label": 0.5} for i, f in enumerate(frames)]
    made = SimpleNamespace(
        name="run",
        seeds=[1, 2],
        runs=[SimpleNamespace(seed=seed, checkpoint=f"seeds/{seed}") for seed in (1, 2)],
        recipe={"streams": ["text", "audio", "visual"]},
        model=tiny_agfn(),
        loaded=[],
    )

    def load(folder):
        made.loaded.append(folder)
        return made.model, processor

    monkeypatch.setattr(robustness, "read_results", lambda _: made)
    monkeypatch.setattr(robustness, "_open_rows", lambda *_: rows)
    monkeypatch.setattr(robustness, "check_dataset", lambda *_: None)
    monkeypatch.setattr(robustness, "load_checkpoint", load)
    monkeypatch.setattr(robustness, "read_config", lambda _: made.model.config)
    # Three rows are too few for t-SNE.
    monkeypatch.setattr(robustness, "psc", lambda states, errors: errors)
    monkeypatch.setattr(robustness, "embed_in_plane", lambda states: states[:, :2])
    return made


def test_the_errors_of_the_space_are_those_whose_mean_is_reported(run):
    """Those of SIMS are between scores clipped to (-1, 1)."""
    run.model = tiny_agfn(label_range=(-1, 1))
    run.model.classifier.output.bias.data.fill_(3.0)
    measured = measure_robustness("run", strengths=[1.0], with_psc=True)
    assert [errors.mean() for errors in measured.spaces] == pytest.approx([measured.error] * 2)
    assert measured.error <= 0.5


def test_a_plot_of_somebody_is_not_drawn_over(run, tmp_path):
    file = tmp_path / "run-2.png"
    file.write_text("mine")
    with pytest.raises(MsaError, match=r"plot: expected a folder without older plots, got .*\.png; move it"):
        measure_robustness("run", strengths=[1.0], plots=tmp_path)
    assert file.read_text() == "mine"


def test_a_plot_is_drawn_for_every_seed(run, tmp_path):
    measured = measure_robustness("run", strengths=[1.0], plots=tmp_path / "new")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["run-1.png", "run-2.png"]
    assert (tmp_path / "new" / "run-1.png").read_bytes().startswith(b"\x89PNG")
    assert len(measured.spaces) == 2


def test_a_seed_is_loaded_once_and_passes_over_the_rows_once_per_strength(run):
    reported = []
    measured = measure_robustness("run", strengths=[1.0, 2.0], with_psc=True, report=reported.append)
    assert run.loaded == ["run/seeds/1", "run/seeds/2"]
    passes = ["noise 0", "noise 1", "noise 2", "feature space"]
    assert [p.task for p in reported] == [f"run, seed {seed}: {what}" for seed in (1, 2) for what in passes]
    assert [gate.strengths for gate in measured.gates] == [(0.0, 1.0, 2.0)] * 2


def test_a_model_without_gates_has_no_gate_response(run):
    run.model = tiny_agfn(gate_variant="concat")
    measured = measure_robustness("run", strengths=[1.0])
    assert (measured.gates, measured.spaces) == ((), ())
    assert [rise.strength for rise in measured.rises] == [1.0]


def test_what_cannot_be_measured_is_refused_before_a_checkpoint_is_loaded(run):
    with pytest.raises(MsaError, match="strength: expected a finite number of 0 or more, got -1"):
        measure_robustness("run", strengths=[-1.0])
    run.recipe["streams"] = ["text", "audio"]
    with pytest.raises(MsaError, match="stream: expected one of the run's, text, audio, got 'visual'"):
        measure_robustness("run")
    run.model = tiny_agfn(num_labels=3)
    with pytest.raises(MsaError, match="psc: expected a run that predicts scores, got one of 3 classes"):
        measure_robustness("run", stream="audio", with_psc=True)
    assert run.loaded == []


# What is shown


def example(**fields):
    rise = NoiseRise("visual", 2.0, 0.85, 0.75, BootstrapResult(0.1, 0.05, 0.15, 0.95, 10000))
    gates = [GateResponse("visual", (0.0, 2.0), (0.5, 0.4), *figures) for figures in ((-0.5, 0.8), (-0.7, 0.9))]
    values = {"name": "both", "split": "test", "stream": "visual", "seeds": (1, 2), "error": 0.75, "rises": (rise,)}
    return Robustness(**values | {"gates": tuple(gates), "spaces": ()} | fields)


def test_it_comes_back_from_json():
    whole = example(spaces=(PSC(0.1, 0.0, 0.2, 0.0, (0, 1)),))
    assert Robustness.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_a_run_is_a_row_and_what_it_lacks_is_a_dash():
    lines = example().to_markdown(example(name="concat", gates=())).splitlines()
    heads = "run | seeds | error | rise at 2 sd | gate response | rows that turn away | PSC | PSC, turned at will"
    assert lines[0] == f"| {heads} |"
    gates = "-0.600 ± 0.100 | 0.850 ± 0.050"
    assert lines[2] == f"| both | 2 | 0.750 | +0.100 (+0.050 to +0.150) | {gates} | - | - |"
    assert lines[3].split(" | ")[4] == "-"


def test_runs_under_other_noise_share_no_table():
    with pytest.raises(MsaError, match="expected the same stream, split and strengths"):
        example().to_markdown(example(stream="audio"))
