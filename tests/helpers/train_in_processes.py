"""Train in as many processes as `torchrun` starts, each with a folder of its own; see test_trainer_distributed.py.

torchrun --nproc_per_node 2 train_in_processes.py FOLDER BATCH_SIZE_PER_PROCESS

Every kind of model is trained, one after the other, in a folder of its name.
"""

import os
import sys
from pathlib import Path

import safetensors.torch
import torch
from tiny_corpus import tiny_dataset, weights
from tiny_kinds import KINDS, fixed_directions, trainer_of
from torch import distributed


def train(folder, batch_size, rank, kind):
    """Train two epochs of 128 rows; the order of the rows is one for batches of 32 and for two of 16."""
    trainer = trainer_of(
        kind, folder / str(rank), tiny_dataset(128), per_device_train_batch_size=batch_size, learning_rate=0.1
    )
    with fixed_directions():
        trainer.train()
    predictions = torch.tensor(trainer.predict(trainer.eval_dataset).predictions)
    safetensors.torch.save_file(weights(trainer.model) | {"predictions": predictions}, folder / f"{rank}.safetensors")
    return trainer


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in KINDS:
        train(Path(sys.argv[1]) / each, int(sys.argv[2]), int(os.environ["RANK"]), each)
    distributed.destroy_process_group()
