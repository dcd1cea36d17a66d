"""Train in one process or as one of several, each with a folder of its own; see test_trainer_distributed.py."""

import safetensors.torch
import torch
from tiny_corpus import tiny_dataset, weights
from tiny_kinds import fixed_directions, trainer_of
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


def train_as(rank, folder, batch_size, kinds):
    """Train every kind, one after the other, in a folder of its name, as the process that the environment says."""
    for kind in kinds:
        train(folder / kind, batch_size, rank, kind)
    distributed.destroy_process_group()
