import errno
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Array2D, Features, disable_progress_bars, enable_progress_bars

from hf_msa.data import CorpusError, convert_corpus, load_corpus, sample_corpus

SIZES = {"train": 70, "valid": 3, "test": 5}  # train: more than one table


@pytest.fixture(autouse=True, scope="module")
def no_bars():
    disable_progress_bars()
    yield
    enable_progress_bars()


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(0)
    content = {}
    for split, size in SIZES.items():
        content[split] = {
            "raw_text": [f"text {i}" for i in range(size)],
            "id": [f"{split}$_${i}" for i in range(size)],
            "audio": rng.standard_normal((size, 9, 3)).astype(np.float32),
            "vision": rng.standard_normal((size, 6, 2)).astype(np.float32),
            "audio_lengths": [i % 10 for i in range(size)],
            "vision_lengths": [6] * size,
            "regression_labels": np.zeros(size, np.float32),
        }
    content["test"]["audio"][1, 0, 0] = -np.inf
    path = tmp_path / "source.pkl"
    path.write_bytes(pickle.dumps(content, 4))
    return path


@pytest.fixture
def folder(source, tmp_path):
    return convert_corpus(source, tmp_path / "converted")


def test_a_converted_corpus_loads_as_the_source_does(source, folder, tmp_path):
    before, after = load_corpus(source), load_corpus(folder, cache_dir=tmp_path / "cache")
    for split, size in SIZES.items():
        assert before[split].features == after[split].features
        assert len(after[split]) == size
        for old, new in zip(before[split], after[split], strict=True):
            for stream in ("audio", "visual"):
                np.testing.assert_array_equal(old.pop(stream), found := new.pop(stream))
                assert found.dtype == np.float32
            assert old == new
    assert after["train"][0]["audio"].shape == (0, 3)


def test_a_converted_corpus_is_mapped_not_held_in_memory(folder, tmp_path):
    corpus = load_corpus(folder, cache_dir=tmp_path / "cache")
    for rows in corpus.values():
        assert rows.cache_files
        assert all(Path(file["filename"]).is_relative_to(tmp_path / "cache") for file in rows.cache_files)


def test_a_folder_that_was_written_anew_is_read_anew(source, folder, tmp_path):
    assert load_corpus(folder, cache_dir=tmp_path / "cache")["train"][0]["label"] == 0
    content = pickle.loads(source.read_bytes())
    content["train"]["regression_labels"][0] = 2.5
    source.write_bytes(pickle.dumps(content, 4))
    shutil.rmtree(folder)
    convert_corpus(source, folder)
    assert load_corpus(folder, cache_dir=tmp_path / "cache")["train"][0]["label"] == 2.5


def test_the_folder_says_where_it_comes_from_and_how_much_it_holds(folder):
    manifest = json.loads((folder / "corpus.json").read_text())
    assert manifest["splits"] == SIZES
    assert manifest["label_range"] == [-3, 3]
    assert manifest["source"] == {"format": "MMSA pickle", "aligned": False}


def test_progress_is_told_split_by_split(source, tmp_path):
    calls = []
    convert_corpus(source, tmp_path / "out", calls.append)
    assert [(call.task.split()[-1], call.done, call.total) for call in calls] == [
        ("train", 64, 70),
        ("train", 70, 70),
        ("valid", 3, 3),
        ("test", 5, 5),
    ]


def test_a_folder_that_exists_is_not_touched(source, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").touch()
    with pytest.raises(CorpusError, match="mine: expected a folder that does not exist yet"):
        convert_corpus(source, out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_parquet_is_not_converted_again(folder, tmp_path):
    with pytest.raises(CorpusError, match="got a folder of Parquet already"):
        convert_corpus(folder, tmp_path / "again")


@pytest.mark.parametrize("table", [0, 3])
def test_a_full_disk_leaves_nothing_behind(source, tmp_path, monkeypatch, table):
    write, num_written = pq.ParquetWriter.write_table, iter(range(9))

    def write_until_full(self, *args):
        if next(num_written) == table:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, *args)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", write_until_full)
    with pytest.raises(OSError, match="No space left"):
        convert_corpus(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [source]


def test_a_wrong_row_leaves_nothing_behind(source, tmp_path):
    content = pickle.loads(source.read_bytes())
    content["test"]["regression_labels"][3] = 9
    source.write_bytes(pickle.dumps(content, 4))
    with pytest.raises(CorpusError, match="test: label"):
        convert_corpus(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_folder_that_loads(source, tmp_path):
    script = (
        "import os, signal, sys; from hf_msa.data import convert_corpus\n"
        "stop = lambda step: step.task.endswith('test') and os.kill(os.getpid(), signal.SIGKILL)\n"
        "convert_corpus(sys.argv[1], sys.argv[2], progress=stop)"
    )
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", script, str(source), str(out)], check=False)
    assert done.returncode != 0
    assert not out.exists()
    left = [path for path in tmp_path.iterdir() if path != source]
    assert [path.name.startswith(".out.") for path in left] == [True]
    with pytest.raises(CorpusError):
        load_corpus(left[0])
    convert_corpus(source, out)
    assert load_corpus(out, cache_dir=tmp_path / "cache")["test"].num_rows == SIZES["test"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "valid.parquet").unlink(), "got no valid"),
        (lambda folder: (folder / "valid.parquet").write_bytes(b""), r"valid\.parquet: expected a Parquet file"),
        (lambda folder: cut(folder / "train.parquet"), r"train\.parquet: expected a Parquet file"),
        (lambda folder: shutil.copy(folder / "test.parquet", folder / "valid.parquet"), "valid: expected 3 rows"),
        (lambda folder: (folder / "corpus.json").write_text("{"), r"corpus\.json: expected a JSON object"),
        (lambda folder: (folder / "corpus.json").write_text("[]"), r"corpus\.json: expected a JSON object"),
        (
            lambda folder: drop(folder / "test.parquet", "label"),
            r"test\.parquet: expected the columns .* got no label",
        ),
        (lambda folder: plain(folder / "test.parquet"), r"test\.parquet: audio: expected Array2D"),
        (
            lambda folder: widen(folder / "test.parquet"),
            r"test\.parquet: audio: expected 3 columns per frame as in the files before, got 4",
        ),
        (lambda folder: number(folder / "test.parquet"), r"test\.parquet: text: expected strings, got .*int64"),
        (lambda folder: (folder / "test.parquet").write_bytes(b"version https://git-lfs"), "got a Git LFS pointer"),
        (lambda folder: (folder / "corpus.json").write_bytes(b"version https://git-lfs"), "got a Git LFS pointer"),
        (lambda folder: (folder / "corpus.json").write_text('{"label_range": 3}'), "label_range: expected the lowest"),
    ],
)
def test_a_damaged_folder_is_refused_by_name(folder, damage, message):
    damage(folder)
    with pytest.raises(CorpusError, match=message) as caught:
        load_corpus(folder)
    assert "\n" not in str(caught.value)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def drop(path, column):
    table = pq.read_table(path)
    pq.write_table(table.drop_columns([column]).replace_schema_metadata(None), path)


def plain(path):
    table = pq.read_table(path).drop_columns(["audio"])
    table = table.append_column("audio", [[[[1.0]]] * len(table)])
    pq.write_table(table.replace_schema_metadata(None), path)


def widen(path):
    features = Features.from_arrow_schema(pq.read_schema(path)) | {"audio": Array2D((None, 4), "float32")}
    pq.write_table(pq.read_table(path).cast(Features(features).arrow_schema), path)


def number(path):
    table = pq.read_table(path)
    place = table.column_names.index("text")
    table = table.set_column(place, "text", pa.array(range(len(table))))
    metadata = json.loads(table.schema.metadata[b"huggingface"])
    metadata["info"]["features"]["text"]["dtype"] = "int64"
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(metadata)}), path)


def test_labels_are_checked_again(folder):
    with pytest.raises(CorpusError, match=r"train: label: expected a number in \[1, 2\], got 0"):
        load_corpus(folder, label_range=(1, 2))


def test_files_may_be_sharded_and_come_without_a_manifest(folder, tmp_path):
    (folder / "corpus.json").unlink()
    table = pq.read_table(folder / "train.parquet")
    (folder / "train.parquet").unlink()
    for k in range(2):
        pq.write_table(table.slice(40 * k, 40), folder / f"train-{k:05d}-of-00002.parquet")
    corpus = load_corpus(folder, cache_dir=tmp_path / "cache")
    assert corpus["train"]["id"] == [f"train$_${i}" for i in range(70)]


def test_the_sample_corpus_is_such_a_folder(tmp_path):
    corpus = load_corpus(Path(sample_corpus.__file__).parent, cache_dir=tmp_path / "cache")
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 320, "valid": 60, "test": 100}
    assert corpus["train"][0]["audio"].shape[1] == 25
