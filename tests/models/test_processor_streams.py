"""The streams of a processor: what its model was not trained with never reaches the model."""

import itertools
import json

import numpy as np
import pytest
import torch
from tiny_tokenizers import FAMILIES
from transformers import AutoProcessor

from hf_msa.models import MsaFeatureExtractor, PGFNetProcessor

ALL = ("text", "audio", "visual")
SUBSETS = [streams for size in (1, 2, 3) for streams in itertools.combinations(ALL, size)]
LEFT_OUT = [(streams, stream) for streams in SUBSETS for stream in ALL if stream not in streams]
WORDS = [("i", 0.0, 0.2), ("loved", 0.2, 0.6), ("it", 0.6, 0.8)]


def make(streams=ALL, alignment="none", **options):
    extractor = MsaFeatureExtractor(audio_dim=3, visual_dim=2)
    return PGFNetProcessor(extractor, FAMILIES["bert"](), alignment, streams=streams, **options)


def rows(number=3):
    rng = np.random.default_rng(0)
    return [
        {
            "id": f"clip{i}",
            "text": "i loved it",
            "words": WORDS,
            "audio": rng.normal(size=(8 - i, 3)).astype(np.float32),
            "visual": rng.normal(size=(4 + i, 2)).astype(np.float32),
            "audio_rate": 10.0,
            "visual_rate": 5.0,
            "label": i / 2,
        }
        for i in range(number)
    ]


def without(row, *streams):
    return {key: None if key in streams else value for key, value in row.items()}


def only(row, streams):
    return without(row, *(stream for stream in ALL if stream not in streams))


def assert_same(left, right):
    assert left.keys() == right.keys()
    for key, value in left.items():
        assert torch.equal(value, right[key]), key


@pytest.mark.parametrize("alignment", ["none", "word"])
@pytest.mark.parametrize("streams", SUBSETS, ids="+".join)
def test_collating_leaves_out_what_the_model_was_not_trained_with(streams, alignment):
    batch = make(streams, alignment).collate(rows())
    assert_same(batch, make(alignment=alignment).collate([only(row, streams) for row in rows()]))
    assert batch["labels"].tolist() == [0, 0.5, 1]
    for stream in ("audio", "visual"):
        assert bool(batch[f"{stream}_attention_mask"].any()) is (stream in streams)
        assert bool(batch[f"{stream}_values"].any()) is (stream in streams)
    assert (batch["attention_mask"].sum() > 6) == ("text" in streams)  # two special tokens a row are no text


@pytest.mark.parametrize(("streams", "stream"), LEFT_OUT, ids=str)
def test_a_call_with_a_stream_that_was_not_trained_is_refused(streams, stream):
    (row,) = rows(1)
    message = f"{stream}: expected none, since this model was trained with {', '.join(streams)} only"
    with pytest.raises(ValueError, match=message):
        make(streams)(**{name: [row[name]] for name in (*streams, stream)})
    with pytest.raises(ValueError, match=message):
        make(streams)(**{stream: [row[stream]]})
    with pytest.raises(ValueError, match=message):  # in any row
        make(streams)(**{name: [row[name]] * 2 for name in streams}, **{stream: [None, row[stream]]})


@pytest.mark.parametrize(("streams", "stream"), LEFT_OUT, ids=str)
def test_a_call_may_say_that_an_untrained_stream_is_missing(streams, stream):
    (row,) = rows(1)
    given = {name: [row[name]] for name in streams}
    empty = {"text": "", "audio": np.zeros((0, 3)), "visual": np.zeros((0, 2))}[stream]
    for missing in (None, [None], [empty]):
        assert_same(make(streams)(**given, **{stream: missing}), make(streams)(**given))


@pytest.mark.parametrize("streams", SUBSETS, ids="+".join)
def test_streams_are_saved_and_loaded(streams, tmp_path):
    processor = make(streams)
    processor.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "processor_config.json").read_text())["streams"] == list(streams)
    for loaded in (PGFNetProcessor.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)):
        assert loaded.streams == list(streams)
        assert_same(loaded.collate(rows()), processor.collate(rows()))


def test_a_processor_that_was_saved_without_streams_takes_all(tmp_path):
    make().save_pretrained(tmp_path)
    path = tmp_path / "processor_config.json"
    path.write_text(
        json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "streams"})
    )
    assert PGFNetProcessor.from_pretrained(tmp_path).streams == list(ALL)


def test_streams_stand_in_the_one_order_and_belong_to_one_processor():
    streams = ["visual", "text"]
    processor = make(streams)
    assert processor.streams == ["text", "visual"]
    processor.streams.append("audio")
    assert streams == ["visual", "text"]
    assert make(streams).streams == ["text", "visual"]
    assert make().streams == list(ALL)


@pytest.mark.parametrize("streams", [[], ["gaze"], ["text", "gaze"], ["text", "text"], "text", "audio", ["Text"]])
def test_a_wrong_stream_is_refused(streams):
    with pytest.raises(ValueError, match="streams: expected some of text, audio, visual, each once, got"):
        make(streams)


@pytest.mark.parametrize("streams", [("text",), ("audio",), ("text", "visual")], ids="+".join)
@pytest.mark.parametrize("number", [1, 3])
def test_a_row_of_nothing_but_what_is_left_out_is_a_clear_error(streams, number):
    (stream,) = [stream for stream in ("visual", "audio") if stream not in streams][:1]
    batch = rows(number)
    batch[-1] = only(batch[-1], [stream])
    message = f"batch: expected {' or '.join(streams)} in every row, got none in row {number - 1}$"
    with pytest.raises(ValueError, match=message):
        make(streams).collate(batch)


def test_rows_without_any_stream_are_a_clear_error():
    with pytest.raises(ValueError, match=r"batch: expected text, audio or visual in every row, got none in row 0$"):
        make().collate([{"text": None, "label": 1.0}])
    with pytest.raises(ValueError, match=r"rows: expected text, audio or visual, got id, label; "):
        make().collate([{"id": "a", "label": 1.0}])
    with pytest.raises(ValueError, match="batch: expected at least one row, got none"):
        make().collate([])


def test_words_and_rates_without_text_are_not_asked_for():
    batch = make(["audio"], "word").collate([{"audio": np.ones((4, 3), np.float32), "label": 1.0}])
    assert batch["audio_attention_mask"].sum() == 1


def test_a_left_out_stream_may_be_damaged_or_of_another_width():
    batch = rows(1)
    damaged = [batch[0] | {"audio": np.full((2, 9), np.nan), "visual": "not an array", "audio_rate": -1}]
    assert_same(make(["text"]).collate(damaged), make(["text"]).collate(batch))
