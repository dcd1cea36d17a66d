"""The examples, run as a user runs them."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import warm_processes

ROOT = Path(__file__).parents[1]


def in_one_process(scripts):
    """Run the scripts one after the other, as the command line would."""
    for name, *arguments in scripts:
        sys.argv = [name, *map(str, arguments)]
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")


@pytest.mark.slow
def test_train_then_predict_with_plain_transformers(tmp_path):
    scripts = [("2_train.py", tmp_path / "trained", 0.1), ("1_predict.py", tmp_path / "trained")]
    code = warm_processes.run(in_one_process, scripts, output=tmp_path / "printed")
    assert code == 0, (tmp_path / "printed.err").read_text()
    printed = (tmp_path / "printed.out").read_text()
    assert "test_mae" in printed
    assert printed.count("shares:") == 2


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
