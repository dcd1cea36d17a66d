"""What a processor is given that cannot be meant: one line that names the argument, whatever the alignment."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from spoken import AUDIO, ROW, TEXT, VISUAL, WORDS, assert_same

from hf_msa.errors import MsaError, MsaWarning

NAN = np.full((3, 3), math.nan, np.float32)
ZEROS_AND_NAN = np.array([[0.0, math.nan, 0.0], [-math.inf, 0.0, math.inf]])


@pytest.fixture(params=["word", "none"])
def either(request, make_processor):
    """Return a processor of either alignment."""
    return make_processor(alignment=request.param)


# Streams without a finite value


@pytest.mark.parametrize("frames", [NAN, np.full((2, 3), math.inf), ZEROS_AND_NAN, np.full((1, 3), 1e300)])
def test_a_stream_without_a_finite_value_is_missing(either, frames):
    row = {key: ROW[key] for key in ("text", "visual", "words", "visual_rate")}
    with pytest.warns(MsaWarning, match=r"audio: expected finite values, got none in row 0; .* counts as missing"):
        batch = either(**row, audio=frames, audio_rate=1.0)
    assert_same(batch, either(**row))
    assert either.repairs["utterances_with_audio_of_nan"] == 1


def test_such_a_stream_is_warned_of_once_and_counted_every_time(unaligned, make_processor):
    processor = make_processor(alignment="none")
    rows = [{"text": TEXT, "audio": NAN}, {"text": TEXT, "audio": AUDIO, "visual": NAN[:, :2]}]
    with pytest.warns(MsaWarning) as warned:
        [processor.collate(rows) for _ in range(3)]
    assert [str(warning.message).partition(",")[0] for warning in warned] == [
        "audio: expected finite values",
        "visual: expected finite values",
    ]
    assert processor.repairs["utterances_with_audio_of_nan"] == 3
    assert processor.repairs["audio_nonfinite"] == 27


def test_a_row_of_nothing_but_such_a_stream_has_no_stream(unaligned):
    with (
        pytest.raises(MsaError, match=r"batch: expected .* in every row, got none in row 1"),
        pytest.warns(MsaWarning),
    ):
        unaligned(audio=[AUDIO, NAN])


def test_zeros_are_a_measurement_and_one_finite_value_is_enough(unaligned):
    zeros, one = np.zeros((3, 3)), NAN.copy()
    one[1, 1] = 0.5
    batch = unaligned([TEXT] * 2, [zeros, one])
    assert batch["audio_attention_mask"].tolist() == [[1, 1, 1]] * 2
    assert batch["audio_values"][1].tolist() == [[0, 0, 0], [0, 0.5, 0], [0, 0, 0]]


# Arguments that stand beside the streams

ODD = [
    ({"words": 3}, "words"),
    ({"words": "i loved it"}, r"words\[0\]: expected a list of \(word, start, end\), got 'i loved it'"),
    ({"words": {}}, r"words\[0\]: expected a list of \(word, start, end\), got {}"),
    ({"words": [3]}, r"words\[0\]\[0\]: expected \(word, start, end\) in seconds, got 3"),
    ({"words": [("i", "0", 1)]}, r"words\[0\]\[0\]"),
    ({"words": [("i", 2, 1)]}, r"words\[0\]\[0\]: expected end >= start"),
    ({"words": [(7, 0, 1)]}, r"words\[0\]\[0\]: expected a word"),
    ({"audio_rate": "fast"}, "audio_rate: expected frames per second, got 'fast' for row 0"),
    ({"audio_rate": "100"}, "audio_rate: expected frames per second, got '100' for row 0"),
    ({"audio_rate": True}, "audio_rate: expected frames per second, got True"),
    ({"audio_rate": -1}, "audio_rate: expected frames per second, got -1"),
    ({"audio_rate": math.inf}, "audio_rate: expected frames per second, got inf"),
    ({"audio_rate": {}}, "audio_rate: expected frames per second"),
    ({"audio_rate": [1.0, 2.0]}, "audio_rate: expected one rate or 1, got 2"),
    ({"visual_rate": 0}, "visual_rate: expected frames per second, got 0"),
    ({"speaker": 3.5}, "speaker: expected"),
    ({"speaker": [["ann"]]}, r"speaker: expected a name or a number for every row, got \['ann'\]"),
    ({"speaker": [True]}, "speaker: expected a name or a number for every row, got True"),
    ({"speaker": {}}, "speaker: expected a list with an entry per row, got dict"),
    ({"speaker": {"ann"}}, "speaker: expected a list with an entry per row, got set"),
    ({"audio_features": 3}, "audio_features: expected a name"),
    ({"audio_features": ["covarep"]}, "audio_features: expected a name"),
    ({"audio_features": {"name": ["covarep"]}}, "audio_features: expected a name"),
    ({"audio_features": {"nam": "covarep"}}, "audio_features: expected some of name, version, columns, rate, got"),
    ({"audio_features": {"name": "covarep", "rate": -1}}, "audio_rate: expected frames per second, got -1"),
    ({"visual_features": b"openface"}, "visual_features: expected a name"),
]


@pytest.mark.parametrize(("odd", "message"), ODD, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_what_cannot_be_meant_is_refused_whether_or_not_it_would_be_used(either, odd, message):
    row = {key: value for key, value in ROW.items() if not (key == "audio_rate" and "audio_features" in odd)}
    with pytest.raises(MsaError, match=f"^{message}"):
        either(**row | odd)


@pytest.mark.parametrize("null", [None, math.nan, np.float32("nan")], ids=repr)
def test_a_null_of_a_dataset_is_no_word_rate_or_speaker(unaligned, null):
    row = {"text": TEXT, "audio": AUDIO, "visual": VISUAL}
    nulls = {"words": null, "audio_rate": null, "visual_rate": null, "speaker": null}
    assert_same(unaligned.collate([row | nulls]), unaligned.collate([row]))


def test_a_speaker_is_the_same_as_a_whole_float_and_as_a_number(make_processor):
    processor = make_processor(alignment="none")
    rows = [{"audio": AUDIO * scale, "speaker": number} for scale, number in ((1, 1.0), (5, 2.0))]
    processor.fit(rows, by="speaker")
    assert list(processor.feature_extractor.audio_statistics["speakers"]) == ["1", "2"]
    with pytest.raises(MsaError, match="by: expected a column 'speaker' in every row, got none in row 1"):
        processor.fit([rows[0], {"audio": AUDIO, "speaker": math.nan}], by="speaker")


@pytest.mark.parametrize("name", ["text", "audio", "visual", "words"])
@pytest.mark.parametrize(
    "given",
    [{"a", "b"}, 3, {0: "a"}, (entry for entry in "ab"), torch.tensor(1.0)],
    ids=lambda given: type(given).__name__,  # not their values, which processes print differently
)
def test_a_column_without_an_entry_per_row_is_one_line(unaligned, name, given):
    remedy = "; list(...) makes one of it" if type(given).__name__ == "generator" else ""
    row = {"text": [TEXT] * 2, "audio": [AUDIO] * 2} | {name: given}
    with pytest.raises(MsaError) as caught:
        unaligned(**row)
    found = f"{type(given).__name__}{remedy}"
    assert str(caught.value) == f"{name}: expected a list with an entry per row, got {found}"


def test_the_columns_of_a_table_are_read_by_row_whatever_their_index(unaligned):
    columns = {"text": [TEXT, "it"], "audio": [AUDIO, AUDIO * 2], "speaker": ["ann", "bob"], "audio_rate": [1.0, 2.0]}
    batch = unaligned(**dict(pd.DataFrame(columns, index=[7, 9])))
    assert_same(batch, unaligned([TEXT, "it"], [AUDIO, AUDIO * 2]))


@pytest.mark.parametrize(
    ("unknown", "hint"),
    [
        ({"texts": ["a"]}, "'texts'; did you mean 'text'?"),
        ({"x": 1, "zz": 2}, "'x', 'zz'; expected some of text, audio"),
    ],
)
def test_an_unknown_argument_is_named_with_the_one_that_may_be_meant(unaligned, unknown, hint):
    with pytest.raises(MsaError) as caught:
        unaligned(**{"text": [TEXT]} | unknown)
    assert str(caught.value).startswith(f"PGFNetProcessor: unknown argument(s) {hint}")


# Numbers


@pytest.mark.parametrize(
    "number", [5, np.int64(5), np.uint8(5), torch.tensor(5)], ids=lambda value: type(value).__name__
)
def test_a_whole_number_is_one_whoever_made_it(unaligned, make_processor, tmp_path, number):
    long = "i loved it i loved it"
    expected = unaligned([long], max_length=5)
    assert expected["input_ids"].shape == (1, 5)
    assert_same(unaligned([long], max_length=number), expected)
    processor = make_processor(alignment="none", max_text_length=number, audio_dim=number, max_audio_length=number)
    assert_same(processor([long]), expected | {"audio_values": torch.zeros(1, 1, 5)})
    processor.save_pretrained(tmp_path)  # as JSON, which knows no numpy
    assert type(processor).from_pretrained(tmp_path).max_text_length == 5


@pytest.mark.parametrize("number", [5.0, True, "5", [5], -1, 0, math.nan], ids=repr)
@pytest.mark.parametrize("name", ["max_text_length", "audio_dim", "max_audio_length"])
def test_another_number_is_refused_by_name(make_processor, name, number):
    with pytest.raises(MsaError, match=f"{name}: expected"):
        make_processor(**{name: number})


def test_a_limit_beyond_every_machine_number_is_none(unaligned, make_processor):
    huge = make_processor(alignment="none", max_text_length=10**20)
    assert_same(huge([TEXT]), unaligned([TEXT]))
    assert_same(unaligned([TEXT], max_length=10**20), unaligned([TEXT]))


def test_the_words_that_are_given_need_not_match_a_text_that_they_are_not_aligned_to(unaligned):
    assert_same(unaligned(TEXT, AUDIO, words=WORDS[:1]), unaligned(TEXT, AUDIO))
