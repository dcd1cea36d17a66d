"""Train with LoRA and dropout in a process that dies, and in another that goes on where it died; see test_resume.py.

FOLDER/training/ is what both work in: the first dies after a step, or amid a part of its second checkpoint.
"""

import json
import os
import signal
from hashlib import sha256
from pathlib import Path

import safetensors.torch
from tiny_corpus import tiny_model, tiny_trainer, weights
from transformers import TrainerCallback, TrainerState

from hf_msa.training import MsaTrainer, add_lora
from hf_msa.training.run_folder import last_checkpoint

WAYS = ("step", "weights", "state")
SETTINGS = {"num_train_epochs": 9, "early_stopping_patience": 2, "learning_rates": {"classifier": 0.02}}


class Steps(TrainerCallback):
    """Keeps a digest of all weights after every step."""

    def __init__(self):
        self.digests = {}

    def on_step_end(self, args, state, control, model=None, **kwargs):
        digest = sha256(b"".join(value.numpy().tobytes() for value in weights(model).values())).hexdigest()
        self.digests[state.global_step] = digest


class DieAt(TrainerCallback):
    """Dies after a step."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def die_while_saving(part):
    """Replace what writes a part of a checkpoint by what dies in the middle of it, the second time."""
    owner, name, file = {
        "state": (TrainerState, "save_to_json", None),
        "weights": (MsaTrainer, "_save", "adapter_config.json"),
    }[part]
    write, calls = getattr(owner, name), []

    def write_or_die(self, path, *args, **kwargs):
        calls.append(path)
        if len(calls) == 2:
            place = Path(path) / file if file else Path(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text('{"epoch": 2.0, "glob')
            os.kill(os.getpid(), signal.SIGKILL)
        return write(self, path, *args, **kwargs)

    setattr(owner, name, write_or_die)


def make_trainer(folder, callbacks=(), **changes):
    """Return the trainer of a run with dropout everywhere."""
    model = add_lora(tiny_model(dropout=0.2), r=2)
    return tiny_trainer(folder, model, callbacks=callbacks, **SETTINGS | changes)


def train_and_die(folder, way, step):
    """Train until the end that the way means."""
    if way != "step":
        die_while_saving(way)
    make_trainer(folder / "training", [DieAt(step)] if way == "step" else []).train()


def go_on(folder):
    """Train to the end and write what came of it."""
    steps = Steps()
    trainer = make_trainer(folder / "training", [steps])
    trainer.train(resume_from_checkpoint=last_checkpoint(folder / "training"))
    safetensors.torch.save_file(weights(trainer.model), folder / "weights.safetensors")
    (folder / "digests.json").write_text(json.dumps(steps.digests))
