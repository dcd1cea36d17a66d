import subprocess
import sys

import numpy as np
import pytest

from hf_msa.data import CorpusError, UnsafePickleError, load_corpus
from hf_msa.data.rows import OpenCorpus, RowCheck, check_splits, speaker_of


def test_errors_are_value_errors_so_that_the_command_line_shows_one_line():
    assert issubclass(UnsafePickleError, CorpusError)
    assert issubclass(CorpusError, ValueError)


def test_a_path_with_nothing_there_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match="nowhere: expected a pickle or a folder, got nothing there"):
        load_corpus(tmp_path / "nowhere")


def test_a_folder_without_a_corpus_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match=r"expected label\.csv, \.csd files or train\.parquet"):
        load_corpus(tmp_path)
    (tmp_path / "aligned_50.pkl").touch()
    with pytest.raises(CorpusError, match=r"give one of its pickles, aligned_50\.pkl"):
        load_corpus(tmp_path)


def test_one_csd_file_is_not_enough(tmp_path):
    (tmp_path / "labels.csd").touch()
    with pytest.raises(CorpusError, match=r"expected the folder of the \.csd files"):
        load_corpus(tmp_path / "labels.csd")


def test_an_unknown_option_is_an_error_that_lists_the_known_ones(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"N.")
    with pytest.raises(CorpusError, match=r"expected the options tokenizer, aligned, .* got 'tokeniser'"):
        load_corpus(path, tokeniser="bert-base-uncased")


def test_the_speaker_is_the_video():
    assert speaker_of("03bSnISJMiM$_$1") == "03bSnISJMiM"
    assert speaker_of("a$_$b$_$2") == "a$_$b"
    assert speaker_of("utterance7") is None


def test_missing_splits_are_named():
    check_splits("made", ["test", "valid", "train", "config"])
    with pytest.raises(CorpusError, match=r"made: .* got no valid and no test, but \['train'\]"):
        check_splits("made", ["train"])


def rows(*labels):
    return [{"id": f"row{i}", "label": label} for i, label in enumerate(labels)]


def test_labels_at_the_limits_pass_and_thirds_in_float32_too():
    check = RowCheck("made", (-3.0, 3.0))
    assert len(list(check("train", rows(-3, 3, 3.0000001, 0.0)))) == 4


@pytest.mark.parametrize("label", [3.01, -4, float("nan"), float("inf"), None, "1", True])
def test_other_labels_do_not(label):
    check = RowCheck("made", (-3.0, 3.0))
    with pytest.raises(CorpusError, match=r"made: train: label: expected a number in \[-3, 3\], got .* for 'row1'"):
        list(check("train", rows(0, label)))


def test_an_id_may_not_occur_twice_not_even_in_two_splits():
    check = RowCheck("made", (-3.0, 3.0))
    list(check("train", rows(0)))
    with pytest.raises(CorpusError, match="expected every id once, got 'row0' in train and test"):
        list(check("test", rows(0)))


def test_an_empty_split_is_an_error():
    with pytest.raises(CorpusError, match="made: valid: expected at least one row, got none"):
        list(RowCheck("made", (-3.0, 3.0))("valid", []))


def test_streams_become_tables_as_they_are():
    audio = [np.arange(6, dtype=np.float64).reshape(2, 3), np.zeros((0, 3)), np.full((1, 3), np.nan)]
    made = [
        {"id": str(i), "audio": array, "visual": np.zeros((0, 0)), "label": 0.0, "words": [] if i else None}
        for i, array in enumerate(audio)
    ]
    corpus = OpenCorpus("made", {"train": 3}, lambda split: iter(made), {"audio": 3, "visual": 0})
    (table,) = corpus.tables("train", RowCheck("made", (-3.0, 3.0)))
    assert table["audio"].to_pylist()[:2] == [audio[0].tolist(), []]
    assert table["audio"].to_pylist()[2] == []  # NaN alone is no measurement
    assert table["visual"].to_pylist() == [[], [], []]
    assert table["speaker"].null_count == 3
    assert table["words"].to_pylist() == [None, [], []]


def test_a_row_of_another_width_is_refused_whatever_the_reader():
    made = [{"id": str(i), "audio": np.ones((2, 3 - i)), "visual": np.zeros((0, 0)), "label": 0.0} for i in range(2)]
    corpus = OpenCorpus("made", {"train": 2}, lambda split: iter(made), {"audio": 3, "visual": 0})
    with pytest.raises(CorpusError, match="made: train: audio: expected 3 columns per frame, got 2 for '1'"):
        list(corpus.tables("train", RowCheck("made", None)))


def test_importing_the_package_does_not_import_datasets():
    script = "import hf_msa.data, sys; print([m for m in ('datasets', 'h5py') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
