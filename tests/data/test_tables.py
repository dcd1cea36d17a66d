import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_run import corpus_content, write_recipe, write_text_model

from hf_msa.data import CorpusError, convert_corpus, load_corpus
from hf_msa.data.description import describe_dataset, repairs_of
from hf_msa.training.recipe import read_recipe
from hf_msa.training.run import train_recipe

ROWS = [("a good movie", 2.5, "train"), ("NA", -1, "train"), ("so, so", 0, "valid"), ("bad", -3, "test")]
TEXT, LABEL, SPLIT = zip(*ROWS, strict=True)


def csv_of(rows, header):
    quoted = [",".join(f'"{value}"' if "," in str(value) else str(value) for value in row) for row in rows]
    return "\n".join([header, *quoted]) + "\n"


def write_table(path, **columns):
    table = pa.table(columns)
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_one_table_with_a_column_split_is_a_corpus_of_texts(tmp_path, suffix):
    path = tmp_path / f"mine.{suffix}"
    if suffix == "csv":
        path.write_text(csv_of(ROWS, "text,label,split"), encoding="utf-8-sig")
    else:
        write_table(path, text=TEXT, label=pa.array(LABEL, pa.float64()), split=SPLIT)
    corpus = load_corpus(path)
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 2, "valid": 1, "test": 1}
    row = corpus["train"][1]
    assert (row["id"], row["text"], row["label"], row["speaker"], row["words"]) == ("train-1", "NA", -1, None, None)
    assert row["audio"].shape == row["visual"].shape == (0, 0)
    assert describe_dataset(corpus["test"]) == {"source": {"format": "table"}, "repairs": {}}


@pytest.mark.parametrize("name", ["valid", "validation", "val", "dev"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_folder_has_a_table_per_split(tmp_path, name, suffix):
    for number, split in enumerate(["train", name, "test"]):
        path = tmp_path / f"{split}.{suffix}"
        if suffix == "csv":
            path.write_text(csv_of([("good", number)], "text,label"))
        else:
            write_table(path, text=["good"], label=[number])
    corpus = load_corpus(tmp_path)
    assert [corpus[split][0]["label"] for split in ("train", "valid", "test")] == [0, 1, 2]


def test_further_columns_are_left_out_and_named(tmp_path):
    path = tmp_path / "mine.csv"
    rows = [(number, f"r{number}", "ann", "happy", *row) for number, row in enumerate(ROWS)]
    path.write_text(csv_of(rows, ",id,speaker,emotion,text,label,split"))
    corpus = load_corpus(path)
    assert (corpus["test"][0]["id"], corpus["test"][0]["speaker"]) == ("r3", "ann")
    assert "emotion" not in corpus["test"].column_names
    assert describe_dataset(corpus["test"])["source"]["columns_left_out"] == ["emotion"]


def test_a_text_that_is_null_or_empty_is_missing_and_counted(tmp_path):
    path = write_table(tmp_path / "a.parquet", text=[None, "", "a", "b"], label=[0.0] * 4, split=SPLIT)
    corpus = load_corpus(path)
    assert corpus["train"]["text"] == ["", ""]
    assert repairs_of(corpus["train"]) == {"utterances_without_text": 2}


def test_texts_of_bytes_are_decoded_and_counted(tmp_path):
    path = write_table(tmp_path / "a.parquet", text=["é".encode(), b"b", b"c", b"d"], label=[0.0] * 4, split=SPLIT)
    corpus = load_corpus(path)
    assert corpus["train"]["text"] == ["é", "b"]
    assert repairs_of(corpus["train"]) == {"texts_of_bytes": 4}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0.0, float("nan"), 0.0, 0.0]}, "row 1: label: expected a number, got nan"),
        ({"label": [0.0, None, 0.0, 0.0]}, "row 1: label: expected a number, got None"),
        ({"label": [True, False, True, False]}, "row 0: label: expected a number, got True"),
        ({"label": ["a", "b", "c", "d"]}, "row 0: label: expected a number, got 'a'"),
        ({"label": [4.0, 0.0, 0.0, 0.0]}, r"train: label: expected a number in \[-3, 3\], got 4.0 for 'train-0'"),
        ({"text": [1, 2, 3, 4]}, "row 0: text: expected a text, got 1"),
        ({"text": [["a"], ["b"], ["c"], ["d"]]}, r"row 0: text: expected a text, got \['a'\]"),
        ({"text": [b"\xff"] * 4}, "row 0: text: expected a text in UTF-8"),
        ({"split": ["train", "valid", "dev", "test"]}, "row 2: split: expected one name of valid, got 'dev'"),
        ({"split": ["train", "trial", "valid", "test"]}, "row 1: split: expected train, valid or test, got 'trial'"),
        ({"split": ["train", None, "valid", "test"]}, "row 1: split: expected train, valid or test, got None"),
        ({"split": ["train", "train", "valid", "valid"]}, "got no test"),
        ({"id": ["a", "b", "a", "c"]}, "expected every id once, got 'a' in train and valid"),
        ({"id": ["a", None, "b", "c"]}, "id: expected a string in row 1"),
        ({"speaker": None}, "got no split; or give the folder"),
    ],
)
def test_a_wrong_value_is_refused_with_row_and_column(tmp_path, columns, message):
    content = {"text": TEXT, "label": [0.0] * 4, "split": SPLIT} | columns
    if "speaker" in columns:
        del content["split"], content["speaker"]
    with pytest.raises(CorpusError, match=message) as caught:
        load_corpus(write_table(tmp_path / "mine.parquet", **content))
    assert "mine.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_label_of_a_csv_is_refused_with_its_row(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(csv_of([("a", "", "train"), *ROWS], "text,label,split"))
    with pytest.raises(CorpusError, match=r"mine\.csv: row 0: label: expected a number, got ''"):
        load_corpus(path)


def test_two_tables_of_one_split_are_refused(tmp_path):
    for name in ("train", "valid", "dev", "test"):
        (tmp_path / f"{name}.csv").write_text("text,label\na,0\n")
    with pytest.raises(CorpusError, match=r"valid: expected one table of it, got valid\.csv, dev\.csv"):
        load_corpus(tmp_path)


def test_a_folder_without_a_split_is_refused(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\na,0\n")
    with pytest.raises(CorpusError, match="got no valid and no test"):
        load_corpus(tmp_path)


def test_a_table_becomes_parquet_like_any_corpus(tmp_path):
    path = write_table(tmp_path / "mine.parquet", text=TEXT, label=[1.0] * 4, split=SPLIT)
    folder = convert_corpus(path, tmp_path / "out", label_range=(-1, 1))
    assert json.loads((folder / "corpus.json").read_text())["label_range"] == [-1, 1]
    corpus = load_corpus(folder, cache_dir=tmp_path / "cache")
    assert corpus["train"]["text"] == list(TEXT[:2])
    assert isinstance(corpus["train"][0]["audio"], np.ndarray)


def test_a_text_model_trains_on_a_table(tmp_path):
    path = tmp_path / "mine.csv"
    content = corpus_content()
    rows = [
        (text, label, split)
        for split in content
        for text, label in zip(content[split]["raw_text"], content[split]["regression_labels"], strict=True)
    ]
    path.write_text(csv_of(rows, "text,label,split"))
    options = {"corpus_options": {"label_range": [-3, 3]}, "streams": ["text"]}
    recipe = write_recipe(tmp_path / "recipe.yaml", write_text_model(tmp_path / "text"), path, **options)
    results = train_recipe(read_recipe(recipe), tmp_path / "run")
    assert results.corpus["rows"] == {"train": 12, "valid": 6, "test": 7}
    assert results.model["config"]["label_range"] == [-3, 3]
