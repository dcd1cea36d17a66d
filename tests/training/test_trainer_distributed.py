"""Two processes on CPUs train as one, and only the first writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny_kinds import KINDS
from train_in_processes import train

SCRIPT = Path(__file__).parents[1] / "helpers" / "train_in_processes.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder in which two processes trained a model of every kind, in a folder of its name."""
    folder = tmp_path_factory.mktemp("two")
    for kind in KINDS:
        (folder / kind).mkdir()
    places = os.pathsep.join(map(str, (SCRIPT.parent, SCRIPT.parents[2])))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, str(SCRIPT), str(folder), "16"],
        env=os.environ | {"PYTHONPATH": places, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_as_one_with_batches_of_both(kind, trained, tmp_path):
    trainer = train(tmp_path, 32, 0, kind)
    assert (trainer.args.world_size, trainer.state.global_step) == (1, 8)
    expected = safetensors.torch.load_file(tmp_path / "0.safetensors")
    two = trained / kind
    first, second = (safetensors.torch.load_file(two / f"{rank}.safetensors") for rank in range(2))
    for name, value in expected.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, atol=1e-5, rtol=1e-4, msg=name)
    # Each has a folder: in that of the second lies the state of its random numbers, which no other process knows.
    files = {
        rank: {path.relative_to(two / rank).as_posix() for path in (two / rank).rglob("*") if path.is_file()}
        for rank in ("0", "1")
    }
    assert files["1"] == {"checkpoint-4/rng_state_1.pth", "checkpoint-8/rng_state_1.pth"} & files["1"]
    assert {"checkpoint-8/model.safetensors", "checkpoint-8/trainer_state.json"} < files["0"]
