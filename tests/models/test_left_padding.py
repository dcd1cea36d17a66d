"""On whichever side a row is padded, its score is the same."""

from functools import partial

import pytest
import torch
from spoken import ROW
from tiny_models import ENCODERS, OF_EVERY_FAMILY, TINY, WITH_TEXT, is_encoder, processor_class, tiny_batch, tiny_model
from tiny_tokenizers import FAMILIES, bert, gpt2

from hf_msa.models import MsaFeatureExtractor

LABELS = torch.tensor([1.0, -2.0, 0.5, 3.0])
KINDS = OF_EVERY_FAMILY | {"pgf_net-late": partial(tiny_model, fusion_start_layer=1)}
TEXTS = ["i loved it", "i hated the movie, it was unbelievably boring!", "bad"]


def padded_on_the_left(batch):
    """Roll the padding of every row's text to its left."""
    moved = dict(batch)
    for row, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        shift = batch["attention_mask"].shape[1] - length
        for key in ("input_ids", "attention_mask"):
            moved[key] = moved[key].clone()
            moved[key][row] = batch[key][row].roll(shift)
    return moved


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return KINDS[request.param]()


@pytest.mark.parametrize("padding_id", [1, 7])
def test_a_batch_padded_on_the_left_gives_the_same_scores_and_losses(model, padding_id):
    right = tiny_batch(labels=LABELS)
    left = padded_on_the_left(right)
    left["input_ids"] = left["input_ids"].masked_fill(left["attention_mask"] == 0, padding_id)
    assert not left["attention_mask"][1:, 0].any()
    with torch.no_grad():
        expected, output = model(**right), model(**left)
    torch.testing.assert_close(output.logits, expected.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.loss, expected.loss, atol=1e-5, rtol=1e-5)


def test_embeddings_padded_on_the_left_give_the_same_scores(model):
    right = tiny_batch()
    left = padded_on_the_left(right)
    with torch.no_grad():
        for batch in (right, left):
            batch["inputs_embeds"] = model.get_input_embeddings()(batch.pop("input_ids"))
        torch.testing.assert_close(model(**left).logits, model(**right).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", WITH_TEXT)
def test_an_explanation_does_not_depend_on_the_side(model_type):
    model, right = TINY[model_type](), tiny_batch()
    expected, found = model.explain(**right), model.explain(**padded_on_the_left(right))
    torch.testing.assert_close(found.stream_shares, expected.stream_shares, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("model_type", ENCODERS)
def test_a_tokenizer_that_pads_on_the_left_scores_texts_as_one_that_pads_on_the_right(model_type, family):
    model = TINY[model_type](family.replace("_", "-"))
    with torch.no_grad():
        found = [
            model(**FAMILIES[family](padding_side=side)(TEXTS, padding=True, return_tensors="pt")).logits
            for side in ("left", "right")
        ]
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", WITH_TEXT)
@pytest.mark.parametrize("alignment", ["word", "none"])
def test_a_processor_of_either_side_gives_the_same_scores(model_type, alignment):
    make_tokenizer = bert if is_encoder(model_type) else gpt2
    model, rows = (
        TINY[model_type](),
        [ROW, {"text": "bad", "audio": ROW["audio"], "words": [("bad", 0, 2)], "audio_rate": 1.0}],
    )
    found = []
    for side in ("left", "right"):
        tokenizer = make_tokenizer(padding_side=side, model_max_length=32)
        processor = processor_class(model_type)(MsaFeatureExtractor(audio_dim=3, visual_dim=2), tokenizer, alignment)
        with torch.no_grad():
            found.append(model(**processor.collate(rows)).logits)
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)
