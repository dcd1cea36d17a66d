"""The feature extractor: what it reads, repairs, normalises, pads, learns and saves."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoFeatureExtractor

from hf_msa.models import MsaFeatureExtractor

FIXED = settings(derandomize=True, deadline=None, max_examples=50)

AUDIO = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.5], [-7.0, 0.25, 9.0], [0.5, 1.5, 2.5]]


def extractor(**kwargs):
    return MsaFeatureExtractor(**({"audio_dim": 3, "visual_dim": 2} | kwargs))


def audio_of(batch, row=0):
    """The real frames of a row; what is behind the mask must be zero."""
    mask = batch["audio_attention_mask"][row].bool()
    assert not batch["audio_values"][row][~mask].any()
    return batch["audio_values"][row][mask]


def read_only(array):
    array.setflags(write=False)
    return array


FORMS = {
    "float16": lambda: np.array(AUDIO, dtype=np.float16),
    "float32": lambda: np.array(AUDIO, dtype=np.float32),
    "float64": lambda: np.array(AUDIO, dtype=np.float64),
    "read-only": lambda: read_only(np.array(AUDIO)),
    "every-other-row": lambda: np.repeat(np.array(AUDIO), 2, axis=0)[::2],
    "column-major": lambda: np.asfortranarray(AUDIO),
    "reversed": lambda: np.array(AUDIO[::-1])[::-1],
    "big-endian": lambda: np.array(AUDIO, dtype=">f4"),
    "lists": lambda: AUDIO,
    "tuples": lambda: tuple(map(tuple, AUDIO)),
    "list-of-arrays": lambda: [np.array(frame) for frame in AUDIO],
    "array-of-arrays": lambda: np.array([*map(np.array, AUDIO), None], dtype=object)[:-1],  # what pandas reads
    "list-of-tensors": lambda: [torch.tensor(frame) for frame in AUDIO],
    "torch": lambda: torch.tensor(AUDIO),
    "torch-float16": lambda: torch.tensor(AUDIO).half(),
    "torch-bfloat16": lambda: torch.tensor(AUDIO).bfloat16(),
    "torch-float64": lambda: torch.tensor(AUDIO).double(),
    "torch-transposed": lambda: torch.tensor(AUDIO).T.contiguous().T,
    "torch-with-gradient": lambda: torch.tensor(AUDIO, requires_grad=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_frames_are_read_from_every_kind_of_array(form):
    batch = extractor()(audio=[FORMS[form]()], visual=[None])
    assert batch["audio_values"].dtype == torch.float32
    assert not batch["audio_values"].requires_grad
    assert batch["audio_values"].tolist() == [AUDIO]
    assert batch["audio_attention_mask"].tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize("dtype", [np.int64, np.int16, np.uint8, bool])
def test_whole_numbers_become_floats(dtype):
    array = np.array([[0, 1, 1], [1, 0, 1]], dtype=dtype)
    batch = extractor()(audio=[array], visual=[None])
    assert batch["audio_values"].dtype == torch.float32
    assert batch["audio_values"].tolist() == [[[0, 1, 1], [1, 0, 1]]]


def test_the_callers_arrays_are_left_alone():
    array, tensor = np.array(AUDIO, dtype=np.float32), torch.tensor(AUDIO)
    array[0, 0] = tensor[0, 0] = math.nan
    model = extractor(audio_statistics={"mean": [1.0] * 3, "std": [2.0] * 3})
    batch = model(audio=[array, tensor], visual=[None, None])
    batch["audio_values"] += 100
    for kept in (array, tensor.numpy()):
        np.testing.assert_array_equal(kept, np.array([[math.nan, 2, 3], *AUDIO[1:]], dtype=np.float32))


MISSING = {
    "none": None,
    "no-frames": np.zeros((0, 3)),
    "no-frames-torch": torch.zeros(0, 3),
    "empty-list": [],
    "empty-array": np.array([]),
    "empty-object-array": np.array([], dtype=object),  # `datasets` with format "numpy" and nested lists
    "nan": math.nan,  # a null of `datasets`
    "numpy-nan": np.float32("nan"),
}


@pytest.mark.parametrize("form", MISSING)
def test_a_missing_stream_is_zeros_behind_a_mask_of_zeros(form):
    model = extractor(audio_statistics={"mean": [5.0] * 3, "std": [2.0] * 3})
    batch = model(audio=[AUDIO, MISSING[form]], visual=[None, None])
    assert batch["audio_attention_mask"].tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
    assert not batch["audio_values"][1].any()
    assert sum(model.repairs.values()) == 0


@pytest.mark.parametrize(
    "array",
    [
        AUDIO[0],
        [AUDIO],
        np.ones((4, 2)),
        np.ones((4, 4)),
        np.ones((0, 4)),
        np.ones((3, 4)).T[:, :2],
        3.0,
        [[1.0, 2.0, 3.0], [1.0]],
        [["a", "b", "c"]],
        "audio.wav",
        {"values": AUDIO},
    ],
    ids=[
        "1-D",
        "3-D",
        "few-columns",
        "many-columns",
        "empty-columns",
        "view",
        "scalar",
        "ragged",
        "text",
        "str",
        "dict",
    ],
)
def test_what_is_no_array_of_frames_is_an_error_that_names_stream_and_row(array):
    with pytest.raises(ValueError, match=r"audio\[1\]: expected .*\(frames, 3\)"):
        extractor()(audio=[AUDIO, array], visual=[None, None])


def test_streams_of_unequal_numbers_of_rows_are_an_error():
    with pytest.raises(ValueError, match="rows"):
        extractor()(audio=[AUDIO], visual=[None, None])


def test_batches_are_padded_to_the_longest_row():
    batch = extractor()(audio=[AUDIO[:1], AUDIO, AUDIO[:2]], visual=[None, [[1.0, 2.0]], None])
    assert batch["audio_values"].shape == (3, 4, 3)
    assert batch["audio_attention_mask"].tolist() == [[1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]
    assert [audio_of(batch, row).tolist() for row in range(3)] == [AUDIO[:1], AUDIO, AUDIO[:2]]
    assert batch["visual_values"].tolist() == [[[0, 0]], [[1, 2]], [[0, 0]]]
    assert batch["visual_attention_mask"].tolist() == [[0], [1], [0]]
    assert batch["audio_attention_mask"].dtype == torch.int64


def test_max_length_pads_and_cuts_to_the_limit():
    model = extractor(max_audio_length=3, max_visual_length=5)
    batch = model(audio=[AUDIO, AUDIO[:1]], visual=[[[1.0, 2.0]], None], padding="max_length")
    assert batch["audio_attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert audio_of(batch).tolist() == AUDIO[:3]
    assert batch["visual_attention_mask"].tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_frames_beyond_the_limit_are_cut_without_padding_to_it():
    batch = extractor(max_audio_length=3)(audio=[AUDIO[:2]], visual=[None])
    assert batch["audio_values"].shape == (1, 2, 3)
    batch = extractor(max_audio_length=3)(audio=[AUDIO], visual=[None])
    assert audio_of(batch).tolist() == AUDIO[:3]


@pytest.mark.parametrize("padding", ["max", True, None])
def test_another_padding_is_an_error(padding):
    with pytest.raises(ValueError, match="padding: expected 'longest' or 'max_length'"):
        extractor()(audio=[AUDIO], visual=[None], padding=padding)


def test_broken_values_become_the_mean_of_their_column_and_are_counted():
    statistics = {"mean": [1.0, 2.0, 4.0], "std": [2.0, 0.5, 4.0]}
    frames = [[math.nan, 3.0, 8.0], [3.0, math.inf, -math.inf]]
    model = extractor(audio_statistics=statistics)
    batch = model(audio=[frames], visual=[[[1.0, math.nan]]])
    assert batch["audio_values"].tolist() == [[[0.0, 2.0, 1.0], [1.0, 0.0, 0.0]]]
    assert batch["visual_values"].tolist() == [[[1.0, 0.0]]]
    assert (model.repairs["audio_nonfinite"], model.repairs["visual_nonfinite"]) == (3, 1)
    model(audio=[frames], visual=[None])
    assert model.repairs["audio_nonfinite"] == 6


def test_sound_frames_count_no_repairs():
    model = extractor()
    model(audio=[AUDIO], visual=[[[1.0, 2.0]]])
    assert sum(model.repairs.values()) == 0


@pytest.mark.parametrize(
    ("value", "std"), [(1e300, 1.0), (1e38, 1e-3), (3e38, 1.0)], ids=["beyond-float32", "beyond-when-scaled", "large"]
)
@pytest.mark.parametrize(
    "intervals", [None, [[[(0.0, 1.0)], [(1.0, 2.0)], []]], [[]]], ids=["frames", "words", "no-text"]
)
def test_huge_values_never_leave_the_finite_numbers(value, std, intervals):
    frames = np.array([[value] * 3, [value] * 3, [1.0] * 3, [1.0] * 3])
    model = extractor(audio_statistics={"mean": [0.0] * 3, "std": [std] * 3})
    batch = model(audio=[frames], visual=[None], audio_rate=1.0, intervals=intervals)
    assert torch.isfinite(batch["audio_values"]).all()


def test_one_huge_value_leaves_the_frames_of_other_words_alone():
    model = extractor(audio_statistics={"mean": [0.0] * 3, "std": [1e-3] * 3})
    frames = np.array([[1.0] * 3, [2e38] * 3])
    batch = model(audio=[frames], visual=[None], audio_rate=1.0, intervals=[[[], [(0.0, 1.0)], [(1.0, 2.0)]]])
    assert batch["audio_values"][0, :2].tolist() == [[0.0] * 3, pytest.approx([1000.0] * 3)]


@pytest.mark.parametrize(
    ("key", "column"), [("std", 0.0), ("std", math.nan), ("std", -1.0), ("mean", math.nan), ("mean", math.inf)]
)
def test_statistics_that_cannot_normalise_are_refused(key, column):
    statistics = {"mean": [0.0] * 3, "std": [1.0] * 3}
    statistics[key][1] = column
    with pytest.raises(ValueError, match="audio_statistics"):
        extractor(audio_statistics=statistics)


def test_statistics_come_from_all_finite_frames_of_the_dataset():
    rng = np.random.default_rng(0)
    rows = [{"audio": rng.normal([1, -20, 300], [0.1, 5, 60], (length, 3)), "visual": None} for length in (1, 7, 30)]
    every = np.concatenate([row["audio"] for row in rows])
    rows += [{"audio": [[math.nan, math.inf, -math.inf]], "visual": np.zeros((0, 2))}, {"visual": [[1.0, 2.0]]}]
    model = extractor().fit(iter(rows))
    np.testing.assert_allclose(model.audio_statistics["mean"], every.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(model.audio_statistics["std"], every.std(axis=0), rtol=1e-4)
    normalised = torch.cat([audio_of(model(audio=[row["audio"]], visual=[None])) for row in rows[:3]])
    np.testing.assert_allclose(normalised.mean(dim=0), np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(normalised.std(dim=0, correction=0), np.ones(3), atol=1e-4)


def test_far_from_zero_the_deviation_of_a_column_is_still_right():
    column = np.array([100000.0, 100001.0, 100002.0])
    model = extractor().fit([{"audio": np.stack([column] * 3, axis=1)}])
    assert model.audio_statistics["std"] == pytest.approx([math.sqrt(2 / 3)] * 3, rel=1e-3)


def test_a_column_that_never_changes_is_only_shifted():
    model = extractor().fit([{"audio": [[2.0, 5e6, 0.1]] * 3}])
    batch = model(audio=[[[2.0, 5e6, 0.1], [3.0, 5e6 + 1, 1.1]]], visual=[None])
    assert batch["audio_values"].tolist() == [[[0.0, 0.0, 0.0], pytest.approx([1.0, 1.0, 1.0])]]


def test_a_stream_that_the_dataset_does_not_have_stays_as_it_is():
    model = extractor().fit([{"audio": AUDIO}])
    assert model(audio=[None], visual=[[[3.0, 4.0]]])["visual_values"].tolist() == [[[3.0, 4.0]]]


def by_speaker():
    rows = [
        {"audio": np.array(AUDIO) + shift, "speaker": name} for name, shift in (("ann", 0), ("ann", 4), ("bob", 50))
    ]
    return rows, extractor().fit(rows, by="speaker")


def test_every_speaker_is_normalised_with_their_own_frames():
    rows, model = by_speaker()
    ann, bob = np.concatenate([rows[0]["audio"], rows[1]["audio"]]), rows[2]["audio"]
    frames = [AUDIO, AUDIO, AUDIO, AUDIO]
    batch = model(audio=frames, visual=[None] * 4, speaker=["ann", "bob", "somebody", None])
    for row, own in enumerate([ann, bob, np.concatenate([ann, bob]), np.concatenate([ann, bob])]):
        expected = (np.array(AUDIO) - own.mean(axis=0)) / own.std(axis=0)
        np.testing.assert_allclose(audio_of(batch, row), expected, rtol=1e-4, atol=1e-5)
    without = model(audio=frames[:1], visual=[None])
    assert torch.equal(audio_of(without), audio_of(batch, 2))


def test_adapting_adds_speakers_and_keeps_all_other_statistics():
    _, model = by_speaker()
    before = copy.deepcopy(model.audio_statistics)
    model.adapt([{"audio": np.array(AUDIO) * 10, "speaker": "cleo"}])
    added = model.audio_statistics["speakers"].pop("cleo")
    assert model.audio_statistics == before
    np.testing.assert_allclose(added["mean"], np.mean(AUDIO, axis=0) * 10, rtol=1e-6)


def test_a_speaker_called_none_is_not_taken_for_a_row_without_one():
    model = extractor().fit([{"audio": AUDIO, "speaker": "ann"}], by="speaker")
    model.adapt([{"audio": np.array(AUDIO) * 3, "speaker": "None"}])
    frames = {"audio": [AUDIO], "visual": [None]}
    assert torch.equal(model(**frames, speaker=[None])["audio_values"], model(**frames)["audio_values"])
    assert not torch.equal(model(**frames, speaker=["None"])["audio_values"], model(**frames)["audio_values"])


def test_adapting_before_fitting_by_speaker_is_an_error():
    with pytest.raises(ValueError, match="by speaker"):
        extractor().fit([{"audio": AUDIO}]).adapt([{"audio": AUDIO, "speaker": "ann"}])


@pytest.mark.parametrize(
    ("rows", "by", "message"),
    [
        ([{"audio": AUDIO}], "gender", "by: expected None or 'speaker'"),
        ([{"audio": AUDIO, "speaker": "ann"}, {"audio": AUDIO}], "speaker", "row 1"),
        ([], None, "at least one row"),
        ([{"audio": AUDIO}, {"audio": [[1.0]]}], None, r"audio\[1\]"),
    ],
)
def test_fitting_on_what_cannot_be_measured_is_an_error(rows, by, message):
    with pytest.raises(ValueError, match=message):
        extractor().fit(rows, by=by)


@pytest.mark.parametrize(
    "names",
    [["ann", "bob"], [1, 2], [np.int64(1), np.int64(2)], [torch.tensor(1), torch.tensor(2)]],
    ids=["str", "int", "numpy-int", "torch-int"],
)
def test_speakers_are_still_known_after_saving(tmp_path, names):
    plain = [name if isinstance(name, str) else int(name) for name in names]
    rows = [{"audio": np.array(AUDIO) * (1 + 9 * i), "speaker": name} for i, name in enumerate(names)]
    model = extractor().fit(rows, by="speaker")
    model.save_pretrained(tmp_path)
    loaded = MsaFeatureExtractor.from_pretrained(tmp_path)
    arrays = {"audio": [AUDIO, AUDIO], "visual": [None, None], "speaker": names}
    for speaker in (names, plain):
        assert torch.equal(loaded(**(arrays | {"speaker": speaker}))["audio_values"], model(**arrays)["audio_values"])
    assert not torch.equal(*(audio_of(model(**arrays), row) for row in (0, 1)))


@pytest.mark.parametrize("speaker", [["ann"], ["ann", "bob", "ann"]], ids=["few", "many"])
def test_another_number_of_speakers_than_rows_is_an_error(speaker):
    _, model = by_speaker()
    with pytest.raises(ValueError, match="speaker"):
        model(audio=[AUDIO, AUDIO], visual=[None, None], speaker=speaker)


@pytest.mark.filterwarnings("ignore:audio. expected finite values")
def test_a_saved_extractor_loads_with_everything_but_its_counts(tmp_path):
    features = {"name": "covarep", "version": "1.4", "columns": ["a", "b", "c"], "rate": 100.0}
    model = extractor(audio_features=features, max_audio_length=3, max_visual_length=9).fit([{"audio": AUDIO}])
    model(audio=[[[math.nan] * 3]], visual=[None])
    model.save_pretrained(tmp_path)
    assert "repairs" not in json.loads((tmp_path / "preprocessor_config.json").read_text())
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert type(loaded) is MsaFeatureExtractor
    for name in ("dim", "statistics", "features"):
        for stream in ("audio", "visual"):
            assert getattr(loaded, f"{stream}_{name}") == getattr(model, f"{stream}_{name}")
    assert (loaded.max_audio_length, loaded.max_visual_length) == (3, 9)
    assert sum(loaded.repairs.values()) == 0


@pytest.mark.parametrize(
    "kwargs",
    [
        {"audio_dim": 0},
        {"visual_dim": 2.0},
        {"audio_statistics": {"mean": [0.0] * 3}},
        {"audio_statistics": {"mean": [0.0] * 2, "std": [1.0] * 2}},
        {"visual_features": {"name": "openface", "columns": ["a", "b", "c"]}},
    ],
    ids=lambda kwargs: next(iter(kwargs)),
)
def test_an_extractor_that_contradicts_itself_is_refused(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        extractor(**kwargs)


def test_features_of_another_name_are_refused_and_unknown_ones_pass():
    model = extractor(audio_features={"name": "covarep"})
    for given_features in ("covarep", {"name": "covarep", "rate": 50.0}, None, {"name": None}):
        model.check_features(audio_features=given_features, visual_features="anything")
    with pytest.raises(ValueError, match=r"audio_features: expected 'covarep'.*got 'egemaps'"):
        model.check_features(audio_features={"name": "egemaps"})


ONE_RATE = [10, 10.0, np.float32(10), np.array(10.0), torch.tensor(10.0)]
ROW_RATES = [[10.0, 5.0], (10, 5), np.array([10.0, 5.0]), torch.tensor([10.0, 5.0])]


@pytest.mark.parametrize("rate", ONE_RATE + ROW_RATES, ids=repr)
def test_a_rate_is_one_number_or_one_per_row(rate):
    second = 5.0 if any(rate is rates for rates in ROW_RATES) else 10.0
    assert extractor().rates("audio", rate, [AUDIO, AUDIO]) == [10.0, second]


@pytest.mark.parametrize("rate", [None, 0, -1.0, math.nan, math.inf, [10.0], [10.0, 5.0, 1.0], [10.0, None]], ids=repr)
def test_an_impossible_rate_is_an_error(rate):
    with pytest.raises(ValueError, match="audio_rate: expected"):
        extractor().rates("audio", rate, [AUDIO, AUDIO])


def test_a_row_without_frames_needs_no_rate():
    assert extractor().rates("audio", [10.0, None], [AUDIO, []])[0] == 10.0


@pytest.mark.parametrize("rate", [None, [None, 5.0]], ids=["no-rates", "one-row-without"])
def test_the_recorded_rate_stands_in_where_the_call_gives_none(rate):
    model = extractor(audio_features={"name": "covarep", "rate": 100.0})
    assert model.rates("audio", rate, [AUDIO, AUDIO]) == [100.0, 100.0 if rate is None else 5.0]


@st.composite
def streams(draw):
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        length, seed = draw(st.integers(0, 9)), draw(st.integers(0, 2**32 - 1))
        array = np.random.default_rng(seed).normal(size=(length, 3))
        array[np.random.default_rng(seed).random((length, 3)) < 0.1] = draw(st.sampled_from([0.0, math.nan, math.inf]))
        rows.append(None if draw(st.booleans()) and not length else array)
    return rows


@FIXED
@given(streams(), st.sampled_from(["longest", "max_length"]))
def test_a_row_has_the_same_values_alone_and_in_any_batch(rows, padding):
    model = extractor(audio_statistics={"mean": [0.5] * 3, "std": [3.0] * 3}, max_audio_length=7)
    batch = model(audio=rows, visual=[None] * len(rows), padding=padding)
    for i, row in enumerate(rows):
        alone = model(audio=[row], visual=[None])
        assert torch.equal(audio_of(batch, i), audio_of(alone))
        assert audio_of(batch, i).shape[0] == (0 if row is None else min(7, len(row)))


def test_an_unknown_keyword_is_refused():
    with pytest.raises(ValueError, match=r"unknown keyword.*'audio_dims'"):
        MsaFeatureExtractor(audio_dims=3)


def test_another_version_of_the_same_features_is_refused():
    extractor = MsaFeatureExtractor(audio_dim=3, audio_features={"name": "eGeMAPS", "version": "v02"})
    extractor.check_features(audio_features={"name": "eGeMAPS"})
    with pytest.raises(ValueError, match=r"audio_features: expected 'v02'.*got 'v01' as version"):
        extractor.check_features(audio_features={"name": "eGeMAPS", "version": "v01"})
