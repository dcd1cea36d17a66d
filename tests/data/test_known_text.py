"""Texts that a tokenizer does not know are warned of, with their share."""

import warnings

import pytest
from tiny_tokenizers import FAMILIES

from hf_msa.data.known_text import KnownText
from hf_msa.errors import MsaWarning
from hf_msa.models import MsaFeatureExtractor, PGFNetProcessor


def processor(family="bert", **options):
    return PGFNetProcessor(MsaFeatureExtractor(audio_dim=3, visual_dim=2), FAMILIES[family](), **options)


def warned(checked):
    """Return what a check warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checked.warn("train")
    assert all(warning.category is MsaWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def test_more_than_a_tenth_of_unknown_tokens_is_one_warning_with_share_and_remedy():
    (message,) = warned(KnownText(processor()).read(["i loved it", "\u2603 \u2603"] * 10))
    assert message == (
        "train: text: expected words that the text model's tokenizer knows, got 40% of 50 tokens that it does not "
        "([UNK]); take a text model of this language and script"
    )


@pytest.mark.parametrize("texts", [["i loved it it it it it it it \u2603"], ["i loved it"], [None, ""], []], ids=repr)
def test_a_tenth_or_less_is_nothing_to_speak_of(texts):
    assert warned(KnownText(processor()).read(texts)) == []


def test_texts_are_counted_as_they_come():
    checked = KnownText(processor())
    for _ in range(3):
        checked.read(["\u2603", None, "it"])
    assert (checked.num_unknown, checked.num_tokens) == (3, 6)


def test_a_model_that_reads_no_text_need_not_know_any():
    assert warned(KnownText(processor(streams=["audio"])).read(["\u2603"])) == []


def test_lower_case_is_judged_as_the_model_will_read_it():
    cased = FAMILIES["bert"](do_lower_case=False)
    extractor = MsaFeatureExtractor(audio_dim=3, visual_dim=2)
    for lowercase, times in ((False, 1), (True, 0)):
        processor = PGFNetProcessor(extractor, cased, lowercase=lowercase)
        assert len(warned(KnownText(processor).read(["I LOVED IT"]))) == times


def test_a_tokenizer_of_bytes_knows_every_text():
    assert warned(KnownText(processor("roberta")).read(["\u2603 \u6211\u559c\u6b22"])) == []
