"""Two processes on CPUs train as one, and only the first writes."""

import socket

import pytest
import safetensors.torch
import torch
import warm_processes
from tiny_kinds import KINDS
from train_in_processes import train, train_as


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder in which two processes trained a model of every kind, in a folder of its name."""
    folder = tmp_path_factory.mktemp("two")
    for kind in KINDS:
        (folder / kind).mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = []
    for rank in range(2):
        environment = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(warm_processes.start(train_as, rank, folder, 16, KINDS, environment=environment))
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
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
