import collections
import json
import os
from pathlib import Path

import pytest

from hf_msa.data import CorpusError, load_corpus

HEADER = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode,start,end"
LINES = [
    "v1,1,IT WAS GOOD,2.5,,1,-1,Positive,train,10,12",
    '"v1",2,"WELL, NO",-1,-1,-1,-1,Negative,train,20,21',
    "v2,1,NA,0,0,0,0,Neutral,valid,0,1",
    "v3,7,null,-3,0,0,0,Negative,test,5,5",
]
WORDS = {
    "v1_1": [["IT", 9.9, 10.2], ["WAS", None, None], ["GOOD", 11.0, 12.5]],
    "v1_2": [["WELL,", 20.0, 20.5], ["NO", 50.0, 50.5]],
    "v3_7": [["null", 5.5, 6.0]],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "label.csv").write_text("\n".join([HEADER, *LINES]) + "\n", encoding="utf-8")
    (tmp_path / "words.json").write_text(json.dumps(WORDS), encoding="utf-8")
    (tmp_path / "Raw" / "v1").mkdir(parents=True)
    (tmp_path / "Raw" / "v1" / "2.mp4").touch()
    return tmp_path


def load(folder, **options):
    return load_corpus(folder, label_range=(-3, 3), **options)


def times(row):
    return [(round(word["start"], 4), round(word["end"], 4)) for word in row["words"]]


def test_rows_hold_text_labels_and_clips(folder):
    corpus = load(folder, audio_rate=100)
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 2, "valid": 1, "test": 1}
    row = corpus["train"][0]
    assert (row["id"], row["speaker"], row["text"], row["label"]) == ("v1$_$1", "v1", "IT WAS GOOD", 2.5)
    assert (row["label_text"], row["label_audio"], row["label_visual"]) == (None, 1, -1)
    assert row["audio"].shape == row["visual"].shape == (0, 0)
    assert (row["audio_rate"], row["visual_rate"]) == (100, None)
    assert (row["media"], corpus["train"][1]["media"]) == (None, "Raw/v1/2.mp4")
    assert (row["clip_start"], row["clip_end"]) == (10, 12)


def test_words_that_look_like_missing_values_stay_words(folder):
    corpus = load(folder)
    assert corpus["valid"][0]["text"] == "NA"
    assert corpus["test"][0]["text"] == "null"
    assert corpus["train"][1]["text"] == "WELL, NO"


def test_word_times_count_from_the_start_of_the_clip_and_useless_ones_are_interpolated(folder):
    corpus = load(folder)
    assert times(corpus["train"][0]) == [(0, 0.5), (0.5, 1), (1, 2.5)]
    assert times(corpus["train"][1]) == [(0, 0.5), (0.5, 1)]
    assert times(corpus["test"][0]) == [(0.5, 1)]
    assert corpus["valid"][0]["words"] is None
    assert json.loads(corpus["train"].info.description)["repairs"] == {
        "words_interpolated": 3,
        "words_without_times": 1,
        "words_before_the_clip": 1,
        "words_after_the_clip": 1,
        "utterances_with_words_without_times": 1,
        "utterances_with_words_before_the_clip": 1,
        "utterances_with_words_after_the_clip": 1,
        "clips_without_end": 1,
    }


def test_without_words_and_clip_times_there_are_none(folder):
    (folder / "words.json").unlink()
    short = [line.rsplit(",", 2)[0] for line in [HEADER, *LINES]]
    (folder / "label.csv").write_text("\n".join(short), encoding="utf-8-sig")
    row = load(folder)["train"][0]
    assert row["words"] is None
    assert "clip_start" not in row


def test_sims_labels_lie_between_minus_one_and_one(folder):
    with pytest.raises(CorpusError, match=r"label: expected a number in \[-1, 1\], got 2.5 for 'v1"):
        load_corpus(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",start,", ",begin,", "expected both of the columns start and end or none"),
        ("mode", "split", "expected the columns .* got no mode"),
        (",train,10", ",dev,10", "line 2: mode: expected train, valid or test, got 'dev'"),
        (",2.5,", ",high,", "line 2: label: expected a number, got 'high'"),
        (",2.5,", ",,", "line 2: label: expected a number, got ''"),
        (",2.5,", ",nan,", r"label: expected a number in \[-3, 3\], got nan"),
        (",2.5,", ",3.5,", r"label: expected a number in \[-3, 3\], got 3.5"),
        (",10,12", ",12,10", "line 2: start, end: expected start <= end"),
        (",10,12", ",10", "line 2: expected 11 values"),
        (",10,12", ",10,12,13", "line 2: expected 11 values"),
        ("valid", "train", "got no valid"),
        ('"v1",2', "v1,1", "expected every id once"),
    ],
)
def test_a_wrong_table_is_refused_with_line_and_column(folder, old, new, message):
    path = folder / "label.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CorpusError, match=message) as caught:
        load(folder)
    assert "label.csv" in str(caught.value)


def test_a_table_that_is_no_text_is_refused(folder):
    (folder / "label.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match=r"label\.csv: expected a table"):
        load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "expected a JSON object, got list"),
        ("{", "expected a JSON object"),
        ('{"v1_1": [["IT", 1]]}', r"v1_1: \[0\]: expected \(word, start, end\)"),
        ('{"v1_1": [["IT", "a", 2]]}', r"v1_1: \[0\]: expected \(word, start, end\)"),
        ('{"v1_1": [["IT", 12, 11]]}', r"v1_1: \[0\]: expected end >= start"),
        ('{"v1_1": 5}', r"v1_1: expected a list of \(word, start, end\)"),
    ],
)
def test_wrong_words_are_refused(folder, content, message):
    (folder / "words.json").write_text(content)
    with pytest.raises(CorpusError, match=message) as caught:
        load(folder)
    assert "words.json" in str(caught.value)


@pytest.mark.corpus
def test_cmu_mosi_loads_with_all_its_flaws():
    place = os.environ.get("HF_MSA_CORPORA")
    if not place or not (Path(place) / "mosi" / "label.csv").exists():
        pytest.skip("HF_MSA_CORPORA does not say where CMU-MOSI is")
    corpus = load_corpus(Path(place) / "mosi")
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 1284, "valid": 229, "test": 686}
    words = [word for split in corpus.values() for own in split["words"] for word in own]
    assert len(words) == 27_540
    assert all(0 <= word["start"] <= word["end"] for word in words)
    repairs = collections.Counter(json.loads(corpus["train"].info.description)["repairs"])
    assert repairs["utterances_with_words_without_times"] == 37
    assert repairs["words_without_times"] == 76
    assert repairs["utterances_with_words_before_the_clip"] == 40
    assert sum(label != 0 for label in corpus["test"]["label"]) == 656
