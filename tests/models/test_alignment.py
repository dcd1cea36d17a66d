"""Word times to frames: the steps of alignment one by one, against loops and lists written out by hand."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_msa.models.alignment_msa import (
    align_frames,
    fill_times,
    find_words,
    interval_means,
    read_words,
    token_intervals,
    words_of_tokens,
)

FIXED = settings(derandomize=True, deadline=None, max_examples=50)

# Sixteenths of a second times these rates are exact in floating point, and so are comparisons with frame middles.
TIMES = st.integers(-16, 96).map(lambda sixteenths: sixteenths / 16)
RATES = st.sampled_from([0.5, 1.0, 3.0, 10.0, 25.0, 100.0])
INTERVALS = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair))), max_size=3)  # of one token


def frames_of_token(intervals, num_frames, rate):
    """The frames whose middle lies in an interval; where an interval has none, the one nearest to its own middle."""
    chosen = set()
    for interval in intervals:
        start, end = (Fraction(time) * Fraction(rate) for time in interval)
        inside = [k for k in range(num_frames) if start <= k + Fraction(1, 2) < end]
        if not inside and start < num_frames and (end > 0 or start >= 0):
            inside = [min(max(math.floor((start + end) / 2), 0), num_frames - 1)]
        chosen |= set(inside)
    return sorted(chosen)


@st.composite
def alignments(draw):
    num_frames = draw(st.integers(1, 40))
    intervals = draw(st.lists(INTERVALS, min_size=1, max_size=8))
    seed = draw(st.integers(0, 2**32 - 1))
    frames = np.random.default_rng(seed).normal(size=(num_frames, 3)).astype(np.float32)
    return frames, intervals, draw(RATES)


@FIXED
@given(alignments())
def test_interval_means_agree_with_a_loop_over_words_and_frames(case):
    frames, intervals, rate = case
    means, mask = interval_means(frames, intervals, rate)
    assert means.shape == (len(intervals), 3)
    assert means.dtype == frames.dtype
    for own, mean, is_real in zip(intervals, means, mask.tolist(), strict=True):
        chosen = frames_of_token(own, len(frames), rate)
        assert is_real == (len(chosen) > 0)
        for column in range(3):
            values = [float(frames[k, column]) for k in chosen]
            expected = sum(values) / len(values) if values else 0.0
            assert float(mean[column]) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@FIXED
@given(alignments())
def test_interval_means_never_read_a_frame_that_touches_no_interval(case):
    frames, intervals, rate = case
    touched = {
        k
        for k in range(len(frames))
        for own in intervals
        for start, end in own
        if start * rate < k + 1 and k <= end * rate
    }
    spoiled = frames.copy()
    spoiled[[k for k in range(len(frames)) if k not in touched]] = 3e38
    assert np.array_equal(interval_means(spoiled, intervals, rate)[0], interval_means(frames, intervals, rate)[0])


@FIXED
@given(alignments(), st.integers(0, 7))
def test_a_token_reads_nothing_of_another_tokens_frames(case, index):
    frames, intervals, rate = case
    index %= len(intervals)
    spoiled = np.full_like(frames, -3e38)
    own = frames_of_token(intervals[index], len(frames), rate)
    spoiled[own] = frames[own]
    expected = interval_means(frames, intervals, rate)[0][index]
    assert np.array_equal(interval_means(spoiled, intervals, rate)[0][index], expected)


@pytest.mark.parametrize(
    ("interval", "frame"),
    [
        ((0.0, 1.0), 0),
        ((2.0, 3.0), 2),
        ((0.5, 1.5), 0),  # from a middle on, up to the next and without it
        ((1.1, 1.3), 1),  # shorter than a frame, holds no middle
        ((1.6, 1.9), 1),
        ((1.8, 2.4), 2),  # its own middle 2.1 lies in frame 2
        ((1.0, 1.0), 1),  # no length at all
        ((-0.3, 0.4), 0),
        ((-0.8, 0.2), 0),  # its own middle lies before the stream
        ((2.9, 3.3), 2),  # and here behind it
        ((-2.0, -1.0), None),  # before the stream
        ((3.0, 3.2), None),  # after it
        ((7.0, 9.0), None),
    ],
)
def test_one_second_frames_go_to_the_interval_that_holds_their_middle(interval, frame):
    frames = np.array([[10.0], [20.0], [30.0]])
    means, mask = interval_means(frames, [[interval]], 1.0)
    assert means.tolist() == [[0.0 if frame is None else frames[frame].item()]]
    assert mask.tolist() == [0 if frame is None else 1]


def test_a_token_without_a_word_has_zeros_and_mask_0():
    means, mask = interval_means(np.ones((3, 2)), [[], [(0.0, 3.0)], []], 1.0)
    assert means.tolist() == [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    assert mask.tolist() == [0, 1, 0]


def test_a_token_of_several_words_reads_each_frame_once_and_no_pause_between_them():
    frames = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    means, mask = interval_means(frames, [[(0.0, 2.0), (1.0, 2.0), (4.0, 5.0)]], 1.0)
    assert means.tolist() == [[pytest.approx((1 + 2 + 16) / 3)]]
    assert mask.tolist() == [1]


def test_neighbouring_words_share_out_all_frames_and_none_twice():
    frames = np.eye(10)
    times = [0.0, 0.25, 0.5, 0.77, 1.0]  # 0.25 is the middle of a frame
    means, _ = interval_means(frames, [[pair] for pair in itertools.pairwise(times)], 10.0)
    owners = (means > 0).sum(axis=0)
    assert owners.tolist() == [1] * 10


@st.composite
def spoken(draw):
    """Words in order with some times lost, and the stream's duration."""
    num = draw(st.integers(1, 10))
    bounds = sorted(draw(st.lists(st.floats(0, 1000), min_size=2 * num, max_size=2 * num)))
    words = []
    for i in range(num):
        lost = draw(st.sampled_from(["none", "none", "both", "start", "end"]))
        start = None if lost in ("both", "start") else bounds[2 * i]
        end = None if lost in ("both", "end") else bounds[2 * i + 1]
        words.append((f"w{i}", start, end))
    return words, draw(st.floats(0, 1200))


@FIXED
@given(spoken())
def test_filled_times_stay_in_order_and_fill_the_gaps(case):
    words, duration = case
    times, num_filled = fill_times(words, duration)
    known = [start is not None and end is not None for _, start, end in words]
    assert num_filled == known.count(False)
    assert len(times) == len(words)
    for i, (start, end) in enumerate(times):
        assert start <= end
        if known[i]:
            assert (start, end) == words[i][1:]
            continue
        before = times[i - 1][1] if i else 0.0
        assert start == pytest.approx(before)
        if i + 1 < len(times):
            assert end == pytest.approx(max(times[i + 1][0], before))
        elif not any(known):
            assert end == pytest.approx(duration)
    starts = [start for start, _ in times]
    assert starts == sorted(starts)


def test_a_run_of_words_without_times_shares_its_gap_equally():
    words = [
        ("a", None, None),
        ("b", 1.0, 2.0),
        ("c", None, None),
        ("d", None, 9.0),
        ("e", 5.0, 6.0),
        ("f", None, None),
    ]
    times, num_filled = fill_times(words, 10.0)
    assert times == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.5), (3.5, 5.0), (5.0, 6.0), (6.0, 10.0)]
    assert num_filled == 4


def test_words_without_any_times_share_the_whole_stream():
    assert fill_times([("a", None, None), ("b", None, None)], 3.0) == ([(0.0, 1.5), (1.5, 3.0)], 2)


def test_a_stream_that_ends_before_the_last_known_word_leaves_the_rest_no_length():
    times, _ = fill_times([("a", 0.0, 5.0), ("b", None, None)], 3.0)
    assert times == [(0.0, 5.0), (5.0, 5.0)]


@pytest.mark.parametrize(
    "words",
    [
        [("i", 0, 1), ("am", 1.5, None)],
        (("i", 0, 1), ["am", 1.5, math.nan]),
        [{"word": "i", "start": 0, "end": 1}, {"word": "am", "start": 1.5, "end": None}],
        [{"word": "i", "start": 0, "end": 1}, {"word": "am", "start": 1.5}],  # as WhisperX leaves a time out
        [{"end": 1.0, "start": 0.0, "word": " i ", "score": 0.9}, {"word": "am", "start": 1.5, "end": math.nan}],
        {"word": ["i", "am"], "start": [0.0, 1.5], "end": [1.0, None]},
        {"word": np.array(["i", "am"]), "start": np.array([0.0, 1.5]), "end": np.array([1.0, math.nan])},
        np.array([("i", 0.0, 1.0), ("am", 1.5, None)], dtype=object),
        [("i", np.float32(0), np.array(1.0)), ("am", np.float64(1.5), np.float16("nan"))],
        iter([("i", 0, 1), ("am", 1.5, None)]),
    ],
    ids=[
        "tuples",
        "nan",
        "dicts",
        "time-left-out",
        "more-keys",
        "dict-of-lists",
        "dict-of-arrays",
        "array",
        "scalars",
        "generator",
    ],
)
def test_words_are_read_from_every_container(words):
    assert read_words(words) == [("i", 0.0, 1.0), ("am", 1.5, None)]


def test_words_are_read_as_a_speech_pipeline_gives_them():
    chunks = [{"text": " i", "timestamp": (0.0, 0.4)}, {"text": " am", "timestamp": (0.4, None)}]
    expected = [("i", 0.0, 0.4), ("am", 0.4, None)]
    assert read_words({"text": " i am", "chunks": chunks}) == read_words(chunks) == expected
    assert read_words([{"text": " i", "timestamp": None}]) == [("i", None, None)]


def test_a_chunk_of_several_words_is_an_error_that_says_how_to_get_one_each():
    with pytest.raises(ValueError, match=r"words\[4\]\[0\]: expected one word per chunk, as return_timestamps='word'"):
        read_words([{"text": " i am", "timestamp": (0.0, 0.4)}], row=4)


@pytest.mark.parametrize(
    "entry",
    [
        ("a", 1.0),
        ("a", 0.0, 1.0, 2.0),
        {"start": 0.0, "end": 1.0},
        "abc",
        None,
        7,
        ("a", "soon", 1.0),
        ("a", "0", 1),
        ("a", True, 1),
    ],
    ids=repr,
)
def test_a_word_of_another_form_is_an_error_that_names_it(entry):
    with pytest.raises(ValueError, match=r"words\[4\]\[1\]: expected \(word, start, end\)"):
        read_words([("fine", 0.0, 1.0), entry], row=4)


@pytest.mark.parametrize(
    "words",
    [math.nan, 7, {"word": ["a", "b"], "start": [0.0, 1.0], "end": [1.0]}, {"word": "a", "start": 0.0, "end": 1.0}],
    ids=["nan", "number", "uneven-lists", "dict-of-scalars"],
)
def test_words_that_are_no_list_are_an_error_that_names_the_row(words):
    with pytest.raises(ValueError, match=r"words\[4\]"):
        read_words(words, row=4)


@pytest.mark.parametrize("word", ["", "  ", None, 3])
def test_a_word_without_letters_or_of_another_type_is_an_error(word):
    with pytest.raises(ValueError, match=r"words\[0\]\[0\]: expected a word that is not empty"):
        read_words([(word, 0.0, 1.0)])


def test_a_word_that_ends_before_it_starts_is_an_error():
    with pytest.raises(ValueError, match=r"words\[2\]\[0\]: expected end >= start"):
        read_words([("a", 2.0, 1.0)], row=2)


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("i loved it", ["i", "loved", "it"], ["i", "loved", "it"]),
        ("I LOVED it!", ["i", "Loved", "IT"], ["I", "LOVED", "it"]),
        ("...so, \u201cloved\u201d -- it?!", ["so", "loved", "it"], ["so", "loved", "it"]),
        ("  it  was\tit\n", ["it", "was", "it"], ["it", "was", "it"]),
        ("in into", ["in", "in", "to"], ["in", "in", "to"]),
        ("cafe\u0301 nai\u0308ve", ["caf\u00e9", "na\u00efve"], ["cafe", "nai\u0308ve"]),
        ("don't, 3 o'clock", ["don't", "3", "o'clock"], ["don't", "3", "o'clock"]),
        ("well-known", ["well", "known"], ["well", "known"]),
        ("\u6211\u559c\u6b22\uff01", list("\u6211\u559c\u6b22"), list("\u6211\u559c\u6b22")),
        ("\u0130t \u0130S it", ["\u0130t", "\u0130s", "it"], ["\u0130t", "\u0130S", "it"]),
        ("\U0001f44d i \u2764\ufe0f it", ["i", "it"], ["i", "it"]),
        ("CAF\u00c9 \u00dcber", ["caf\u00e9", "\u00fcber"], ["CAF\u00c9", "\u00dcber"]),
        ("gro\u00df, nicht klein", ["GROSS", "nicht", "klein"], ["gro\u00df", "nicht", "klein"]),
        ("GROSS, nicht klein", ["gro\u00df", "nicht", "klein"], ["GROSS", "nicht", "klein"]),
        ("STRA\u1e9eE", ["stra\u00dfe"], ["STRA\u1e9eE"]),
        ("\u039a\u0391\u039b\u039f\u03a3!", ["\u039a\u0391\u039b\u039f\u03a3"], ["\u039a\u0391\u039b\u039f\u03a3"]),
        ("\u039a\u0391\u039b\u039f\u03a3", ["\u03ba\u03b1\u03bb\u03cc\u03c2"], ["\u039a\u0391\u039b\u039f\u03a3"]),
        ("\u03ba\u03b1\u03bb\u03cc\u03c2", ["\u039a\u0391\u039b\u039f\u03a3"], ["\u03ba\u03b1\u03bb\u03cc\u03c2"]),
        ("\ufb01lm ist gut", ["FILM", "ist", "gut"], ["\ufb01lm", "ist", "gut"]),
        ("KIZ \u0130\u00c7\u0130N", ["k\u0131z", "i\u00e7in"], ["KIZ", "\u0130\u00c7\u0130N"]),
        ("k\u0131z i\u00e7in", ["KIZ", "\u0130\u00c7\u0130N"], ["k\u0131z", "i\u00e7in"]),
        ("!?", [], []),
    ],
)
def test_words_are_found_whatever_case_and_punctuation_the_text_has(text, words, found):
    spans = find_words(text, [(word, None, None) for word in words])
    assert [text[start:end] for start, end in spans] == found
    assert spans == sorted(spans)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("i loved it", ["i", "loved,", "it."]),
        ("i don\u2019t", ["i", "don't"]),
        ("i don't", ["i", "don\u2019t"]),
        ("a well known film", ["a", "well-known", "film"]),
    ],
    ids=["attached", "curly-text", "curly-word", "hyphen"],
)
def test_words_are_found_whatever_punctuation_they_have_themselves(text, words):
    spans = find_words(text, [(word, None, None) for word in words])
    letters = ["".join(c for c in word if c.isalnum()) for word in words]
    assert ["".join(c for c in text[start:end] if c.isalnum()) for start, end in spans] == letters


def test_words_of_punctuation_alone_stand_nowhere_and_disturb_nothing():
    text, words = "(so) i... loved it", ["--", "so", "i", "...", "loved", "it", "!"]
    spans = find_words(text, [(word, None, None) for word in words])
    assert [text[start:end] for start, end in spans] == ["", "so", "i", "", "loved", "it", ""]
    assert spans == sorted(spans)
    tokens = [(0, 0), (0, 1), (1, 3), (3, 4), (5, 6), (6, 9), (10, 15), (16, 18), (0, 0)]
    covered = words_of_tokens(tokens, spans)
    assert [list(numbers) for numbers in covered] == [[], [], [1], [], [2], [], [4], [5], []]


@pytest.mark.parametrize(
    ("text", "words", "index", "word"),
    [
        ("i loved it", ["i", "it"], 1, "it"),
        ("i loved it", ["i", "loved", "it", "all"], 3, "all"),
        ("i loved it", ["i", "hated", "it"], 1, "hated"),
        ("i loved it", ["loved", "i", "it"], 0, "loved"),
        ("it", ["i", "it"], 1, "it"),
        ("", ["i"], 0, "i"),
    ],
)
def test_a_word_that_the_text_does_not_have_there_is_named_with_its_row(text, words, index, word):
    with pytest.raises(ValueError, match=rf"words\[5\]\[{index}\].*'{word}'"):
        find_words(text, [(w, None, None) for w in words], row=5)


@pytest.mark.parametrize("words", [["i", "loved"], [], ["i", "love"]])
def test_text_without_words_is_an_error_that_names_the_row(words):
    with pytest.raises(ValueError, match=r"words\[5\]"):
        find_words("i loved it", [(w, None, None) for w in words], row=5)


def test_tokens_get_the_words_that_their_characters_touch():
    #        special, "un", "##known", " man" with its space, "!", two words in one, special
    offsets = [(0, 0), (0, 2), (2, 7), (7, 11), (11, 12), (12, 14), (0, 0)]
    spans = [(0, 7), (8, 11), (12, 13), (13, 14)]
    covered = words_of_tokens(offsets, spans)
    assert [list(words) for words in covered] == [[], [0], [0], [1], [], [2, 3], []]
    times = [(0.0, 1.0), (1.0, 2.0), (2.0, 2.5), (2.5, 4.0)]
    first, second = [(0.0, 1.0)], [(1.0, 2.0)]
    assert token_intervals(covered, times) == [[], first, first, second, [], [(2.0, 2.5), (2.5, 4.0)], []]


def test_every_letter_of_unicode_is_found_as_its_capital_and_as_its_small_letter():
    letters = [letter for letter in map(chr, range(0x20000)) if letter.isalpha() and letter.upper() != letter.lower()]
    assert len(letters) > 2700
    for change in (str.upper, str.lower, str.title, str.casefold):
        spans = find_words("".join(letters), [(change(letter), None, None) for letter in letters])
        assert spans == [(i, i + 1) for i in range(len(letters))]


def test_a_letter_that_folds_to_two_leaves_every_later_word_in_its_place():
    text = "\u00df\u00df \u00dfa it"
    spans = find_words(text, [(word, None, None) for word in ("SSSS", "ssa", "it")])
    assert spans == [(0, 2), (3, 5), (6, 8)]


@pytest.mark.parametrize("intervals", [[], [[]], [[(0.0, 1.0)], [(1.0, 2.0)]]])
def test_a_stream_without_frames_gives_no_vector_and_one_without_a_text_its_mean(intervals):
    values, mask = align_frames(np.zeros((0, 2), dtype=np.float32), intervals, 1.0)
    assert values.shape == (0, 2)
    assert mask.shape == (0,)
    frames = np.array([[1.0, 2.0], [3.0, 6.0]], dtype=np.float32)
    values, mask = align_frames(frames, intervals, 1.0)
    assert values.dtype == np.float32
    assert values.tolist() == {0: [[2.0, 4.0]], 1: [[0.0, 0.0]], 2: frames.tolist()}[len(intervals)]
    assert mask.tolist() == {0: [1], 1: [0], 2: [1, 1]}[len(intervals)]
