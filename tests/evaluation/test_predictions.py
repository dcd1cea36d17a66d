"""Predictions: in the rows' order, the same in every batch, and the same again from their file."""

import math
from dataclasses import replace
from types import SimpleNamespace

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny_run import write_text_model

from hf_msa import PGFNetForSequenceClassification, PGFNetProcessor
from hf_msa.evaluation import mosi_metrics, sims_metrics
from hf_msa.evaluation.predictions import (
    Predictions,
    predict_rows,
    read_predictions,
    score_predictions,
    write_predictions,
)


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return write_text_model(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def processor(text_model):
    return PGFNetProcessor.from_text_pretrained(text_model, alignment="none", audio_dim=3, visual_dim=2)


def make_model(text_model, **fields):
    torch.manual_seed(0)
    sizes = {"audio_dim": 3, "visual_dim": 2, "adapter_bottleneck": 4, "gate_rank": 2, "classifier_hidden_size": 8}
    return PGFNetForSequenceClassification.from_text_pretrained(text_model, **sizes | fields).eval()


@pytest.fixture(scope="module")
def model(text_model):
    return make_model(text_model)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    texts = ["good " * (1 + 7 * i % 11) + "movie" for i in range(10)] + [None]
    return [
        {
            "id": f"clip{i}",
            "text": text,
            "audio": rng.normal(size=(2 + i % 3, 3)).astype(np.float32),
            "visual": rng.normal(size=(i % 4, 2)).astype(np.float32),
            "label": (i - 5) / 2,
        }
        for i, text in enumerate(texts)
    ]


def found(split="test", seed=1, scores=(0.5, -1.25), labels=(1.0, -2.0), ids=("a", "b")):
    return seed, split, Predictions(list(ids), np.asarray(labels), np.asarray(scores, dtype=np.float32))


def assert_equal(left, right):
    assert left.ids == right.ids
    np.testing.assert_array_equal(left.labels, right.labels)
    np.testing.assert_array_equal(left.scores, right.scores)
    assert left.scores.dtype == right.scores.dtype == np.float32


def test_predictions_come_in_the_order_of_the_rows(model, processor, rows):
    predictions = predict_rows(model, processor, rows, batch_size=4)
    assert predictions.ids == [row["id"] for row in rows]
    assert predictions.labels.tolist() == [row["label"] for row in rows]
    for i, row in enumerate(rows):
        alone = predict_rows(model, processor, [row])
        np.testing.assert_allclose(predictions.scores[i], alone.scores[0], atol=1e-6)
    assert len(set(predictions.scores.round(4))) > 5
    backwards = predict_rows(model, processor, rows[::-1], batch_size=4)
    np.testing.assert_allclose(backwards.scores[::-1], predictions.scores, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_the_size_of_a_batch_changes_no_score(model, processor, rows, batch_size):
    expected = predict_rows(model, processor, rows).scores
    scores = predict_rows(model, processor, rows, batch_size=batch_size).scores
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


def test_a_dataset_is_predicted_as_a_list_of_its_rows(model, processor, rows):
    plain = [{key: row[key] for key in ("id", "text", "label")} for row in rows[:5]]
    expected = predict_rows(model, processor, plain)
    assert_equal(predict_rows(model, processor, datasets.Dataset.from_list(plain)), expected)
    assert_equal(predict_rows(model, processor, datasets.Dataset.from_list(plain).with_format("numpy")), expected)


def test_a_dataset_without_texts_is_predicted_too(model, processor, rows):
    kept = [{"audio": row["audio"].tolist(), "label": row["label"]} for row in rows[:3]]
    expected = predict_rows(model, processor, kept)
    assert expected.ids == ["0", "1", "2"]
    assert_equal(predict_rows(model, processor, datasets.Dataset.from_list(kept)), expected)


def test_dropout_is_off_while_predicting_and_back_on_afterwards(model, processor, rows):
    expected = predict_rows(model, processor, rows)
    model.train()
    try:
        assert_equal(predict_rows(model, processor, rows), expected)
        assert model.training
        with pytest.raises(ValueError, match="audio"):
            predict_rows(model, processor, [{"audio": np.zeros((2, 9)), "label": 1.0}])
        assert model.training
    finally:
        model.eval()


def test_progress_counts_the_rows(model, processor, rows):
    steps = []
    predict_rows(model, processor, rows, batch_size=4, report=steps.append, task="valid")
    assert [(step.task, step.done, step.total) for step in steps] == [
        ("valid", 4, 11),
        ("valid", 8, 11),
        ("valid", 11, 11),
    ]


def test_a_classifier_gives_logits_and_counts_its_errors(text_model, processor, rows):
    classifier = make_model(text_model, num_labels=3)
    predictions = predict_rows(classifier, processor, [row | {"label": i % 3} for i, row in enumerate(rows)])
    assert predictions.scores.shape == (len(rows), 3)
    wrong = predictions.scores.argmax(axis=1) != np.arange(len(rows)) % 3
    np.testing.assert_array_equal(predictions.errors(), wrong.astype(float))
    metrics = score_predictions(predictions, classifier.config)
    assert metrics["accuracy"] == pytest.approx(1 - wrong.mean())


def test_errors_are_absolute(rows):
    _, _, predictions = found()
    np.testing.assert_array_equal(predictions.errors(), [0.5, 0.75])


def test_the_metrics_are_those_of_the_label_range():
    _, _, predictions = found(scores=(0.2, -0.9), labels=(0.4, -1.0))
    metrics = score_predictions(predictions, SimpleNamespace(label_range=(-3, 3), num_labels=1))
    assert metrics == mosi_metrics(predictions.scores, predictions.labels)
    metrics = score_predictions(predictions, SimpleNamespace(label_range=(-1, 1), num_labels=1))
    assert metrics == sims_metrics(predictions.scores, predictions.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": None}, "rows: expected a label in every row, got none"),
        ({"label": math.nan}, "label: expected a finite number, got nan in row 'clip0'"),
        ({"text": None, "audio": None, "visual": None}, "expected text, audio or visual in every row"),
        ({"audio": np.zeros((3, 5))}, r"audio\[0\]: expected shape \(frames, 3\), got \(3, 5\)"),
    ],
)
def test_rows_that_cannot_be_predicted_are_refused(model, processor, rows, change, message):
    with pytest.raises(ValueError, match=message):
        predict_rows(model, processor, [rows[0] | change])


def test_no_rows_and_no_batches_are_refused(model, processor, rows):
    with pytest.raises(ValueError, match="rows: expected at least one, got none"):
        predict_rows(model, processor, [])
    for batch_size in (0, -1):
        with pytest.raises(ValueError, match=f"batch_size: expected at least 1, got {batch_size}"):
            predict_rows(model, processor, rows, batch_size=batch_size)


# The file


def test_scores_come_back_from_their_file_to_the_last_bit(tmp_path):
    scores = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    labels = np.float32([0.1, -2 / 3])  # as a corpus stores them
    written = [found("test", 7, scores[0], labels), found("valid", 7, scores[1]), found("test", 5, scores[2], labels)]
    write_predictions(written, tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet", "test")
    assert list(read) == [7, 5]
    assert_equal(read[7], written[0][2])
    assert_equal(read[5], written[2][2])
    assert_equal(read_predictions(tmp_path / "p.parquet", "valid")[7], written[1][2])


def test_logits_come_back_from_their_file_to_the_last_bit(tmp_path):
    logits = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    _, _, predictions = written = found(scores=logits, labels=(2, 0))
    write_predictions([written], tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet", "test")[1]
    assert_equal(read, predictions)
    np.testing.assert_array_equal(read.errors(), predictions.errors())


def test_speakers_come_back_and_an_older_file_has_none(tmp_path, model, processor, rows):
    named = predict_rows(model, processor, [row | {"speaker": f"video{i % 2}"} for i, row in enumerate(rows)])
    assert named.speakers == [f"video{i % 2}" for i in range(len(rows))]
    assert predict_rows(model, processor, [rows[0] | {"speaker": "video"}, rows[1]]).speakers is None
    write_predictions([(1, "test", named), (2, "test", replace(named, speakers=None))], tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet", "test")
    assert (read[1].speakers, read[2].speakers) == (named.speakers, None)
    pq.write_table(pa.table(table()), tmp_path / "older.parquet")
    assert read_predictions(tmp_path / "older.parquet", "test")[1].speakers is None


def test_a_split_that_was_not_predicted_is_named(tmp_path):
    write_predictions([found()], tmp_path / "p.parquet")
    with pytest.raises(ValueError, match=r"p\.parquet: expected the predictions of the tests split, got none"):
        read_predictions(tmp_path / "p.parquet", "tests")
    with pytest.raises(ValueError, match=r"q\.parquet: expected the predictions of the test split, got none"):
        read_predictions(tmp_path / "q.parquet", "test")


def table(**columns):
    whole = {"seed": [1, 1], "split": ["test"] * 2, "id": ["a", "b"], "label": [1.0, 2.0], "prediction": [0.5, 0.25]}
    return {key: value for key, value in (whole | columns).items() if value is not None}


@pytest.mark.parametrize(
    "columns",
    [
        {"split": None},
        {"seed": None},
        {"prediction": None},
        {"label": ["good", "bad"]},
        {"prediction": [[0.5], [0.5, 0.25]]},
        {"prediction": ["much", "little"]},
    ],
)
def test_a_table_of_something_else_is_named(tmp_path, columns):
    pq.write_table(pa.table(table(**columns)), tmp_path / "p.parquet")
    with pytest.raises(ValueError, match=r"p\.parquet: expected predictions as hf-msa train writes them"):
        read_predictions(tmp_path / "p.parquet", "test")


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"", lambda data: b"not at all" * 9])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "p.parquet"
    write_predictions([found()], path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"p\.parquet: expected predictions as hf-msa train writes them"):
        read_predictions(path, "test")
