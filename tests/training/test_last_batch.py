"""With batch norm a last batch of one row joins the one before it."""

import pytest
from tiny_corpus import tiny_dataset, tiny_trainer, weights
from tiny_kinds import model_of, processor_of, trainer_of
from torch.utils.data import SequentialSampler

from hf_msa.training.last_batch import JoiningBatchSampler


@pytest.mark.parametrize(("rows", "sizes"), [(9, [4, 5]), (8, [4, 4]), (10, [4, 4, 2]), (5, [5]), (4, [4]), (1, [1])])
def test_only_a_last_batch_of_one_joins(rows, sizes):
    batches = JoiningBatchSampler(SequentialSampler(range(rows)), 4, drop_last=False)
    assert [len(batch) for batch in batches] == sizes
    assert len(batches) == len(sizes)
    assert [row for batch in batches for row in batch] == list(range(rows))


def batch_sizes(trainer):
    return [len(batch["labels"]) for batch in trainer.get_train_dataloader()]


@pytest.mark.parametrize("order", ["group_by_length", "random"])
def test_a_model_with_batch_norm_never_sees_one_row_alone(order, tmp_path):
    settings = {"train": tiny_dataset(17), "processor": processor_of("deepmlf"), "train_sampling_strategy": order}
    with_norm = tiny_trainer(tmp_path, model_of("deepmlf", head_norm="batch"), **settings)
    assert batch_sizes(with_norm) == [8, 9]
    in_the_encoder = tiny_trainer(tmp_path, model_of("deepmlf", visual_batch_norm=True), **settings)
    assert batch_sizes(in_the_encoder) == [8, 9]
    without = tiny_trainer(tmp_path, model_of("deepmlf"), **settings)
    assert batch_sizes(without) == [8, 8, 1]
    dropping = tiny_trainer(tmp_path, model_of("deepmlf", head_norm="batch"), **settings, dataloader_drop_last=True)
    assert batch_sizes(dropping) == [8, 8]


def test_every_row_is_seen_once_in_an_epoch_and_steps_are_counted_right(tmp_path):
    """17 rows in batches of 4 are 4 batches, two optimizer steps an epoch."""
    trainer = tiny_trainer(
        tmp_path,
        model_of("deepmlf", head_norm="batch"),
        tiny_dataset(17),
        processor=processor_of("deepmlf"),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
    )
    labels = [label for batch in trainer.get_train_dataloader() for label in batch["labels"].tolist()]
    assert sorted(labels) == pytest.approx(sorted(trainer.train_dataset["label"]))
    trainer.train()
    assert (trainer.state.global_step, trainer.state.epoch) == (4, 2)
    assert trainer.model.classifier.norm.num_batches_tracked == 8


def test_resuming_with_a_joined_batch_gives_the_same_weights(tmp_path):
    def trained(name, resume=None):
        trainer = trainer_of(
            "deepmlf", tmp_path / name, tiny_dataset(17), model={"head_norm": "batch"}, save_total_limit=None
        )
        trainer.train(resume_from_checkpoint=resume)
        return weights(trainer.model)

    whole = trained("whole")
    resumed = trained("resumed", str(tmp_path / "whole" / "checkpoint-2"))
    assert all((resumed[name] == value).all() for name, value in whole.items())
