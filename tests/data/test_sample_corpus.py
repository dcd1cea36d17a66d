from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from datasets import DatasetDict

from hf_msa.data import sample_corpus
from hf_msa.data.lengths import num_frames
from hf_msa.data.sample_corpus import (
    AUDIO_COLUMNS,
    AUDIO_FEATURES,
    VISUAL_COLUMNS,
    VISUAL_FEATURES,
    load_sample_corpus,
)
from hf_msa.data.sample_corpus.generate import generate_corpus, write_corpus
from hf_msa.models.streams_msa import FRAME_STREAMS

FOLDER = Path(sample_corpus.__file__).parent
SPLITS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def corpus() -> DatasetDict:
    return load_sample_corpus()


@pytest.fixture(scope="module")
def generated() -> DatasetDict:
    return generate_corpus()


@pytest.fixture(scope="module")
def rows(corpus) -> list[dict]:
    return [row for split in SPLITS for row in corpus[split]]


def test_the_splits_have_their_sizes(corpus):
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 320, "valid": 60, "test": 100}


def test_the_files_stay_under_two_megabytes():
    files = sorted(FOLDER.glob("*.parquet"))
    assert [file.stem for file in files] == sorted(SPLITS)
    assert sum(file.stat().st_size for file in files) < 2_000_000


def test_ids_are_unique_and_name_their_speaker(rows):
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["id"].split("$_$")[0] == row["speaker"] for row in rows)


@pytest.mark.parametrize("column", ["speaker", "text"])
def test_the_splits_share_no_speaker_and_no_text(corpus, column):
    train, valid, test = (set(corpus[split][column]) for split in SPLITS)
    assert not train & valid
    assert not train & test
    assert not valid & test


def test_test_texts_hold_words_that_train_never_uses(corpus):
    known = {word for text in corpus["train"]["text"] for word in text.split()}
    assert len({word for text in corpus["test"]["text"] for word in text.split()} - known) > 30


def test_words_join_to_a_lower_case_text_without_punctuation(rows):
    for row in rows:
        assert " ".join(word["word"] for word in row["words"]) == row["text"]
        assert row["text"].replace("'", "").replace(" ", "").isalpha()
        assert row["text"].islower()
        assert 4 <= len(row["words"]) <= 16


def test_words_follow_each_other_within_the_streams(rows):
    for row in rows:
        clock = 0.0
        for word in row["words"]:
            assert clock <= word["start"] < word["end"]
            clock = word["end"]
        for name in ("audio", "visual"):
            assert len(row[name]) == 0 or clock <= len(row[name]) / row[f"{name}_rate"] <= 5.0


def test_streams_are_finite_and_as_wide_as_their_columns(rows):
    for row in rows:
        for name, columns in (("audio", AUDIO_COLUMNS), ("visual", VISUAL_COLUMNS)):
            assert row[name].shape[1] == len(columns)
            assert row[name].dtype == np.float32
            assert np.isfinite(row[name]).all()


def test_missing_streams_are_empty_arrays_that_keep_their_width(rows):
    no_audio = [row["audio"].shape for row in rows if len(row["audio"]) == 0]
    no_visual = [row["visual"].shape for row in rows if len(row["visual"]) == 0]
    assert no_audio == [(0, 25)] * 26
    assert no_visual == [(0, 17)] * 48
    assert sum(len(row["audio"]) == len(row["visual"]) == 0 for row in rows) == 10


def test_no_stream_is_null_in_the_files(corpus):
    for split in SPLITS:
        for column in ("audio", "visual", "words"):
            assert corpus[split].data.column(column).null_count == 0


def test_labels_lie_in_range_and_in_fifths(rows):
    labels = np.array([row["label"] for row in rows])
    assert labels.min() == -3
    assert labels.max() == 3
    np.testing.assert_allclose(labels * 5, np.round(labels * 5), atol=1e-5)


def test_the_feature_metadata_fits_the_rows(rows):
    for name, features in (("audio", AUDIO_FEATURES), ("visual", VISUAL_FEATURES)):
        assert set(features) == {"name", "version", "columns", "rate"}
        assert len(set(features["columns"])) == rows[0][name].shape[1]
        assert {row[f"{name}_rate"] for row in rows} == {features["rate"]}


def test_streams_say_something_about_the_label_that_is_not_noise(corpus):
    rows = [row for row in corpus["train"] if len(row["audio"]) and len(row["visual"])]
    labels = [row["label"] for row in rows]
    smile = [row["visual"][:, VISUAL_COLUMNS.index("au12_lip_corner_puller")].mean() for row in rows]
    brow = [row["visual"][:, VISUAL_COLUMNS.index("au04_brow_lowerer")].mean() for row in rows]
    loudness = [row["audio"][:, AUDIO_COLUMNS.index("loudness")].mean() for row in rows]
    assert np.corrcoef(smile, labels)[0, 1] > 0.25
    assert np.corrcoef(brow, labels)[0, 1] < -0.25
    assert np.corrcoef(loudness, labels)[0, 1] > 0.25


def test_the_generator_reproduces_the_files(generated, corpus):
    for split in SPLITS:
        ours, theirs = generated[split], corpus[split]
        assert ours.features == theirs.features
        exact = [name for name in ours.column_names if name not in FRAME_STREAMS]
        assert ours.with_format(None).select_columns(exact)[:] == theirs.with_format(None).select_columns(exact)[:]
        for stream in FRAME_STREAMS:  # another machine may round the last digit the other way
            assert num_frames(ours, stream) == num_frames(theirs, stream)
            np.testing.assert_allclose(values(ours, stream), values(theirs, stream), rtol=2e-3, atol=1e-4)


def values(dataset, stream):
    """Return all numbers of a stream in a row, without taking it apart into utterances."""
    return pc.list_flatten(pc.list_flatten(dataset.data.column(stream).combine_chunks().storage)).to_numpy()


def test_a_second_run_writes_identical_bytes(generated, tmp_path, monkeypatch):
    write_corpus(tmp_path / "second")
    monkeypatch.setattr("hf_msa.data.sample_corpus.generate.generate_corpus", lambda: generated)
    write_corpus(tmp_path / "first")
    for split in SPLITS:
        first, second = (tmp_path / name / f"{split}.parquet" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_loading_writes_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    before = sorted(FOLDER.iterdir())
    load_sample_corpus()
    assert sorted(FOLDER.iterdir()) == before
    assert not list(tmp_path.iterdir())
