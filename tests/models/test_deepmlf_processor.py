"""DeepMLF's processor: what decoders ask for beyond what encoders do."""

import pytest
import torch
from tiny_models import DECODER_CONFIGS, tiny_deepmlf
from tiny_tokenizers import bert, gpt2
from transformers import AutoProcessor

from hf_msa.models import DeepMLFProcessor, MsaFeatureExtractor, PGFNetProcessor

FRAMES = torch.ones(2, 3)


def processor(tokenizer=None, **options):
    extractor = MsaFeatureExtractor(audio_dim=3, visual_dim=2)
    return DeepMLFProcessor(extractor, gpt2() if tokenizer is None else tokenizer, **options)


def test_a_tokenizer_without_padding_token_pads_on_the_right_with_the_end_of_sequence():
    tokenizer = gpt2(padding_side="left")
    assert tokenizer.pad_token is None
    batch = processor(tokenizer)(text=["i loved it", "it"])
    length = int(batch["attention_mask"][1].sum())
    assert batch["attention_mask"][1].tolist() == [1] * length + [0] * (batch["input_ids"].shape[1] - length)
    assert (batch["input_ids"][1, length:] == tokenizer.eos_token_id).all()


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_a_missing_text_becomes_one_beginning_of_sequence_token(missing):
    own = processor()
    batch = own(text=[missing, "it"], audio=[FRAMES, None])
    assert batch["attention_mask"][0].sum() == 1
    assert batch["input_ids"][0, 0] == own.tokenizer.bos_token_id
    assert own.token_words("") == []


def test_a_tokenizer_that_puts_tokens_of_its_own_around_a_text_keeps_them():
    batch = processor(bert())(text=[None], audio=[FRAMES])
    assert batch["input_ids"].shape == (1, 2)


def test_a_tokenizer_that_cannot_pad_is_refused():
    tokenizer = gpt2()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="tokenizer: expected a padding or an end-of-sequence token, got neither"):
        processor(tokenizer)


def test_lower_case_is_a_field_that_is_saved(tmp_path):
    plain, lower = processor(), processor(lowercase=True)
    shouted = "I LOVED IT"
    assert not torch.equal(plain(text=shouted)["input_ids"], plain(text=shouted.lower())["input_ids"])
    expected = plain(text=shouted.lower())["input_ids"]
    assert torch.equal(lower(text=shouted)["input_ids"], expected)
    lower.save_pretrained(tmp_path)
    loaded = DeepMLFProcessor.from_pretrained(tmp_path)
    assert loaded.lowercase is True
    assert loaded.tokenizer.padding_side == "right"
    assert torch.equal(loaded(text=shouted)["input_ids"], expected)
    assert not plain.lowercase


def test_words_in_capitals_find_their_tokens_in_lower_case():
    extractor = MsaFeatureExtractor(audio_dim=3, visual_dim=2)
    aligned = PGFNetProcessor(extractor, bert(), lowercase=True)
    words = [[("I", 0.0, 1.0), ("LOVED", 1.0, 2.0), ("IT", 2.0, 3.0)]]
    frames = torch.arange(9.0).reshape(1, 3, 3)
    upper = aligned(text=["I LOVED IT"], audio=frames, words=words, audio_rate=1.0)
    lower = aligned(text=["i loved it"], audio=frames, words=words, audio_rate=1.0)
    assert all(torch.equal(upper[key], lower[key]) for key in upper)


def test_a_text_leaves_room_for_the_fusion_tokens(tmp_path):
    gpt2().save_pretrained(tmp_path)
    DECODER_CONFIGS["gpt2"].save_pretrained(tmp_path)
    made = DeepMLFProcessor.from_text_pretrained(str(tmp_path), audio_dim=3, visual_dim=2, lowercase=True)
    assert made.max_text_length == 40 - 32
    assert made.lowercase
    assert made(text="really " * 50)["input_ids"].shape == (1, 8)


def test_missing_said_to_the_processor_is_missing_said_to_the_model(tmp_path):
    own, model = processor(), tiny_deepmlf()
    by_processor = own(text=[None, None], audio=[FRAMES, 2 * FRAMES])
    # Id 0 is both the tokenizer's and the configuration's beginning of a sequence.
    assert own.tokenizer.bos_token_id == model.config.text_config.bos_token_id
    by_mask = dict(by_processor)
    by_mask["input_ids"] = torch.tensor([[7, 8], [9, 4]])
    by_mask["attention_mask"] = torch.zeros(2, 2, dtype=torch.long)
    with torch.no_grad():
        torch.testing.assert_close(model(**by_mask).logits, model(**by_processor).logits, atol=1e-5, rtol=1e-5)
    own.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    assert type(AutoProcessor.from_pretrained(tmp_path)) is DeepMLFProcessor
