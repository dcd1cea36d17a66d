"""The rows that MsaTrainer takes and those it refuses, and how their lengths are counted."""

import re

import numpy as np
import pytest
from datasets.features.features import ArrayExtensionArray
from tiny_corpus import tiny_dataset, tiny_model, tiny_processor, tiny_trainer, with_labels
from tiny_models import tiny_deepmlf_av

from hf_msa.data.checks import check_dataset
from hf_msa.data.lengths import LENGTH, add_lengths
from hf_msa.errors import MsaWarning

ALIGNMENTS = ("word", "none")


def lengths(rows, alignment):
    """Count tokens, with the special ones, and frames row by row."""
    counts = [len(row["text"].split()) + 2 for row in rows]
    if alignment == "none":
        counts = [count + len(row["audio"]) + len(row["visual"]) for count, row in zip(counts, rows, strict=True)]
    return counts


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_lengths_count_tokens_and_the_frames_that_keep_their_own_time_axis(alignment):
    dataset = tiny_dataset(30)
    found = add_lengths(dataset, tiny_processor(alignment))
    assert list(found[LENGTH]) == lengths(dataset, alignment)
    assert min(min(len(row["audio"]), len(row["visual"])) for row in dataset) == 0


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize(
    "choose",
    [
        lambda rows: rows.select([7, 3, 4, 3, 29]),
        lambda rows: rows.select(range(9, 20)),
        lambda rows: rows.shuffle(seed=0),
        lambda rows: rows.with_format(None),
    ],
    ids=["some", "a slice", "shuffled", "without a format"],
)
def test_lengths_follow_rows_that_were_chosen(alignment, choose):
    dataset = choose(tiny_dataset(30))
    found = add_lengths(dataset, tiny_processor(alignment))
    assert list(found[LENGTH]) == lengths(dataset, alignment)
    assert list(found["id"]) == list(dataset["id"])


def test_lengths_leave_out_streams_that_the_model_is_not_given():
    dataset, processor = tiny_dataset(10), tiny_processor("none")
    processor.streams = ["text", "visual"]
    expected = [len(row["text"].split()) + 2 + len(row["visual"]) for row in dataset]
    assert list(add_lengths(dataset, processor)[LENGTH]) == expected
    assert list(add_lengths(dataset.remove_columns("audio"), processor)[LENGTH]) == expected


def test_lengths_are_counted_without_decoding_a_frame(monkeypatch):
    def decode(*args, **kwargs):
        raise AssertionError("a frame was decoded")

    dataset = tiny_dataset(30).shuffle(seed=0)
    expected = lengths(dataset, "none")
    monkeypatch.setattr(ArrayExtensionArray, "to_numpy", decode)
    monkeypatch.setattr(ArrayExtensionArray, "to_pylist", decode)
    found = add_lengths(dataset, tiny_processor("none"))
    assert list(found[LENGTH]) == expected
    with pytest.raises(AssertionError, match="a frame was decoded"):
        found[0]


def test_rows_with_lengths_are_the_rows_they_were():
    dataset = tiny_dataset(10)
    found = add_lengths(dataset, tiny_processor("none"))
    for row, expected in zip(found, dataset, strict=True):
        assert row.pop(LENGTH) > 0
        for stream, dim in (("audio", 3), ("visual", 2)):
            array = row.pop(stream)
            assert array.shape[1] == dim
            assert np.array_equal(array, expected.pop(stream))
        assert row == expected


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize(
    ("fields", "change", "message"),
    [
        ({}, lambda rows: rows.select([]), "expected at least one row, got none"),
        ({"audio_dim": 4}, None, "audio: expected config.audio_dim 4 columns per frame, got 3"),
        ({"visual_dim": 5}, None, "visual: expected config.visual_dim 5 columns per frame, got 2"),
        ({}, lambda rows: rows.remove_columns("label"), "expected a column label, got id, speaker, text"),
        (
            {},
            lambda rows: with_labels(rows, [0.5, float("nan")]),
            "expected a score from -3 to 3, got nan in row '0-1'",
        ),
        ({}, lambda rows: with_labels(rows, [0.5, 3.5]), "expected a score from -3 to 3, got 3.5 in row '0-1'"),
        ({}, lambda rows: with_labels(rows, [-3.5, 0.5]), "expected a score from -3 to 3, got -3.5 in row '0-0'"),
        ({}, lambda rows: with_labels(rows, [0.5, None]), "expected a score from -3 to 3, got nan in row '0-1'"),
        ({"label_range": (-1, 1)}, lambda rows: with_labels(rows, [1, 2]), "expected a score from -1 to 1, got 2"),
        (
            {"label_range": None},
            lambda rows: with_labels(rows, [9.0, float("inf")]),
            "expected a finite score, got inf",
        ),
        (
            {"num_labels": 3},
            lambda rows: with_labels(rows, [0, 3]),
            "expected a class from 0 to 2, got 3 in row '0-1'",
        ),
        ({"num_labels": 3}, lambda rows: with_labels(rows, [-1, 0]), "expected a class from 0 to 2, got -1"),
        ({"num_labels": 3}, lambda rows: with_labels(rows, [1.5, 0.0]), "expected a class from 0 to 2, got 1.5"),
        (
            {"num_labels": 3},
            lambda rows: with_labels(rows, ["good", "bad"]),
            "expected a class from 0 to 2, got 'good'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rows_that_would_train_a_wrong_model_are_refused(tmp_path, split, fields, change, message):
    model = tiny_model(**fields)
    good = tiny_dataset(2, **{key: value for key, value in fields.items() if key.endswith("_dim")})
    if model.config.num_labels > 1 or model.config.label_range != (-3, 3):
        good = with_labels(good, [0, 1])
    bad = tiny_dataset(2)
    rows = {"train": good, "valid": good} | {split: bad if change is None else change(bad)}
    with pytest.raises(ValueError, match=f"{'eval' if split == 'valid' else split}_dataset: ") as caught:
        tiny_trainer(tmp_path, model, **rows)
    assert message in str(caught.value)


def test_a_model_without_text_is_given_no_row_without_frames():
    config = tiny_deepmlf_av().config
    check_dataset("train", tiny_dataset(5), config, ("audio", "visual"))
    with pytest.raises(ValueError, match="train: expected audio in every row, got none in row '0-4'"):
        check_dataset("train", tiny_dataset(5), config, ("audio",))


@pytest.mark.parametrize("label", [3.00005, -3.00005])
def test_a_label_that_loading_a_corpus_accepts_is_trained_on(tmp_path, label):
    rows = with_labels(tiny_dataset(2), [0.0, label])
    assert tiny_trainer(tmp_path, train=rows, valid=rows, max_steps=1).train().global_step == 1


def test_a_stream_that_the_model_is_not_given_may_have_any_size(tmp_path):
    processor = tiny_processor()
    processor.streams = ["text", "visual"]
    rows = tiny_dataset(8, audio_dim=9)
    assert tiny_trainer(tmp_path, train=rows, valid=rows, processor=processor, max_steps=1).train().global_step == 1


def test_texts_that_the_tokenizer_does_not_know_are_warned_of_before_the_first_step(tmp_path):
    rows = tiny_dataset(32)
    foreign = rows.remove_columns("text").add_column("text", ["\u6211\u559c\u6b22"] * 20 + rows["text"][20:])
    with pytest.warns(MsaWarning) as warned:
        tiny_trainer(tmp_path, train=foreign)
    (warning,) = warned
    assert re.match(r"train_dataset: text: expected .* knows, got \d\d% of \d+ tokens", str(warning.message))


def test_classes_are_chosen_by_accuracy(tmp_path):
    train, valid = [
        with_labels(rows, [int(np.sign(label)) + 1 for label in rows["label"]])
        for rows in (tiny_dataset(32), tiny_dataset(16, seed=1))
    ]
    trainer = tiny_trainer(tmp_path, tiny_model(num_labels=3), train, valid, num_train_epochs=4, learning_rate=0.05)
    assert (trainer.args.metric_for_best_model, trainer.args.greater_is_better) == ("accuracy", True)
    trainer.train()
    accuracies = [log["eval_accuracy"] for log in trainer.state.log_history if "eval_accuracy" in log]
    assert trainer.state.best_metric == max(accuracies)
    assert trainer.evaluate()["eval_accuracy"] == max(accuracies) > min(accuracies)
