"""A run that was stopped anywhere and goes on ends where one that was not stopped ends, bit for bit."""

import json
import random
import signal

import pytest
import safetensors.torch
import torch
import warm_processes
from tiny_corpus import tiny_dataset, tiny_trainer, weights
from train_to_be_killed import WAYS, Steps, go_on, make_trainer, train_and_die
from transformers import TrainerCallback

from hf_msa.training.run_folder import last_checkpoint

STEPS_PER_EPOCH = 4  # 32 rows in batches of 8


class StoppedError(Exception):
    """Stands for whatever ends a process."""


class StopAt(TrainerCallback):
    """Stops training at a step, or after the checkpoint of one."""

    def __init__(self, step, when="on_step_end"):
        self.step = step
        setattr(self, when, self.stop)

    def stop(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise StoppedError


def assert_bit_equal(found, expected):
    assert found.keys() == expected.keys()
    assert [name for name, value in expected.items() if not torch.equal(found[name], value)] == []


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    steps = Steps()
    trainer = make_trainer(tmp_path_factory.mktemp("whole"), [steps])
    trainer.train()
    # Neither the first nor the last epoch is the best, and training stopped early.
    assert 2 * STEPS_PER_EPOCH < trainer.state.best_global_step < trainer.state.global_step < trainer.state.max_steps
    return steps.digests, trainer.state, weights(trainer.model)


@pytest.mark.parametrize("step", [pytest.param(2, marks=pytest.mark.slow), 13])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, whole_run, step):
    digests, state, expected = whole_run
    with pytest.raises(StoppedError):
        make_trainer(tmp_path, [StopAt(step)]).train()
    checkpoint = last_checkpoint(tmp_path)
    # A step that ends an epoch is stopped at before the epoch is saved.
    saved = (step - 1) // STEPS_PER_EPOCH * STEPS_PER_EPOCH
    assert checkpoint == (str(tmp_path / f"checkpoint-{saved}") if saved else None)
    steps = Steps()
    trainer = make_trainer(tmp_path, [steps])
    trainer.train(resume_from_checkpoint=checkpoint)
    assert steps.digests == {step: digest for step, digest in digests.items() if step > saved}
    assert trainer.state.best_global_step == state.best_global_step
    assert_bit_equal(weights(trainer.model), expected)


def test_batches_of_a_resumed_run_are_those_that_were_to_come(tmp_path):
    order = []

    def note(rows):
        order.extend(row["id"] for row in rows if row["id"].startswith("0-"))  # 1-: to be evaluated on

    def trainer(name, callbacks=()):
        made = tiny_trainer(tmp_path / name, train=tiny_dataset(40), callbacks=callbacks, num_train_epochs=3)
        collate = made.data_collator
        made.data_collator = lambda rows: note(rows) or collate(rows)
        return made

    trainer("whole").train()
    expected = list(order)
    order.clear()
    assert len(set(expected)) == 40
    assert len(expected) == 120
    assert expected[:40] != expected[40:80]
    with pytest.raises(StoppedError):
        trainer("stopped", [StopAt(10, "on_save")]).train()
    assert order == expected[:80]
    order.clear()
    trainer("stopped").train(resume_from_checkpoint=last_checkpoint(tmp_path / "stopped"))
    assert order == expected[80:]


def test_a_resumed_run_remembers_how_long_it_waited_for_a_better_epoch(tmp_path):
    settings = {"learning_rate": 0.0, "num_train_epochs": 12, "early_stopping_patience": 3}
    stop = StopAt(3 * STEPS_PER_EPOCH + 1)
    with pytest.raises(StoppedError):
        tiny_trainer(tmp_path, callbacks=[stop], **settings).train()
    trainer = tiny_trainer(tmp_path, **settings)
    trainer.train(resume_from_checkpoint=last_checkpoint(tmp_path))
    assert trainer.state.epoch == 4


def test_the_state_is_what_a_checkpoint_is_finished_with(tmp_path):
    make_trainer(tmp_path, num_train_epochs=1).train()
    for folder in tmp_path.glob("checkpoint-*"):
        times = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
        assert times["trainer_state.json"] == max(times.values())
        assert {"optimizer.pt", "scheduler.pt", "rng_state.pth", "adapter_model.safetensors"} < times.keys()


@pytest.mark.parametrize("content", [None, "", '{"epoch": 2.0, "glob'])
def test_half_a_checkpoint_is_passed_over(tmp_path, content):
    for step, state in ((4, "{}"), (12, "{}"), (100, content)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-12")


def test_there_is_no_last_checkpoint_where_nothing_was_saved(tmp_path):
    assert last_checkpoint(tmp_path) is None
    assert last_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, whole_run, way):
    digests, _, expected = whole_run
    at = random.Random(0).randrange(2 * STEPS_PER_EPOCH + 1, len(digests))
    assert warm_processes.run(train_and_die, tmp_path, way, at) == -signal.SIGKILL
    saved = (at - 1) // STEPS_PER_EPOCH * STEPS_PER_EPOCH
    if way != "step":  # amid the second checkpoint
        assert {path.name for path in (tmp_path / "training").glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-8"}
        saved = STEPS_PER_EPOCH
    assert warm_processes.run(go_on, tmp_path) == 0
    assert {int(step): digest for step, digest in json.loads((tmp_path / "digests.json").read_text()).items()} == {
        step: digest for step, digest in digests.items() if step > saved
    }
    assert_bit_equal(safetensors.torch.load_file(tmp_path / "weights.safetensors"), expected)
