"""The processor: text, streams and words in; one aligned batch out, whichever tokenizer."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spoken import AUDIO, KEYS, ROW, SENTENCE, SPOKEN, TEXT, VISUAL, WORDS, assert_same, frames_by_second
from tiny_models import TEXT_CONFIGS
from tiny_tokenizers import FAMILIES

from hf_msa.models import PGFNetProcessor

FIXED = settings(derandomize=True, deadline=None, max_examples=50)

# The shape of a batch


def test_a_batch_holds_tokens_streams_and_masks_of_one_length(processor):
    batch = processor(**ROW)
    assert list(batch) == KEYS == processor.model_input_names
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (1, 5)
    assert batch["audio_values"].shape == (1, 5, 3)
    assert batch["visual_values"].shape == (1, 5, 2)
    assert batch["audio_values"].dtype == batch["visual_values"].dtype == torch.float32
    assert all(batch[key].dtype == torch.int64 for key in KEYS if "values" not in key)


def test_without_alignment_every_stream_keeps_its_own_length(unaligned):
    batch = unaligned(text=[TEXT, "it"], audio=[AUDIO, AUDIO[:1]], visual=[None, VISUAL])
    assert batch["input_ids"].shape == (2, 5)
    assert batch["audio_attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["visual_attention_mask"].tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]
    np.testing.assert_array_equal(batch["audio_values"][0], AUDIO)
    np.testing.assert_array_equal(batch["visual_values"][1], VISUAL)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_aligned_corpus_is_reproduced_to_the_last_bit(make_processor, family):
    words = ["it", "was", "not", "bad", "the", "movie"]
    audio, visual = frames_by_second(6), frames_by_second(6, 2, seed=1) * 1e6
    processor = make_processor(family)
    spoken = [(word, i, i + 1) for i, word in enumerate(words)]
    batch = processor(" ".join(words), audio, visual, spoken, audio_rate=1.0, visual_rate=1.0)
    found = processor.token_words(" ".join(words), spoken)
    assert [word for word, _ in found] == words
    for i, (_, positions) in enumerate(found):
        for position in positions:
            assert batch["audio_values"][0, position].tolist() == audio[i].tolist()
            assert batch["visual_values"][0, position].tolist() == visual[i].tolist()


# Each token gets its word's frames: word numbers per token, read off the tokens by eye; None for no word.

TOKENS = {
    "bert": [None, 0, 1, 1, 1, 2, 2, 3, None, 4, 5, 6, 7, None, None],
    "electra": [None, 0, 1, 1, 1, 2, 2, 3, None, 4, 5, 6, 7, None, None],
    "roberta": [None, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, None, 4, 5, 6, 6, 7, None, None],
    "xlm_roberta": [None, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, None, 4, 5, 6, 7, None, None],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_token_gets_the_mean_of_its_words_frames(make_processor, family):
    audio, visual = frames_by_second(16), frames_by_second(80, 2)  # 2 and 10 frames per word of a second
    spoken = [(word, i, i + 1) for i, word in enumerate(SPOKEN)]
    batch = make_processor(family)(SENTENCE, audio, visual, spoken, audio_rate=2.0, visual_rate=10.0)
    numbers = TOKENS[family]
    assert batch["input_ids"].shape == (1, len(numbers))
    for stream, frames, rate in (("audio", audio, 2), ("visual", visual, 10)):
        assert batch[f"{stream}_attention_mask"][0].tolist() == [int(n is not None) for n in numbers]
        for values, n in zip(batch[f"{stream}_values"][0], numbers, strict=True):
            own = np.zeros((1, frames.shape[1])) if n is None else frames[n * rate : (n + 1) * rate]
            np.testing.assert_allclose(values, own.mean(axis=0), rtol=1e-5, atol=1e-6)


CHINESE = "\u6211\u4e0d\u559c\u6b22\u7535\u5f71\uff01"
CHARACTERS = {
    "bert": [[], [0], [1], [2], [3], [4], [5], [], []],
    "electra": [[], [0], [1], [2], [3], [4], [5], [], []],
    "roberta": [[], [0], [1], [2, 3], [4, 5], [], [], [], []],
    "xlm_roberta": [[], [0], [0], [1], [2, 3], [4, 5], [], []],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_chinese_characters_with_times_share_the_token_that_merges_them(make_processor, family):
    audio = frames_by_second(6)
    spoken = [(character, i, i + 1) for i, character in enumerate(CHINESE[:6])]
    batch = make_processor(family)(CHINESE, audio, None, spoken, audio_rate=1.0)
    numbers = CHARACTERS[family]
    assert batch["audio_attention_mask"][0].tolist() == [int(bool(n)) for n in numbers]
    for values, n in zip(batch["audio_values"][0], numbers, strict=True):
        expected = audio[n].mean(axis=0) if n else np.zeros(3)
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


def merged(make_processor, audio, first, second):
    """The frames of one token that stands for two characters with times."""
    spoken = [("\u559c", *first), ("\u6b22", *second)]
    batch = make_processor("roberta")("\u559c\u6b22", audio, None, spoken, audio_rate=1.0)
    assert batch["audio_attention_mask"].tolist() == [[0, 1, 0]]
    return batch["audio_values"][0, 1]


@pytest.mark.parametrize(
    ("first", "second"), [((0, 1), (1, 3)), ((0, 3), (1, 2)), ((1, 3), (0, 1))], ids=["in-turn", "nested", "reversed"]
)
def test_a_token_of_two_characters_takes_the_union_of_their_intervals(make_processor, first, second):
    audio = frames_by_second(3)
    np.testing.assert_allclose(merged(make_processor, audio, first, second), audio.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_a_pause_between_two_characters_of_one_token_is_not_read(make_processor):
    audio = frames_by_second(3)
    expected = (audio[0] + audio[2]) / 2
    np.testing.assert_allclose(merged(make_processor, audio, (0, 1), (2, 3)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_tokens_keep_their_frames_on_whichever_side_the_tokenizer_pads(make_processor, family, side):
    processor = make_processor(family, tokenizer={"padding_side": side})
    words = [[("it", 2, 3)], [(word, 0, 3) for word in SPOKEN]]
    batch = processor(["it", " ".join(SPOKEN)], [AUDIO, AUDIO], None, words, audio_rate=1.0)
    real = batch["attention_mask"][0].bool()
    num_pieces = int(real.sum()) - 2  # between the two special tokens
    assert batch["audio_attention_mask"][0][real].tolist() == [0, *[1] * num_pieces, 0]
    assert batch["audio_values"][0][real].tolist() == [[0.0] * 3, *[AUDIO[2].tolist()] * num_pieces, [0.0] * 3]
    assert not batch["audio_values"][0][~real].any()


def test_special_tokens_and_padding_have_zeros_and_mask_0(processor):
    batch = processor([TEXT, "it!"], [AUDIO, AUDIO], None, [WORDS, [("it", 0, 3)]], audio_rate=1.0)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
    assert batch["audio_attention_mask"].tolist() == [[0, 1, 1, 1, 0], [0, 1, 0, 0, 0]]
    assert not batch["audio_values"][~batch["audio_attention_mask"].bool()].any()
    assert not batch["visual_values"].any()
    assert not batch["visual_attention_mask"].any()


def test_words_beside_the_stream_get_no_frames(processor):
    words = [("i", -2, -1), ("loved", 1, 2), ("it", 30, 31)]
    batch = processor(TEXT, AUDIO, None, words, audio_rate=1.0)
    assert batch["audio_attention_mask"].tolist() == [[0, 0, 1, 0, 0]]


def test_overlapping_words_each_get_their_own_mean(processor):
    words = [("i", 0, 2), ("loved", 1, 3), ("it", 0, 3)]
    batch = processor(TEXT, AUDIO, None, words, audio_rate=1.0)
    expected = [AUDIO[:2].mean(axis=0), AUDIO[1:].mean(axis=0), AUDIO.mean(axis=0)]
    np.testing.assert_allclose(batch["audio_values"][0, 1:4], expected, rtol=1e-6)


def test_a_stream_of_one_frame_gives_it_to_the_word_in_it(processor):
    batch = processor(TEXT, AUDIO[:1], None, WORDS, audio_rate=1.0)
    assert batch["audio_values"][0].tolist() == [[0.0] * 3, AUDIO[0].tolist(), *[[0.0] * 3] * 3]
    assert batch["audio_attention_mask"].tolist() == [[0, 1, 0, 0, 0]]


GARBAGE = st.sampled_from([math.nan, math.inf, -math.inf, 1e300, -1e30])


@pytest.mark.filterwarnings("ignore:audio. expected finite values")
@FIXED
@given(
    st.lists(st.integers(0, 300), min_size=6, max_size=6, unique=True).map(sorted),
    st.integers(1, 60),
    st.lists(GARBAGE, min_size=1, max_size=5),
)
def test_frames_outside_of_all_words_never_matter(processor, bounds, num_frames, garbage):
    words = [(word, bounds[2 * i] / 10, bounds[2 * i + 1] / 10) for i, word in enumerate(TEXT.split())]
    clean = frames_by_second(num_frames)
    spoiled = clean.astype(np.float64)
    for k in range(num_frames):  # of half a second each
        if all((k + 1) / 2 <= start or end <= k / 2 for _, start, end in words):
            spoiled[k] = garbage[k % len(garbage)]
    arguments = {"text": TEXT, "words": words, "audio_rate": 2.0}
    assert_same(processor(audio=spoiled, **arguments), processor(audio=clean, **arguments))


# Words and rates in every form

WORD_FORMS = {
    "dicts": [{"word": word, "start": start, "end": end} for word, start, end in WORDS],
    "dict-of-lists": {"word": [w[0] for w in WORDS], "start": [w[1] for w in WORDS], "end": [w[2] for w in WORDS]},
    "no-times": [(word, None, None) for word, _, _ in WORDS],
    "nan-times": [(word, math.nan, np.float32("nan")) for word, _, _ in WORDS],
    "one-time-lost": [WORDS[0], ("loved", None, 2.0), WORDS[2]],
    "other-case": [("I", 0, 1), ("LOVED", 1, 2), ("It", 2, 3)],
}


@pytest.mark.parametrize("form", WORD_FORMS)
def test_words_may_come_in_every_form(processor, form):
    arguments = {key: value for key, value in ROW.items() if not key.startswith("visual")}
    assert_same(processor(**(arguments | {"words": WORD_FORMS[form]})), processor(**arguments))


def test_interpolated_times_are_counted(make_processor):
    processor = make_processor()
    processor(TEXT, AUDIO, None, WORD_FORMS["one-time-lost"], audio_rate=1.0)
    assert processor.repairs["word_times_interpolated"] == 1
    processor(TEXT, AUDIO, None, WORD_FORMS["no-times"], audio_rate=1.0)
    assert processor.repairs["word_times_interpolated"] == 4


def test_words_without_times_reach_to_the_end_of_the_longest_stream(processor):
    batch = processor("it was", AUDIO, np.ones((8, 2)), [("it", None, None), ("was", None, None)], 1.0, 2.0)
    assert batch["audio_values"][0, 1].tolist() == AUDIO[:2].mean(axis=0).tolist()
    assert batch["audio_values"][0, 2].tolist() == AUDIO[2].tolist()


def test_punctuation_in_the_text_needs_no_words(processor):
    batch = processor("I loved... it?!", AUDIO, None, WORDS, audio_rate=1.0)
    assert batch["audio_attention_mask"].tolist() == [[0, 1, 1, 0, 0, 0, 1, 0, 0, 0]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([("i", 0, 1), ("it", 2, 3)], r"words\[1\]\[1\].*'it'"),
        ([*WORDS, ("all", 3, 4)], r"words\[1\]\[3\].*'all'"),
        (WORDS[:2], r"words\[1\].*'it'"),
        ([("i", 1, 0), *WORDS[1:]], r"words\[1\]\[0\]"),
        (None, "words.*row 1"),
    ],
    ids=["skipped", "one-more", "one-less", "backwards", "none"],
)
def test_words_that_do_not_fit_are_an_error_that_names_row_and_word(processor, words, message):
    with pytest.raises(ValueError, match=message):
        processor([TEXT, TEXT], [AUDIO, AUDIO], None, [WORDS, words], audio_rate=1.0)


def test_a_stream_without_any_words_is_an_error_when_alignment_is_by_word(processor):
    with pytest.raises(ValueError, match=r"words.*row 0"):
        processor(TEXT, AUDIO, audio_rate=1.0)


def test_words_are_needed_only_where_text_meets_a_stream(processor):
    batch = processor([TEXT, None, TEXT], [AUDIO, AUDIO, None], None, [WORDS, None, None], audio_rate=1.0)
    assert batch["audio_attention_mask"].tolist() == [[0, 1, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_rates_may_differ_by_row_and_none_needs_to_be_said_without_a_stream(processor):
    frames = frames_by_second(6)
    batch = processor([TEXT] * 3, [frames[:3], frames, None], None, [WORDS] * 3, audio_rate=[1.0, 2.0, None])
    assert batch["audio_values"][0, 1].tolist() == frames[0].tolist()
    np.testing.assert_allclose(batch["audio_values"][1, 1], frames[:2].mean(axis=0), rtol=1e-6)


def test_the_recorded_rate_is_taken_where_a_row_of_the_dataset_has_none(make_processor):
    processor = make_processor(audio_features={"name": "covarep", "rate": 1.0})
    rows = [{"text": TEXT, "audio": AUDIO, "words": WORDS, "audio_rate": rate} for rate in (None, 1.0)]
    batch = processor.collate(rows)
    assert torch.equal(batch["audio_values"][0], batch["audio_values"][1])


@pytest.mark.parametrize("rate", [None, 0.0, math.nan, [1.0, 2.0]], ids=repr)
def test_alignment_without_a_possible_rate_is_an_error(processor, rate):
    with pytest.raises(ValueError, match="audio_rate"):
        processor(TEXT, AUDIO, None, WORDS, audio_rate=rate)


# Missing streams

NO_AUDIO = [None, np.zeros((0, 3)), torch.zeros(0, 3), [], math.nan]


@pytest.mark.parametrize("alignment", ["word", "none"])
@pytest.mark.parametrize("no_audio", NO_AUDIO, ids=["none", "no-frames", "torch", "empty", "nan"])
def test_missing_audio_gives_the_same_tensors_whichever_way_it_is_said(make_processor, alignment, no_audio):
    processor = make_processor(alignment=alignment)
    row = {key: ROW[key] for key in ("text", "visual", "words", "visual_rate")}
    expected = processor(**row)
    assert_same(processor(**row, audio=no_audio, audio_rate=1.0), expected)
    assert_same(processor.collate([row | {"audio": no_audio}]), expected)
    assert not expected["audio_attention_mask"].any()
    assert not expected["audio_values"].any()
    assert expected["audio_values"].shape[2] == 3


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("alignment", ["word", "none"])
@pytest.mark.parametrize("no_text", [None, "", "  ", "\n\t"], ids=repr)
def test_missing_text_is_the_special_tokens_whichever_way_it_is_said(make_processor, family, alignment, no_text):
    processor = make_processor(family, alignment=alignment)
    row = {"audio": [AUDIO], "visual": [VISUAL], "audio_rate": 1.0, "visual_rate": 1.0}
    expected = processor(**row)
    batch = processor(text=[no_text], words=[[]], **row)
    assert_same(batch, expected)
    special = [processor.tokenizer.cls_token_id, processor.tokenizer.sep_token_id]
    assert batch["input_ids"].tolist() == [special]


def test_a_row_without_text_gets_the_mean_of_its_stream_once(processor):
    batch = processor(audio=AUDIO, visual=VISUAL, audio_rate=1.0, visual_rate=1.0)
    assert batch["audio_values"].tolist() == [[AUDIO.mean(axis=0).tolist(), [0.0] * 3]]
    assert batch["visual_values"].tolist() == [[VISUAL.mean(axis=0).tolist(), [0.0] * 2]]
    assert batch["audio_attention_mask"].tolist() == batch["visual_attention_mask"].tolist() == [[1, 0]]


@pytest.mark.parametrize("alignment", ["word", "none"])
def test_any_subset_of_streams_may_be_missing_in_each_row(make_processor, alignment):
    processor = make_processor(alignment=alignment)
    subsets = [(t, a, v) for t in (0, 1) for a in (0, 1) for v in (0, 1) if t or a or v]
    rows = [
        {key: value for key, value in ROW.items() if {"text": t, "audio": a, "visual": v}.get(key, True)}
        for t, a, v in subsets
    ]
    batch = processor.collate(rows)
    for i, (t, a, v) in enumerate(subsets):
        assert bool(batch["audio_attention_mask"][i].any()) == bool(a)
        assert bool(batch["visual_attention_mask"][i].any()) == bool(v)
        assert batch["attention_mask"][i].sum() == (5 if t else 2)
    assert all(torch.isfinite(batch[key]).all() for key in KEYS)


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": [TEXT, None], "audio": [AUDIO, None]},
        {"text": [TEXT, ""], "audio": [AUDIO, np.zeros((0, 3))]},
        {"text": [TEXT, " "], "visual": [VISUAL, []]},
        {"audio": [AUDIO, math.nan]},
    ],
    ids=["none", "empty", "spaces", "nan"],
)
def test_a_row_without_anything_is_an_error_that_names_it(unaligned, arguments):
    with pytest.raises(ValueError, match="none in row 1"):
        unaligned(**arguments)


@pytest.mark.parametrize("arguments", [{}, {"text": []}, {"text": None, "audio": None}, {"audio": []}], ids=repr)
def test_a_batch_without_rows_is_an_error(processor, arguments):
    with pytest.raises(ValueError, match="batch"):
        processor(**arguments)


@pytest.mark.parametrize("text", [math.nan, 7, ["it"]], ids=["nan", "number", "list"])
def test_text_that_is_no_text_is_an_error_that_names_the_row(processor, text):
    with pytest.raises(ValueError, match=r"text.*1"):
        processor([TEXT, text])


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": [TEXT], "audio": AUDIO},
        {"text": [TEXT, TEXT], "audio": [AUDIO]},
        {"text": [TEXT], "words": [WORDS, WORDS]},
        {"audio": [AUDIO], "visual": [VISUAL, VISUAL]},
    ],
    ids=["one-array", "audio", "words", "visual"],
)
def test_columns_of_unequal_lengths_are_an_error(unaligned, arguments):
    with pytest.raises(ValueError, match="same number of rows"):
        unaligned(**arguments)


def test_frames_of_another_size_are_an_error_that_names_stream_and_row(processor):
    with pytest.raises(ValueError, match=r"visual\[1\]: expected shape \(frames, 2\), got \(3, 3\)"):
        processor([TEXT, TEXT], None, [VISUAL, AUDIO], [WORDS, WORDS], visual_rate=1.0)


# Batches


@st.composite
def corpora(draw):
    vocabulary = ["i", "it", "the", "unbelievably", "boring", "movie", "\u6211\u559c", "not!"]
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        spoken = draw(st.lists(st.sampled_from(vocabulary), max_size=6))
        times = [round(i * 0.7, 2) for i in range(len(spoken))]
        known = draw(st.booleans())
        row = {
            "text": " ".join(spoken) or None,
            "words": [
                (word.strip("!"), t, t + 0.5) if known else (word.strip("!"), None, None)
                for word, t in zip(spoken, times, strict=True)
            ],
            "audio": frames_by_second(draw(st.integers(0, 12)), seed=draw(st.integers(0, 99))),
            "visual": frames_by_second(draw(st.integers(0, 12)), 2, seed=draw(st.integers(0, 99))),
            "audio_rate": draw(st.sampled_from([1.0, 2.5, 10.0])),
            "visual_rate": 3.0,
        }
        if not spoken and not len(row["audio"]) and not len(row["visual"]):
            row["text"], row["words"] = "it", [("it", 0.0, 1.0)]
        rows.append(row)
    return rows


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("alignment", ["word", "none"])
def test_the_company_of_a_row_never_changes_its_values(make_processor, family, alignment):
    processor = make_processor(family, alignment=alignment)

    @settings(FIXED, max_examples=25)
    @given(corpora())
    def check(rows):
        batch = processor.collate(rows)
        for i, row in enumerate(rows):
            alone = processor.collate([row])
            for key in KEYS:
                length = alone[key].shape[1]
                torch.testing.assert_close(batch[key][i, :length], alone[key][0], rtol=1e-6, atol=1e-6)
                padding = processor.tokenizer.pad_token_id if key == "input_ids" else 0
                assert (batch[key][i, length:] == padding).all()

    check()


@FIXED
@given(corpora())
def test_collating_rows_is_calling_with_their_columns(processor, rows):
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    assert_same(processor.collate(rows), processor(**columns))


def test_padding_to_the_limit_changes_no_value(make_processor):
    processor = make_processor(max_text_length=9)
    short, long = processor(**ROW), processor(**ROW, padding="max_length")
    assert all(long[key].shape[1] == 9 for key in KEYS)
    for key in KEYS:
        assert torch.equal(long[key][:, :5], short[key])
        assert not long[key][:, 5:].any()  # the padding token of this tokenizer is 0


def test_unaligned_streams_are_padded_to_limits_of_their_own(make_processor):
    processor = make_processor(alignment="none", max_text_length=9, max_audio_length=7, max_visual_length=2)
    batch = processor(TEXT, AUDIO, VISUAL, padding="max_length")
    assert [batch[key].shape[1] for key in KEYS] == [9, 9, 7, 7, 2, 2]
    assert batch["audio_attention_mask"].tolist() == [[1, 1, 1, 0, 0, 0, 0]]
    np.testing.assert_array_equal(batch["visual_values"][0], VISUAL[:2])


def test_numpy_arrays_come_out_on_request(processor):
    batch, tensors = processor(**ROW, return_tensors="np"), processor(**ROW)
    for key in KEYS:
        assert isinstance(batch[key], np.ndarray)
        np.testing.assert_array_equal(batch[key], tensors[key])


SINGLE = [
    {"text": TEXT},
    {"text": TEXT, "audio": AUDIO, "words": WORDS, "audio_rate": 1.0},
    {"audio": AUDIO, "audio_rate": 1.0},
    {"visual": torch.tensor(VISUAL), "visual_rate": 1.0},
    {"text": TEXT, "audio": AUDIO.tolist(), "words": WORDS, "audio_rate": 1.0},
]


@pytest.mark.parametrize("row", SINGLE, ids=["text", "text-audio", "audio", "visual", "lists"])
def test_one_utterance_is_a_batch_of_one(processor, row):
    batched = {key: value if key.endswith("rate") else [value] for key, value in row.items()}
    assert_same(processor(**row), processor(**batched))


# Text over the limit


def test_text_over_the_limit_is_cut_with_its_words_and_one_warning(make_processor, warned):
    processor = make_processor(max_text_length=4)
    batch = processor([TEXT, "it"], [AUDIO, AUDIO], None, [WORDS, [("it", 2, 3)]], audio_rate=1.0)
    assert batch["input_ids"].shape == (2, 4)
    assert batch["input_ids"][0, -1] == processor.tokenizer.sep_token_id
    expected = [[0.0] * 3, *AUDIO[:2].tolist(), [0.0] * 3]
    assert batch["audio_values"][0].tolist() == expected
    assert batch["audio_attention_mask"].tolist() == [[0, 1, 1, 0], [0, 1, 0, 0]]
    assert processor.repairs["text_cut"] == 1
    processor([TEXT, TEXT])
    assert processor.repairs["text_cut"] == 3
    assert len(warned) == 1
    assert "4 tokens" in warned[0]


def test_text_at_the_limit_is_neither_cut_nor_warned_of(make_processor, warned):
    processor = make_processor(max_text_length=5)
    assert processor(TEXT)["input_ids"].shape == (1, 5)
    assert processor.repairs["text_cut"] == 0
    assert warned == []


def test_a_tokenizers_own_limit_holds_where_none_is_given(make_processor, warned):
    processor = make_processor(tokenizer={"model_max_length": 16})
    num = 2000
    words = [("it", i, i + 1) for i in range(num)]
    batch = processor("it " * num, np.ones((num, 3)), None, words, audio_rate=1.0)
    assert batch["input_ids"].shape == (1, 16)
    assert batch["audio_attention_mask"].sum() == 14
    assert len(warned) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tokenizer_without_a_limit_cuts_nothing(make_processor, family, warned):
    processor = make_processor(family, tokenizer={"model_max_length": None})
    assert processor("it " * 100)["attention_mask"].sum() >= 102
    assert warned == []


def test_padding_to_a_limit_that_does_not_exist_is_padding_to_the_longest(make_processor):
    processor = make_processor(tokenizer={"model_max_length": None})
    batch = processor([TEXT, "it"], padding="max_length")
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


@pytest.mark.parametrize("limit", [0, -1, 1, 2])
def test_a_limit_that_leaves_no_room_for_the_special_tokens_is_refused(make_processor, limit):
    with pytest.raises(ValueError, match="max_text_length"):
        make_processor(max_text_length=limit)


@pytest.mark.parametrize("limit", [0, -1])
def test_no_limit_is_none_and_not_0_when_the_processor_is_made_of_a_text_model(tmp_path, limit):
    TEXT_CONFIGS["bert"].save_pretrained(tmp_path)
    FAMILIES["bert"](model_max_length=32).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"max_text_length: expected more than the 2 special tokens, got {limit}"):
        PGFNetProcessor.from_text_pretrained(str(tmp_path), max_text_length=limit, audio_dim=3, visual_dim=2)
    processor = PGFNetProcessor.from_text_pretrained(str(tmp_path), audio_dim=3, visual_dim=2)
    assert processor.max_text_length == 32
