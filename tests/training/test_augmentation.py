"""Augmentation: training alone sees it, and it does what its two numbers say."""

import numpy as np
import pytest
import torch
from tiny_corpus import tiny_arguments, tiny_dataset, tiny_processor, tiny_trainer

from hf_msa.training.augmentation import AugmentingCollator


@pytest.fixture
def rows():
    """Many rows that hold every stream."""
    return [row for row in tiny_dataset(250) if len(row["audio"]) and len(row["visual"])]


def test_streams_are_dropped_as_often_as_asked_each_by_its_own_draw(rows):
    torch.manual_seed(0)
    batch = AugmentingCollator(tiny_processor().collate, stream_dropout=0.3, feature_noise=0.0)(rows)
    has_audio, has_visual = (batch[f"{stream}_attention_mask"].any(dim=1) for stream in ("audio", "visual"))
    for kept in (has_audio, has_visual):
        assert kept.float().mean().item() == pytest.approx(0.7, abs=0.1)
    assert (has_audio & has_visual).float().mean().item() == pytest.approx(0.49, abs=0.1)


def test_a_dropped_stream_is_a_missing_one(rows):
    processor = tiny_processor()
    batch = AugmentingCollator(processor.collate, stream_dropout=1.0, feature_noise=0.0)(rows[:4])
    missing = processor.collate([row | {"audio": None, "visual": np.zeros((0, 2))} for row in rows[:4]])
    assert batch.keys() == missing.keys()
    for name in batch:
        torch.testing.assert_close(batch[name], missing[name], rtol=0, atol=0)


@pytest.mark.parametrize("text", ["", None])
def test_a_row_without_text_keeps_its_streams(rows, text):
    collate = AugmentingCollator(tiny_processor().collate, stream_dropout=1.0, feature_noise=0.0)
    batch = collate([rows[0] | {"text": text}, rows[1]])
    assert batch["audio_attention_mask"].any(dim=1).tolist() == [True, False]


def test_noise_is_one_offset_per_row_and_column_and_leaves_padding_alone(rows):
    processor = tiny_processor()
    torch.manual_seed(0)
    noisy = AugmentingCollator(processor.collate, stream_dropout=0.0, feature_noise=0.5)(rows)
    clean = processor.collate(rows)
    offsets = []
    for stream in ("audio", "visual"):
        real = clean[f"{stream}_attention_mask"].bool()
        difference = noisy[f"{stream}_values"] - clean[f"{stream}_values"]
        assert not difference[~real].any()
        for row, mask in zip(difference, real, strict=True):
            torch.testing.assert_close(row[mask], row[mask][:1].expand_as(row[mask]), rtol=0, atol=1e-5)
            offsets.append(row[mask][0])
    assert torch.cat(offsets).std().item() == pytest.approx(0.5, abs=0.05)


def test_the_seed_decides_what_is_dropped(rows):
    collate = AugmentingCollator(tiny_processor().collate, stream_dropout=0.5, feature_noise=0.5)
    batches = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        batches.append(collate(rows[:16])["audio_values"])
    assert torch.equal(batches[0], batches[1])
    assert batches[0].shape != batches[2].shape or not torch.equal(batches[0], batches[2])


def test_only_the_batches_of_training_are_augmented(tmp_path):
    trainer = tiny_trainer(tmp_path, stream_dropout=1.0, feature_noise=1.0)
    assert not any(batch["audio_attention_mask"].any() for batch in trainer.get_train_dataloader())
    plain = tiny_trainer(tmp_path)
    for found, expected in zip(trainer.get_eval_dataloader(), plain.get_eval_dataloader(), strict=True):
        torch.testing.assert_close(dict(found), dict(expected), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "value"), [("stream_dropout", 1.5), ("stream_dropout", -0.1), ("feature_noise", -1.0)]
)
def test_a_value_out_of_range_is_refused_by_name(tmp_path, name, value):
    with pytest.raises(ValueError, match=rf"{name}: expected .*, got {value}"):
        tiny_arguments(tmp_path, **{name: value})
