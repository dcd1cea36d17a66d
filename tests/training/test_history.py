"""Every step's loss and every epoch's metrics are written down as they come, once each, wherever a run was stopped."""

import json
import math

import pytest
from tiny_corpus import tiny_trainer
from transformers import TrainerCallback

from hf_msa.training.history import HistoryCallback
from hf_msa.training.run_folder import last_checkpoint

PER_EPOCH = 4  # 32 rows in batches of 8
EVERY_STEP = {"logging_strategy": "steps", "logging_steps": 1, "num_train_epochs": 3}


class StoppedError(Exception):
    """Stands for whatever ends a process."""


class StopAt(TrainerCallback):
    """Stops training before a step."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise StoppedError


def read(folder):
    return [json.loads(line) for line in (folder / "logs" / "history.jsonl").read_text().splitlines()]


def train(folder, callbacks=(), **settings):
    trainer = tiny_trainer(folder, callbacks=[HistoryCallback(folder / "logs"), *callbacks], **EVERY_STEP | settings)
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    return trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return read(folder)


def test_there_is_a_line_for_every_step_and_every_evaluation(whole):
    steps = [line for line in whole if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 3 * PER_EPOCH + 1))
    assert all({"loss", "grad_norm", "learning_rate", "epoch"} <= line.keys() for line in steps)
    evaluations = [line for line in whole if "eval_mae" in line]
    assert [line["step"] for line in evaluations] == [PER_EPOCH, 2 * PER_EPOCH, 3 * PER_EPOCH]
    assert all(math.isfinite(line["eval_loss"]) for line in evaluations)


def test_an_interrupted_run_is_written_up_to_its_last_step_and_a_resumed_one_has_no_line_twice(whole, tmp_path):
    with pytest.raises(StoppedError):
        train(tmp_path, [StopAt(PER_EPOCH + 2)])
    stopped = read(tmp_path)
    assert [line["step"] for line in stopped if "loss" in line] == list(range(1, PER_EPOCH + 3))
    with (tmp_path / "logs" / "history.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')  # of a process that was killed while it wrote
    train(tmp_path)
    resumed = read(tmp_path)
    assert [line["step"] for line in resumed] == [line["step"] for line in whole]
    assert [line.get("loss") for line in resumed] == [line.get("loss") for line in whole]


def test_a_loss_that_is_no_number_is_null_and_not_an_average(tmp_path):
    train(tmp_path, learning_rate=1e38, logging_nan_inf_filter=False, eval_strategy="no", save_strategy="no")
    losses = [line["loss"] for line in read(tmp_path) if "loss" in line]
    assert losses[0] is not None
    assert losses[-1] is None
