"""The examples, run as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*arguments, cwd):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_train_then_predict_with_plain_transformers(tmp_path):
    trained = run(ROOT / "examples/2_train.py", tmp_path / "trained", 0.1, cwd=tmp_path)
    assert "test_mae" in trained
    predicted = run(ROOT / "examples/1_predict.py", tmp_path / "trained", cwd=tmp_path)
    assert predicted.count("shares:") == 2


def test_every_example_and_upload_script_is_short_enough_to_read_at_once():
    for path in [*(ROOT / "examples").glob("*.py"), *(ROOT / "upload_scripts").glob("*.py")]:
        assert len(path.read_text().splitlines()) <= 60, path
        compile(path.read_text(), str(path), "exec")


def test_every_file_named_for_those_who_add_a_model_is_there():
    guide = (ROOT / "examples" / "ADD_A_MODEL.md").read_text()
    for name in re.findall(r"`((?:hf_msa|tests|upload_scripts|modeling_cards|examples)/?[\w./]*)`", guide):
        assert (ROOT / re.sub(r"(?<=[/_])x(?=[_.])", "late_fusion", name)).exists(), name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", guide):
        assert (ROOT / "examples" / target).exists(), target
