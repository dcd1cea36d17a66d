"""The processor with datasets: labels, rows in every format, normalisation, saving, copies."""

import copy
import json
import math
import pickle

import datasets
import numpy as np
import pytest
import torch
from hypothesis import settings
from spoken import AUDIO, KEYS, ROW, SENTENCE, SPOKEN, TEXT, VISUAL, WORDS, assert_same
from tiny_tokenizers import FAMILIES
from torch.utils.data import DataLoader
from transformers import AutoConfig, AutoModel, AutoProcessor, BertConfig, RobertaConfig, XLMRobertaConfig

from hf_msa.models import MsaFeatureExtractor, PGFNetProcessor

FIXED = settings(derandomize=True, deadline=None, max_examples=50)

# Labels and dataset rows


@pytest.mark.parametrize("key", ["label", "labels"])
@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        ([1.5, -2.0], torch.float32),
        ([1, 2.5], torch.float32),
        ([np.float32(1.5), np.float64(-2)], torch.float32),
        ([torch.tensor(1.5), torch.tensor(-2.0)], torch.float32),
        ([1, 0], torch.int64),
        ([0, 0], torch.int64),
        ([np.int64(1), np.int64(0)], torch.int64),
        ([torch.tensor(1), torch.tensor(0)], torch.int64),
    ],
    ids=["float", "mixed", "numpy-float", "torch-float", "int", "zero", "numpy-int", "torch-int"],
)
def test_scores_become_float32_and_classes_int64(processor, key, labels, dtype):
    batch = processor.collate([{"text": TEXT, key: label} for label in labels])
    assert batch["labels"].dtype == dtype
    assert batch["labels"].tolist() == [float(label) for label in labels]


def test_rows_without_labels_give_a_batch_without(processor):
    assert "labels" not in processor.collate([{"text": TEXT}, {"text": TEXT, "label": None}])


@pytest.mark.parametrize(
    "label", [math.nan, np.float32("nan"), None, "positive", [1.5], math.inf, torch.tensor([1.0, 2.0])], ids=repr
)
def test_a_label_that_is_no_number_is_an_error_that_names_the_row(processor, label):
    rows = [{"id": "video$_$1", "text": TEXT, "label": 1.0}, {"id": "video$_$2", "text": TEXT, "label": label}]
    with pytest.raises(ValueError, match=r"label.*video\$_\$2"):
        processor.collate(rows)
    with pytest.raises(ValueError, match=r"label.*row 1"):
        processor.collate([{key: row[key] for key in ("text", "label")} for row in rows])


def test_other_columns_of_a_row_are_left_alone(processor):
    assert_same(processor.collate([ROW | {"id": "a", "video": object()}]), processor(**ROW))


NESTED = {
    "text": datasets.Value("string"),
    "words": datasets.List(
        {"word": datasets.Value("string"), **dict.fromkeys(("start", "end"), datasets.Value("float64"))}
    ),
    "audio_rate": datasets.Value("float32"),
    "visual_rate": datasets.Value("float32"),
    "label": datasets.Value("float32"),
}
LISTS = {
    "audio": datasets.List(datasets.List(datasets.Value("float32"))),
    "visual": datasets.List(datasets.List(datasets.Value("float32"))),
}
ARRAYS = {"audio": datasets.Array2D((None, 3), "float32"), "visual": datasets.Array2D((None, 2), "float32")}


@pytest.mark.parametrize("style", [None, "numpy", "torch"])
@pytest.mark.parametrize("columns", [LISTS, ARRAYS], ids=["lists", "arrays"])
def test_rows_of_a_dataset_collate_in_every_format(processor, columns, style):
    as_dicts = [{"word": word, "start": start, "end": end} for word, start, end in WORDS]
    no_audio, no_visual = np.zeros((0, 3), np.float32), np.zeros((0, 2), np.float32)
    rows = [
        ROW | {"words": as_dicts, "label": 1.5},
        ROW | {"words": [w | {"start": None, "end": None} for w in as_dicts], "visual": no_visual, "label": -0.5},
        ROW | {"text": "", "words": [], "audio": no_audio, "label": 0.0},
        ROW | {"words": None, "audio": no_audio, "visual": no_visual, "label": 3.0},
    ]
    dataset = datasets.Dataset.from_dict(
        {key: [row[key] if key not in ("audio", "visual") else list(row[key]) for row in rows] for key in rows[0]},
        features=datasets.Features(NESTED | LISTS),
    )
    dataset = dataset.cast(datasets.Features(NESTED | columns)).with_format(style)
    batch = processor.collate([dataset[i] for i in range(len(rows))])
    expected = processor.collate(rows)
    assert_same(batch, expected, [*KEYS, "labels"])
    assert expected["audio_attention_mask"].sum(dim=1).tolist() == [3, 3, 0, 0]


# Normalisation and the record of the features


def test_the_processor_fits_its_feature_extractor(make_processor):
    processor = make_processor(alignment="none")
    assert processor.fit([{"audio": AUDIO, "visual": VISUAL}]) is processor
    batch = processor(audio=AUDIO, visual=VISUAL)
    torch.testing.assert_close(batch["audio_values"].mean(dim=1), torch.zeros(1, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(batch["visual_values"].std(dim=1, correction=0), torch.ones(1, 2))


def test_speakers_reach_the_normalisation_by_call_and_by_row(make_processor):
    rows = [{"audio": AUDIO * scale, "speaker": name} for name, scale in (("ann", 1), ("bob", 5))]
    processor = make_processor(alignment="none").fit(rows, by="speaker")
    collated = processor.collate(rows)
    torch.testing.assert_close(collated["audio_values"][0], collated["audio_values"][1])
    called = processor(audio=[row["audio"] for row in rows], speaker=["ann", "bob"])
    assert_same(called, collated)
    alone = processor(audio=AUDIO * 5, speaker="bob")
    twice = processor(audio=[AUDIO * 5] * 2, speaker="bob")
    assert torch.equal(twice["audio_values"], alone["audio_values"].repeat(2, 1, 1))
    assert torch.equal(alone["audio_values"][0], collated["audio_values"][1])
    common = processor(audio=AUDIO * 5, speaker="nobody")
    assert not torch.allclose(common["audio_values"], alone["audio_values"])


def test_broken_frames_are_repaired_before_they_are_averaged(make_processor):
    processor = make_processor(audio_statistics={"mean": [1.0] * 3, "std": [2.0] * 3})
    frames = np.array([[math.nan, 3.0, 1.0], [5.0, math.inf, 1.0]])
    batch = processor("it", frames, None, [("it", 0, 2)], audio_rate=1.0)
    assert batch["audio_values"][0, 1].tolist() == [1.0, 0.5, 0.0]
    assert processor.repairs["audio_nonfinite"] == 2


def test_features_of_another_name_than_the_trained_are_an_error(make_processor):
    processor = make_processor(alignment="none", visual_features={"name": "openface", "version": "2.0"})
    processor(TEXT, visual=VISUAL, visual_features="openface")
    processor(TEXT, visual=VISUAL)
    with pytest.raises(ValueError, match=r"visual_features: expected 'openface'.*'facet'"):
        processor(TEXT, visual=VISUAL, visual_features={"name": "facet"})


# Construction, saving, copies


@pytest.mark.parametrize("alignment", ["words", "None", 3])
def test_another_alignment_is_refused(make_processor, alignment):
    with pytest.raises(ValueError, match="alignment: expected 'word' or 'none'"):
        make_processor(alignment=alignment)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("alignment", ["word", "none"])
def test_a_saved_processor_gives_bit_equal_batches(make_processor, tmp_path, family, alignment):
    processor = make_processor(family, alignment=alignment, max_text_length=12, max_audio_length=50)
    processor.feature_extractor.audio_features = {"name": "covarep", "version": None, "columns": None, "rate": 1.0}
    rows = [
        ROW | {"speaker": "ann", "label": 1.5},
        {"audio": AUDIO * 3, "audio_rate": 1.0, "speaker": "bob", "label": -0.5},
    ]
    processor.fit(rows, by="speaker")
    processor.save_pretrained(tmp_path)
    for loaded in (AutoProcessor.from_pretrained(tmp_path), PGFNetProcessor.from_pretrained(tmp_path)):
        assert type(loaded) is PGFNetProcessor
        assert type(loaded.feature_extractor) is MsaFeatureExtractor
        assert (loaded.alignment, loaded.max_text_length) == (alignment, 12)
        assert sum(loaded.repairs.values()) == 0
        assert_same(loaded.collate(rows), processor.collate(rows), [*KEYS, "labels"])
        assert_same(loaded(SENTENCE), processor(SENTENCE))


@pytest.mark.filterwarnings("ignore:audio. expected finite values")
def test_the_counts_of_a_process_are_not_saved(make_processor, tmp_path):
    processor = make_processor()
    processor(TEXT, AUDIO * math.nan, None, WORDS, audio_rate=1.0)
    assert processor.repairs["audio_nonfinite"] == 9
    processor.save_pretrained(tmp_path)
    assert "repairs" not in json.dumps(json.loads((tmp_path / "processor_config.json").read_text()))
    assert PGFNetProcessor.from_pretrained(tmp_path).repairs["audio_nonfinite"] == 0


def saved_text_model(make_processor, folder, family="bert", config_class=BertConfig):
    tokenizer = make_processor(family).tokenizer
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    special = {"pad_token_id": tokenizer.pad_token_id}
    config_class(vocab_size=len(tokenizer), max_position_embeddings=20, **sizes, **special).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_processor_is_made_from_a_text_model(make_processor, tmp_path):
    folder = saved_text_model(make_processor, tmp_path)
    processor = PGFNetProcessor.from_text_pretrained(folder, audio_dim=3, visual_dim=2, max_audio_length=8)
    assert (processor.alignment, processor.feature_extractor.max_audio_length) == ("word", 8)
    assert_same(processor(**ROW), make_processor()(**ROW))
    unaligned = PGFNetProcessor.from_text_pretrained(folder, alignment="none", max_text_length=6)
    assert (unaligned.alignment, unaligned("it " * 40)["input_ids"].shape) == ("none", (1, 6))


@pytest.mark.parametrize(
    ("family", "config_class", "limit"),
    [("bert", BertConfig, 20), ("roberta", RobertaConfig, 18), ("xlm_roberta", XLMRobertaConfig, 18)],
)
@pytest.mark.parametrize("asked", [None, 50])
def test_text_is_cut_to_what_the_text_model_can_read(
    make_processor, tmp_path, warned, family, config_class, limit, asked
):
    folder = saved_text_model(make_processor, tmp_path, family, config_class)
    batch = PGFNetProcessor.from_text_pretrained(folder, max_text_length=asked)("it " * 40)
    assert batch["input_ids"].shape == (1, limit)
    model = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    assert model(input_ids=batch["input_ids"]).last_hidden_state.shape == (1, limit, 8)
    assert len(warned) == 1


def test_an_unknown_keyword_for_a_text_model_is_an_error(make_processor, tmp_path):
    with pytest.raises(ValueError, match=r"unknown keyword.*'audio_dimension'"):
        PGFNetProcessor.from_text_pretrained(saved_text_model(make_processor, tmp_path), audio_dimension=3)


@pytest.mark.filterwarnings("ignore:audio. expected finite values")
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))], ids=["copy", "pickle"])
def test_a_copy_gives_the_same_batches_and_counts_for_itself(make_processor, duplicate):
    processor = make_processor()
    twin = duplicate(processor)
    assert_same(twin(**ROW), processor(**ROW))
    twin(TEXT, AUDIO * math.nan, None, WORDS, audio_rate=1.0)
    assert (twin.repairs["audio_nonfinite"], processor.repairs["audio_nonfinite"]) == (9, 0)


@pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:.*fork:DeprecationWarning")
def test_workers_of_a_data_loader_collate_as_the_main_process_does(make_processor):
    processor = make_processor()
    rows = [ROW | {"audio": AUDIO + i, "label": float(i)} for i in range(6)]
    here, there = (list(DataLoader(rows, batch_size=2, collate_fn=processor.collate, num_workers=n)) for n in (0, 2))
    assert len(here) == len(there) == 3
    for batch, other in zip(here, there, strict=True):
        assert_same(batch, other, [*KEYS, "labels"])


# The words behind the tokens


def test_token_words_are_the_given_words_with_their_tokens(processor):
    spoken = [(word, None, None) for word in SPOKEN]
    expected = [1, 3, 2, 1, 1, 1, 1, 1]
    found = processor.token_words(SENTENCE, spoken)
    assert [word for word, _ in found] == [SENTENCE.split()[0], *SPOKEN[1:]]
    assert [len(positions) for _, positions in found] == expected
    assert [list(positions) for _, positions in found][1:3] == [[2, 3, 4], [5, 6]]


def test_token_words_without_words_are_the_tokenizers_own(processor):
    found = processor.token_words("boring movie!")
    assert found == [("boring", range(1, 3)), ("movie", range(3, 4)), ("!", range(4, 5))]


def test_token_words_of_no_text_are_none(processor):
    assert processor.token_words("") == []


def test_text_of_signs_alone_keeps_its_streams(make_processor):
    batch = make_processor()(text=["!!!"], audio=[np.ones((4, 3))], words=[[]], audio_rate=2.0)
    assert batch["audio_attention_mask"].sum() == 1
    assert batch["audio_values"][0, 0].tolist() == [1.0, 1.0, 1.0]


def test_a_row_without_text_needs_no_rate(make_processor):
    batch = make_processor()(text=[None], audio=[np.ones((4, 3))])
    assert batch["audio_attention_mask"].sum() == 1


def test_the_rate_of_the_features_of_a_call_is_taken(make_processor):
    call = {"text": ["it"], "audio": [np.arange(12.0).reshape(4, 3)], "words": [[("it", 0.0, 1.0)]]}
    named = make_processor()(**call, audio_features={"name": "pitch", "rate": 2.0})
    assert torch.equal(named["audio_values"], make_processor()(**call, audio_rate=2.0)["audio_values"])


def test_another_kind_of_tensor_is_refused(make_processor):
    with pytest.raises(ValueError, match="return_tensors: expected 'pt' or 'np', got 'tf'"):
        make_processor()("it", return_tensors="tf")


def test_a_tokenizer_that_lost_its_files_is_noticed(make_processor, tmp_path):
    processor = make_processor()
    processor.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=rf"tokenizer: expected {len(processor.tokenizer)} entries as when"):
        PGFNetProcessor.from_pretrained(tmp_path)


def test_a_tokenizer_that_grew_after_loading_is_saved_as_it_is(make_processor, tmp_path):
    processor = make_processor()
    processor.tokenizer.add_tokens(["megaflop"])
    processor.save_pretrained(tmp_path)
    assert len(PGFNetProcessor.from_pretrained(tmp_path).tokenizer) == len(processor.tokenizer)


def test_words_outside_of_their_stream_are_counted_and_told_of(make_processor, warned):
    processor = make_processor()
    batch = processor(**ROW | {"words": [("i", 1000.0, 2000.0), ("loved", 2000.0, 2500.0), ("it", 0.0, 1.0)]})
    assert processor.repairs["words_outside_stream"] == 2
    assert batch["audio_attention_mask"].sum() == 1
    assert len([message for message in warned if "seconds" in message]) == 1


def test_infinite_times_are_refused(make_processor):
    with pytest.raises(ValueError, match=r"words\[0\]\[2\]: expected \(word, start, end\) in seconds"):
        make_processor()(**ROW | {"words": [*WORDS[:2], ("it", 2.0, math.inf)]})


@pytest.mark.parametrize("rate", ["fast", math.inf, 0.0, [None]])
def test_a_rate_that_is_none_names_its_argument(make_processor, rate):
    with pytest.raises(ValueError, match="audio_rate: expected frames per second"):
        make_processor()(text=[TEXT], audio=[AUDIO], words=[WORDS], audio_rate=rate)


def test_complex_frames_are_refused(make_processor):
    with pytest.raises(ValueError, match=r"audio\[0\]: expected numbers of shape"):
        make_processor()(**ROW | {"audio": AUDIO * 1j})
