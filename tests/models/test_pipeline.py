"""The pipeline: features of an utterance in; score, label and explanation out."""

import math

import datasets
import numpy as np
import pytest
import torch
from tiny_tokenizers import FAMILIES
from transformers import BertConfig, pipeline

from hf_msa.models import MsaPipeline, PGFNetConfig, PGFNetForSequenceClassification, PGFNetProcessor

TEXT = "i loved it"
WORDS = [("i", 0.0, 1.0), ("loved", 1.0, 2.0), ("it", 2.0, 3.0)]
AUDIO = np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3)
VISUAL = np.linspace(2, -1, 8, dtype=np.float32).reshape(4, 2)
FULL = {"text": TEXT, "audio": AUDIO, "visual": VISUAL, "words": WORDS, "audio_rate": 1.0, "visual_rate": 1.0}
LONG = "the unbelievably boring movie it was not bad"
INPUTS = [
    FULL,
    {"text": TEXT},
    {"audio": AUDIO, "audio_rate": 1.0},
    {"visual": VISUAL, "visual_rate": 4.0},
    {
        "text": LONG,
        "audio": np.tile(AUDIO, (4, 1)),
        "audio_rate": 2.0,
        "words": [(w, None, None) for w in LONG.split()],
    },
    {key: value for key, value in FULL.items() if not key.startswith("audio")},
    {"text": None, "audio": AUDIO[:1], "visual": VISUAL, "audio_rate": 1.0, "visual_rate": 1.0},
    {"text": LONG, "audio": np.zeros((0, 3)), "visual": None},
]
IDS = ["all", "text", "audio", "visual", "text-audio", "text-visual", "audio-visual", "text-empty-audio"]


def tiny_model(bias=None, vocab_size=120, **config):
    """A model with loud random weights; with `bias`, a head that says just that, whatever goes in."""
    torch.manual_seed(0)
    text_config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    model = PGFNetForSequenceClassification(
        PGFNetConfig(text_config=text_config, audio_dim=3, visual_dim=2, classifier_hidden_size=8, **config)
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
        if bias is not None:
            model.classifier.output.weight.zero_()
            model.classifier.output.bias.copy_(torch.tensor(bias))
    return model.eval()


@pytest.fixture(scope="module")
def pipe(make_processor):
    return MsaPipeline(model=tiny_model(), processor=make_processor())


@pytest.fixture(scope="module")
def alone(pipe):
    """Every input by itself, explained."""
    return [pipe(row, explain=True) for row in INPUTS]


@pytest.mark.parametrize("row", INPUTS, ids=IDS)
def test_the_score_is_what_the_model_says_of_the_processors_batch(pipe, row):
    batch = pipe.processor.collate([row])
    with torch.no_grad():
        expected = pipe.model(**batch).logits.item()
    assert pipe(row)["score"] == pytest.approx(expected, abs=1e-6)


def test_every_stream_moves_the_score(alone):
    scores = [result["score"] for result in alone[:6]]
    assert len({round(score, 4) for score in scores}) == 6


@pytest.mark.parametrize("explain", [False, True], ids=["plain", "explained"])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("container", [list, lambda rows: (row for row in rows)], ids=["list", "generator"])
def test_many_at_once_give_the_same_as_one_by_one(pipe, alone, container, batch_size, explain):
    results = list(pipe(container(INPUTS), batch_size=batch_size, explain=explain))
    assert len(results) == len(INPUTS)
    for result, expected in zip(results, alone, strict=True):
        assert result["score"] == pytest.approx(expected["score"], abs=1e-5)
        assert result["label"] == expected["label"]
        assert set(result) == ({"score", "label", "words", "shares"} if explain else {"score", "label"})
        if explain:
            assert result["shares"] == pytest.approx(expected["shares"], abs=1e-5)
            assert [word["word"] for word in result["words"]] == [word["word"] for word in expected["words"]]
            shares = [word["text_share"] for word in result["words"]]
            assert shares == pytest.approx([word["text_share"] for word in expected["words"]], abs=1e-5)


@pytest.mark.parametrize("container", [tuple, iter], ids=["tuple", "iterator"])
def test_a_tuple_or_an_iterator_goes_in_as_a_whole(pipe, alone, container):
    results = list(pipe(container(INPUTS[:2])))
    assert [result["score"] for result in results] == pytest.approx([row["score"] for row in alone[:2]], abs=1e-5)


@pytest.mark.parametrize("style", [None, "numpy", "torch"])
def test_a_dataset_goes_in_as_a_whole(pipe, style):
    rows = [{"text": TEXT}, {"text": "it was not bad"}]
    labelled = [row | {"id": str(i), "label": 0.5} for i, row in enumerate(rows)]
    results = list(pipe(datasets.Dataset.from_list(labelled).with_format(style), batch_size=2))
    assert [result["score"] for result in results] == pytest.approx([pipe(row)["score"] for row in rows], abs=1e-5)


# Labels


@pytest.mark.parametrize(
    ("label_range", "score", "label"),
    [
        ((-3, 3), 0.0, "neutral"),
        ((-3, 3), 0.5, "neutral"),
        ((-3, 3), 0.51, "positive"),
        ((-3, 3), -0.5, "neutral"),
        ((-3, 3), -0.51, "negative"),
        ((-3, 3), 4.0, "positive"),
        ((-1, 1), 0.16, "neutral"),
        ((-1, 1), 0.17, "positive"),
        ((-1, 1), -0.16, "neutral"),
        ((-1, 1), -0.17, "negative"),
        ((0, 6), 3.4, "neutral"),
        ((0, 6), 0.2, "negative"),
        (None, 2.0, None),
    ],
)
def test_the_label_of_a_score_follows_from_the_label_range(make_processor, label_range, score, label):
    pipe = MsaPipeline(model=tiny_model(bias=[score], label_range=label_range), processor=make_processor())
    result = pipe({"text": TEXT})
    assert result == {"score": pytest.approx(score), "label": label}


@pytest.mark.parametrize(("bias", "label"), [([0.0, 2.0, 1.0], "neutral"), ([0.0, 1.0, 2.0], "positive")])
def test_classes_give_the_name_of_the_likeliest_and_its_probability(make_processor, bias, label):
    names = {0: "negative", 1: "neutral", 2: "positive"}
    pipe = MsaPipeline(model=tiny_model(bias=bias, id2label=names), processor=make_processor())
    result = pipe({"text": TEXT})
    # e^2 / (e^0 + e^1 + e^2)
    assert result == {"score": pytest.approx(0.665241, abs=1e-6), "label": label}


@pytest.mark.parametrize("fields", [{}, {"id2label": {0: "negative", 1: "neutral"}}], ids=["score", "classes"])
def test_a_score_that_is_no_number_has_no_label(make_processor, fields):
    bias = [math.nan] * len(fields.get("id2label", [0]))
    result = MsaPipeline(model=tiny_model(bias=bias, **fields), processor=make_processor())({"text": TEXT})
    assert math.isnan(result["score"])
    assert result["label"] is None


# Explanations


@pytest.mark.parametrize("number", range(len(INPUTS)), ids=IDS)
def test_shares_of_the_streams_sum_to_one_and_missing_streams_have_none(alone, number):
    row, shares = INPUTS[number], alone[number]["shares"]
    assert list(shares) == ["text", "audio", "visual"]
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-6)
    assert all(-1e-6 <= share <= 1 for share in shares.values())
    for stream in ("audio", "visual"):
        is_given = row.get(stream) is not None and len(row[stream]) > 0
        assert (shares[stream] > 1e-3) == is_given


def test_the_words_are_those_given_each_with_the_mean_share_of_its_tokens(pipe, alone):
    result, row = alone[4], INPUTS[4]
    assert [word["word"] for word in result["words"]] == LONG.split()
    batch = pipe.processor.collate([row])
    shares = pipe.model.explain(**batch).text_share[0]
    # [CLS] the un ##believ ##ably bor ##ing movie it was not bad [SEP]
    tokens = [[1], [2, 3, 4], [5, 6], [7], [8], [9], [10], [11]]
    expected = [shares[positions].mean().item() for positions in tokens]
    assert [word["text_share"] for word in result["words"]] == pytest.approx(expected, abs=1e-6)
    assert len({round(share, 6) for share in expected}) > 1


def test_words_are_the_speakers_where_given_and_else_the_tokenizers(pipe):
    row = {"text": "I loved it!", "audio": AUDIO, "words": WORDS, "audio_rate": 1.0}
    spoken = pipe(row, explain=True)["words"]
    written = pipe({"text": "I loved it!"}, explain=True)["words"]
    assert [word["word"] for word in spoken] == ["I", "loved", "it"]
    assert [word["word"] for word in written] == ["I", "loved", "it", "!"]


def test_text_alone_owes_everything_to_the_text(alone):
    assert alone[1]["shares"] == {"text": 1.0, "audio": 0.0, "visual": 0.0}
    assert [word["text_share"] for word in alone[1]["words"]] == [1.0] * 3


def test_without_text_there_are_no_words_to_explain(alone):
    assert alone[2]["words"] == alone[3]["words"] == []


@pytest.mark.parametrize(
    ("alignment", "row"),
    [
        ("word", {"audio": AUDIO, "audio_rate": 1.0, "words": WORDS}),
        ("word", {"text": TEXT, "words": WORDS[:2]}),
        ("none", {"text": TEXT, "audio": AUDIO, "words": WORDS[:2]}),
        ("none", {"text": TEXT, "audio": AUDIO, "words": math.nan}),
    ],
    ids=["without-text", "without-streams", "unaligned", "unaligned-nan"],
)
def test_words_that_the_score_does_not_need_do_not_hinder_its_explanation(make_processor, alignment, row):
    pipe = MsaPipeline(model=tiny_model(), processor=make_processor(alignment=alignment))
    score = pipe(row)["score"]
    assert pipe(row, explain=True)["score"] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_text_of_spaces_is_explained_as_missing_text(make_processor, family):
    pipe = MsaPipeline(model=tiny_model(vocab_size=400), processor=make_processor(family))
    row = {"audio": AUDIO, "audio_rate": 1.0}
    assert pipe({"text": " \n ", **row}, explain=True) == pipe(row, explain=True)


def test_explaining_may_be_asked_for_once_and_refused_later(make_processor):
    pipe = MsaPipeline(model=tiny_model(), processor=make_processor(), explain=True)
    assert "shares" in pipe(FULL)
    assert "shares" not in pipe(FULL, explain=False)


# What is refused


@pytest.mark.parametrize("row", [[["i loved it"]], 3, [3]], ids=repr)
def test_an_input_that_is_neither_a_mapping_nor_a_text_is_an_error(pipe, row):
    with pytest.raises(ValueError, match="expected a string or a mapping"):
        pipe(row)


def test_an_unknown_key_is_an_error_that_names_it(pipe):
    with pytest.raises(ValueError, match=r"unknown key.*'audio_values', 'txt'"):
        pipe({"text": TEXT, "txt": TEXT, "audio_values": AUDIO})


def test_the_chunks_of_a_speech_pipeline_are_told_their_place(pipe):
    spoken = {"text": TEXT, "chunks": [{"text": "i", "timestamp": (0.0, 1.0)}]}
    with pytest.raises(ValueError, match=r"unknown key.*'chunks'; what a speech pipeline returns is given as 'words'"):
        pipe(spoken)


def test_an_unknown_argument_is_an_error_that_names_it(pipe):
    with pytest.raises(ValueError, match=r"unknown argument.*'top_k'"):
        pipe({"text": TEXT}, top_k=1)


@pytest.mark.parametrize(
    ("row", "found"),
    [({}, "an empty mapping"), ({"text": None}, "text"), ({"id": 1, "words": []}, "id, words")],
    ids=str,
)
def test_an_input_without_any_stream_is_an_error(pipe, row, found):
    message = f"^batch: expected text, audio or visual in every row, got none but {found}$"
    with pytest.raises(ValueError, match=message):
        pipe(row)
    with pytest.raises(ValueError, match="batch: expected text, audio or visual in every row, got none in row 0"):
        pipe({"text": ""})


@pytest.mark.parametrize("given", ["egemaps", {"name": "egemaps", "rate": 50.0}], ids=["name", "record"])
def test_a_feature_of_another_name_than_the_trained_is_an_error(make_processor, given):
    processor = make_processor(audio_features={"name": "covarep"})
    pipe = MsaPipeline(model=tiny_model(), processor=processor)
    assert "score" in pipe({**FULL, "audio_features": "covarep"})
    with pytest.raises(ValueError, match=r"audio_features: expected 'covarep'.*'egemaps'"):
        pipe({**FULL, "audio_features": given})


# Saved and loaded

STATISTICS = {"mean": [0.5] * 3, "std": [0.2] * 3}


@pytest.mark.parametrize("alignment", ["word", "none"])
def test_a_folder_of_model_and_processor_is_a_pipeline(make_processor, tmp_path, alignment):
    processor = make_processor(alignment=alignment, audio_statistics=STATISTICS)
    model = tiny_model()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = pipeline("multimodal-sentiment-analysis", model=str(tmp_path), device="cpu")
    assert type(loaded) is MsaPipeline
    assert type(loaded.processor) is PGFNetProcessor
    found, expected = loaded(FULL), MsaPipeline(model=model, processor=processor)(FULL)
    assert found["label"] == expected["label"]
    # Memory-mapped weights may lie otherwise in memory, and a processor's kernels then differ in the last bit.
    assert found["score"] == pytest.approx(expected["score"], abs=1e-6)


@pytest.mark.parametrize("alignment", ["word", "none"])
def test_a_saved_pipeline_keeps_its_processor_as_it_was(make_processor, tmp_path, alignment):
    processor = make_processor(alignment=alignment, max_text_length=4, audio_statistics=STATISTICS)
    pipe = MsaPipeline(model=tiny_model(), processor=processor)
    pipe.save_pretrained(tmp_path)
    loaded = pipeline("multimodal-sentiment-analysis", model=str(tmp_path), device="cpu")
    assert (loaded.processor.alignment, loaded.processor.max_text_length) == (alignment, 4)
    assert loaded(FULL) == pipe(FULL)
