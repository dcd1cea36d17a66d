"""Train with LoRA and dropout in a folder, going on where an earlier process died; see test_resume.py.

    python train_to_be_killed.py FOLDER [state | weights]

Every step is told on standard output, with a digest of the weights. With a second argument the process kills itself
while it writes that part of its second checkpoint.
"""

import os
import signal
import sys
from hashlib import sha256
from pathlib import Path

import safetensors.torch
import torch
from tiny_corpus import tiny_model, tiny_trainer, weights
from transformers import TrainerCallback, TrainerState

from hf_msa.training import MsaTrainer, add_lora
from hf_msa.training.run_folder import last_checkpoint

SETTINGS = {"num_train_epochs": 9, "early_stopping_patience": 2, "learning_rates": {"classifier": 0.02}}


class Steps(TrainerCallback):
    """Keeps a digest of all weights after every step, and tells it if wanted."""

    def __init__(self, tell=False):
        self.tell, self.digests = tell, {}

    def on_step_end(self, args, state, control, model=None, **kwargs):
        digest = sha256(b"".join(value.numpy().tobytes() for value in weights(model).values())).hexdigest()
        self.digests[state.global_step] = digest
        if self.tell:
            print(f"step {state.global_step} {digest}", flush=True)  # noqa: T201


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


def make_trainer(folder, callbacks=()):
    """Return the trainer of a run with dropout everywhere."""
    model = add_lora(tiny_model(dropout=0.2), r=2)
    return tiny_trainer(folder, model, callbacks=callbacks, **SETTINGS)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    if sys.argv[2:]:
        die_while_saving(sys.argv[2])
    trainer = make_trainer(folder / "training", [Steps(tell=True)])
    trainer.train(resume_from_checkpoint=last_checkpoint(folder / "training"))
    safetensors.torch.save_file(weights(trainer.model), folder / "weights.safetensors")
