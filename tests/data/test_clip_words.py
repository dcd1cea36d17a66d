import json

import pytest

from hf_msa.data import CorpusError, load_corpus
from hf_msa.data.description import repairs_of

LINES = "v1,1,hello there,0.5,train,60,62\nv1,2,bad day,-0.5,valid,63,64\nv2,1,fine,0,test,0,1\n"
HELLO = [["hello", 60.1, 60.4], ["there", 61, 61.5]]


@pytest.fixture
def load(tmp_path):
    def write_and_load(words, lines=LINES):
        (tmp_path / "label.csv").write_text("video_id,clip_id,text,label,mode,start,end\n" + lines)
        (tmp_path / "words.json").write_text(words if isinstance(words, str) else json.dumps(words))
        return load_corpus(tmp_path)

    return write_and_load


def times(row):
    return [(round(word["start"], 3), round(word["end"], 3)) for word in row["words"]]


@pytest.mark.parametrize("name", ["v1_1", "v1$_$1"])
def test_clips_go_by_their_name_in_either_spelling(load, name):
    assert times(load({name: HELLO})["train"][0]) == [(0.1, 0.4), (1, 1.5)]


def test_what_a_speech_pipeline_gives_is_accepted(load):
    chunks = [{"text": " hello", "timestamp": [60.0, 60.4]}, {"text": " there", "timestamp": [61.0, None]}]
    for words in (chunks, {"text": " hello there", "chunks": chunks}):
        corpus = load({"v1_1": words})
        assert [word["word"] for word in corpus["train"][0]["words"]] == ["hello", "there"]
        assert times(corpus["train"][0]) == [(0, 0.4), (0.4, 2)]
        assert repairs_of(corpus["train"])["words_interpolated"] == 1


@pytest.mark.parametrize(
    "words",
    [
        [["hello", 0.1, 0.4], ["there", 1.5, 1.9]],  # of the clip
        [["hello", 60100, 60400], ["there", 61500, 61900]],  # milliseconds
        [["hello", 100, 400], ["there", 1500, 1900]],  # both
        [["hello", None, None], ["there", None, None]],
    ],
)
def test_times_that_fit_no_clip_are_refused(load, words):
    with pytest.raises(CorpusError, match=r"words\.json: expected word times in seconds .* first 'v1_1'"):
        load({"v1_1": words})


def test_milliseconds_are_noticed_in_a_clip_that_starts_with_its_video(load):
    with pytest.raises(CorpusError, match="first 'v2_1'"):
        load({"v2_1": [["fine", 0, 900]]})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "expected the words of some clips"),
        ({"v9_1": HELLO, "v1-1": HELLO}, r"expected the words of some clips .* got \['v9_1', 'v1-1'\]"),
        ({"v1_1": HELLO, "v1$_$1": HELLO}, r"v1\$_\$1: expected every clip once, got it as v1_1 too"),
        ('{"v1_1": [], "v1_1": []}', "expected a JSON object, got 'v1_1' twice"),
        ({"v1_1": [["hello", 60.1, 60.4], [5, 61, 62]]}, r"v1_1: \[1\]: expected a word"),
        ({"v1_1": [["hello", 60.1, 60.4], ["", 61, 62]]}, r"v1_1: \[1\]: expected a word"),
        ({"v1_1": [["hello", 60.1, float("inf")]]}, r"v1_1: \[0\]: expected \(word, start, end\) in seconds"),
        ({"v1_1": [["hello", "60.1", 60.4]]}, r"v1_1: \[0\]: expected \(word, start, end\) in seconds"),
        ({"v1_1": [["hello", True, 60.4]]}, r"v1_1: \[0\]: expected \(word, start, end\) in seconds"),
        ({"v1_1": [{"text": " hello there", "timestamp": [60, 62]}]}, r"v1_1: \[0\]: expected one word per chunk"),
        ({"v1_1": None}, "v1_1: expected a list"),
    ],
)
def test_words_that_fit_nothing_are_refused_with_clip_and_index(load, words, message):
    with pytest.raises(CorpusError, match=message) as caught:
        load(words)
    assert "words.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_fits_two_clips_is_refused(load):
    lines = "a_b,c,hi,0,train,0,1\na,b_c,hi,0,valid,0,1\nv2,1,fine,0,test,0,1\n"
    with pytest.raises(
        CorpusError, match=r"a_b_c: expected the name of one clip, got that of a_b\$_\$c and a\$_\$b_c"
    ):
        load({"a_b_c": [["hi", 0, 1]]}, lines)
    corpus = load({"a_b$_$c": [["hi", 0, 1]]}, lines)
    assert (times(corpus["train"][0]), corpus["valid"][0]["words"]) == ([(0, 1)], None)


def test_words_of_clips_that_are_not_there_are_counted(load):
    assert repairs_of(load({"v1_1": HELLO, "v9_1": HELLO})["train"]) == {"words_of_no_clip": 1}


@pytest.mark.parametrize(
    ("span", "expected", "reason"),
    [("-0.4775,2", (0, 2), "clips_before_the_video"), ("5,5", (5, 5), "clips_without_end")],
)
def test_a_clip_outside_of_its_video_or_without_length_is_mended_and_counted(load, span, expected, reason):
    corpus = load({"v2_1": [["fine", 0, 1]]}, LINES.replace("60,62", span))
    row = corpus["train"][0]
    assert (row["clip_start"], row["clip_end"]) == expected
    assert repairs_of(corpus["train"]) == {reason: 1}


@pytest.mark.parametrize("span", ["nan,2", "inf,inf", "2,1", "-3,-2"])
def test_other_spans_are_refused_with_their_line(load, span):
    with pytest.raises(CorpusError, match=r"label\.csv: line 2: start, end: expected start <= end"):
        load({"v2_1": [["fine", 0, 1]]}, LINES.replace("60,62", span))
