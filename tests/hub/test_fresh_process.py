"""A checkpoint loads where neither hf_msa nor peft is installed, with the same logits, or what fails is said."""

import shutil

import pytest
import torch
from tiny_checkpoints import write_checkpoint
from transformers import AutoProcessor

from hf_msa.errors import MsaWarning
from hf_msa.hub.fresh_process_check import load_in_fresh_process, loaded_problems, probe
from hf_msa.models import PGFNetForSequenceClassification
from hf_msa.pretrained.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Return the logits of a checkpoint here, and what one fresh process makes of it and of changed copies."""
    folder = tmp_path_factory.mktemp("fresh")
    good = write_checkpoint(folder / "good")
    model = PGFNetForSequenceClassification.from_pretrained(good).eval()
    columns = probe(model.config, processor := AutoProcessor.from_pretrained(good))
    with torch.no_grad():
        logits = model(**processor(**columns)).logits
    broken = shutil.copytree(good, folder / "broken")
    (broken / "layers_pgf_net.py").write_text("import a_package_that_is_not_there\n")
    changed = shutil.copytree(good, folder / "changed")
    with (changed / "modeling_pgf_net.py").open("a") as code:
        code.write(
            "\n_score = PGFNetForSequenceClassification.score\n"
            "PGFNetForSequenceClassification.score = lambda self, output: _score(self, output) + 1\n"
        )
    with pytest.warns(MsaWarning, match="none that came with the checkpoint"):
        here, _ = load_checkpoint(str(changed), trust_remote_code=True)
    with torch.no_grad():
        assert torch.equal(here(**processor(**columns)).logits, logits)
    needy = shutil.copytree(good, folder / "needy")
    (needy / "errors_msa.py").write_text("from hf_msa.errors import MsaError\n")
    folders = [good, broken, needy, changed]
    outcomes = load_in_fresh_process(folders, columns)
    return logits, {path.name: outcome for path, outcome in zip(folders, outcomes, strict=True)}


def test_a_whole_checkpoint_gives_the_same_logits_elsewhere(loaded):
    logits, outcomes = loaded
    assert loaded_problems(outcomes["good"], logits) == []


def test_changed_code_of_a_checkpoint_runs_where_the_package_is_absent_alone(loaded):
    logits, outcomes = loaded  # here, where it is present, the fixture found its own code to run
    torch.testing.assert_close(torch.tensor(outcomes["changed"]["logits"]), (logits + 1).double(), check_dtype=False)


def test_other_logits_are_found(loaded):
    logits, outcomes = loaded
    (line,) = loaded_problems(outcomes["good"], logits + 0.5)
    assert line == "checkpoint: expected the same logits in a fresh process, got others by 0.5"


@pytest.mark.parametrize(("name", "missing"), [("broken", "a_package_that_is_not_there"), ("needy", "hf_msa")])
def test_code_that_does_not_run_elsewhere_is_found(loaded, name, missing):
    logits, outcomes = loaded
    (line,) = loaded_problems(outcomes[name], logits)
    assert "checkpoint: expected one that loads without hf_msa and peft, got" in line
    assert missing in line


def test_scores_that_are_not_finite_are_found():
    loaded = {"logits": [[1.0]], "scores": [float("nan")]}
    assert "expected finite scores" in loaded_problems(loaded, torch.ones(1, 1))[0]


def test_a_process_that_is_killed_is_a_problem_of_every_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_msa.hub.fresh_process_check._SCRIPT", tmp_path / "is-not-there.py")
    (first, second) = load_in_fresh_process([tmp_path, tmp_path], {})
    assert first == second
    assert "is-not-there.py" in first["error"]
