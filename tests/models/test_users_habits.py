"""What users of Hugging Face type without looking: it works, or one line says what to type."""

import datasets
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from spoken import AUDIO, ROW, SENTENCE, TEXT, WORDS, assert_same
from tiny_models import TINY, WITH_TEXT, is_encoder, processor_class, tiny_batch, tiny_model
from tiny_tokenizers import FAMILIES, bert, gpt2
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
    pipeline,
)

from hf_msa.models import MsaError, MsaFeatureExtractor, PGFNetConfig

# Every model type once, and the other tokenizers with one of them.
KINDS = {
    **{
        model_type: (model_type, {}, gpt2 if model_type in WITH_TEXT and not is_encoder(model_type) else bert)
        for model_type in TINY
    },
    **{f"agfn-{family}": ("agfn", {"family": family}, FAMILIES[family]) for family in ("electra", "roberta")},
}
TEXTS = ["i loved it", "i hated the movie"]


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    """A model and its processor, saved."""
    model_type, fields, make_tokenizer = KINDS[request.param]
    path = tmp_path_factory.mktemp("saved") / request.param
    TINY[model_type](**fields).save_pretrained(path)
    extractor = MsaFeatureExtractor(audio_dim=3, visual_dim=2)
    processor_class(model_type)(extractor, make_tokenizer(model_max_length=32)).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def scores(folder):
    """What model and processor say of the texts alone, one by one."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return [
            model(
                input_ids=torch.tensor([tokenizer(text)["input_ids"]]),
                attention_mask=torch.ones(1, len(tokenizer(text)["input_ids"])),
            ).logits.item()
            for text in TEXTS
        ]


@pytest.mark.parametrize("padding", [True, "longest"])
def test_the_usual_keywords_say_what_happens_anyway(processor, padding):
    batch = processor(**ROW, padding=padding, truncation=True, max_length=64, return_tensors="pt")
    assert_same(batch, processor(**ROW))
    assert_same(processor(**ROW, truncation="longest_first"), processor(**ROW))


def test_max_length_cuts_and_pads_this_call_alone(unaligned):
    batch = unaligned([SENTENCE, TEXT], truncation=True, max_length=6)
    assert batch["input_ids"].shape == (2, 6)
    assert batch["attention_mask"][0].all()
    assert batch["input_ids"][0, -1] == unaligned.tokenizer.sep_token_id
    assert unaligned([TEXT], padding="max_length", max_length=8)["input_ids"].shape == (1, 8)
    assert unaligned([TEXT], padding="max_length", max_length=1000)["input_ids"].shape == (1, 32)
    assert unaligned([SENTENCE])["input_ids"].shape[1] > 6


def test_frames_are_cut_with_their_words(processor):
    batch = processor([TEXT], [AUDIO], words=[WORDS], audio_rate=1.0, max_length=4)
    assert batch["audio_attention_mask"].tolist() == [[0, 1, 1, 0]]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"padding": False}, "padding: expected True, 'longest' or 'max_length', .* got False"),
        ({"padding": "do_not_pad"}, "padding: .*'do_not_pad'"),
        ({"padding": 1}, "padding: .* got 1"),
        ({"padding": None}, "padding: .* got None"),
        ({"truncation": False}, "truncation: expected True, .* got False"),
        ({"truncation": "only_first"}, "truncation: .*'only_first'"),
        ({"max_length": 2}, "max_length: expected more than the 2 special tokens, got 2"),
        ({"max_length": "16"}, "max_length: expected more than the 2 special tokens, got '16'"),
        ({"max_length": 16.5}, "max_length: expected more than the 2 special tokens, got 16.5"),
    ],
)
def test_what_would_give_no_batch_is_refused_in_one_line(processor, keywords, message):
    with pytest.raises(MsaError, match=message) as raised:
        processor(**ROW, **keywords)
    assert "\n" not in str(raised.value)


def test_a_plain_string_is_a_batch_of_one(processor):
    assert_same(processor(TEXT), processor([TEXT]))


def test_a_saved_tokenizer_returns_what_the_model_reads(folder, scores):
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForSequenceClassification.from_pretrained(folder),
    )
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    assert set(batch) == {"input_ids", "attention_mask"}
    with torch.no_grad():
        assert model(**batch).logits[:, 0].tolist() == pytest.approx(scores, abs=1e-5)


def test_the_text_classification_pipeline_gives_the_texts_score(folder, scores):
    found = pipeline("text-classification", model=str(folder))(TEXTS)
    assert [result["score"] for result in found] == pytest.approx(scores, abs=1e-5)


def test_the_pipeline_takes_plain_strings(folder, scores):
    pipe = pipeline("multimodal-sentiment-analysis", model=str(folder))
    assert pipe(TEXTS[0])["score"] == pytest.approx(scores[0], abs=1e-5)
    assert [result["score"] for result in pipe(TEXTS)] == pytest.approx(scores, abs=1e-5)
    assert pipe(TEXTS[0], explain=True) == pipe({"text": TEXTS[0]}, explain=True)


@pytest.mark.parametrize("model_type", TINY)
def test_token_types_change_nothing(model_type):
    model, batch = TINY[model_type](), tiny_batch()
    with torch.no_grad():
        found = model(**batch, token_type_ids=torch.ones_like(batch["input_ids"])).logits
        assert torch.equal(found, model(**batch).logits)


def test_a_regression_says_so_and_classes_loaded_from_it_do_not(folder):
    assert AutoConfig.from_pretrained(folder).problem_type == "regression"
    assert AutoConfig.from_pretrained(folder, num_labels=3).problem_type is None
    with pytest.raises(StrictDataclassError, match="problem_type"):
        PGFNetConfig(problem_type="multi_label_classification", num_labels=3)


def test_trainer_with_its_default_columns_is_told_what_to_set(processor, tmp_path):
    rows = datasets.Dataset.from_list([{"text": TEXT, "label": 1.0}] * 4)
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", max_steps=1, disable_tqdm=True)
    trainer = Trainer(tiny_model(), arguments, data_collator=processor.collate, train_dataset=rows)
    with pytest.raises(MsaError, match=r"got label; .*remove_unused_columns=False"):
        trainer.train()


def test_rows_of_which_some_lack_every_stream_are_named_as_before(processor):
    with pytest.raises(MsaError, match="got none in row 1"):
        processor.collate([{"text": TEXT}, {"text": None}])
    with pytest.raises(MsaError, match="got none in row 0"):
        processor.collate([{"text": None}])
