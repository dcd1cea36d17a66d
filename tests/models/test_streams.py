"""What every model makes of its streams: it reads them all, and neither padding nor what is missing nor other rows."""

from functools import partial
from itertools import combinations

import pytest
import torch
from tiny_models import OF_EVERY_FAMILY, TINY, WITH_TEXT, tiny_agfn, tiny_batch, tiny_deepmlf, tiny_deepmlf_av

from hf_msa.models.streams_msa import FRAME_STREAMS, STREAMS

VALUES = {"text": "input_ids", "audio": "audio_values", "visual": "visual_values"}
MASKS = {"text": "attention_mask", "audio": "audio_attention_mask", "visual": "visual_attention_mask"}
SUBSETS = [subset for size in (1, 2) for subset in combinations(STREAMS, size)]
LABELS = torch.tensor([1.0, -2.0, 0.5, 3.0])
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
KINDS = {
    **OF_EVERY_FAMILY,
    **{model_type: make for model_type, make in TINY.items() if model_type not in WITH_TEXT},
    **{
        f"agfn-{kind}": partial(tiny_agfn, audio_encoder=kind, visual_encoder=kind) for kind in ("transformer", "mean")
    },
    **{f"agfn-{variant}": partial(tiny_agfn, gate_variant=variant) for variant in ("entropy", "importance", "concat")},
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(kind):
    return KINDS[kind]()


@pytest.fixture
def streams(model):
    """Return those that the model reads."""
    return STREAMS if model.config.has_text_model else FRAME_STREAMS


@pytest.fixture
def may_be_missing(kind, streams):
    """Return those that a row may lack; PGF-Net is built around its text."""
    return FRAME_STREAMS if kind.startswith("pgf_net") else streams


def scores(model, **batch):
    with torch.no_grad():
        return model(**batch).logits


def rows(batch, index):
    return {key: value[index] for key, value in batch.items()}


def changed(batch, stream):
    values = batch[VALUES[stream]]
    return batch | {VALUES[stream]: (values + 7) % 60 + 2 if stream == "text" else values + 1}


def without(batch, *streams):
    return batch | {MASKS[stream]: torch.zeros_like(batch[MASKS[stream]]) for stream in streams}


def test_every_stream_changes_every_score(model, streams):
    batch = tiny_batch()
    before = scores(model, **batch)
    assert before.shape == (4, 1)
    for stream in streams:
        assert ((scores(model, **changed(batch, stream)) - before).abs() > 1e-6).all()


@pytest.mark.parametrize("lengths", [(1, 1, 1), (3, 1, 1), (7, 1, 20), (1, 9, 3), (12, 0, 4)])
def test_any_lengths_give_one_finite_score_per_row(model, lengths):
    found = scores(model, **tiny_batch(3, *lengths))
    assert found.shape == (3, 1)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("garbage", [1e4, float("nan"), float("inf")])
def test_garbage_in_the_padding_changes_neither_score_nor_loss(model, garbage):
    batch = tiny_batch(labels=LABELS)
    dirty = dict(batch, input_ids=batch["input_ids"].masked_fill(batch["attention_mask"] == 0, 17))
    for stream in FRAME_STREAMS:
        padding = batch[MASKS[stream]][..., None] == 0
        dirty[VALUES[stream]] = batch[VALUES[stream]].masked_fill(padding, garbage)
    with torch.no_grad():
        clean, found = model(**batch), model(**dirty)
    assert torch.equal(found.logits, clean.logits)
    assert torch.equal(found.loss, clean.loss)


def test_padding_and_the_other_rows_do_not_change_a_score(model):
    batch = tiny_batch()
    together = scores(model, **batch)
    for row in range(4):
        alone = rows(batch, slice(row, row + 1))
        for stream in STREAMS:
            length = int(alone[MASKS[stream]].sum())
            alone |= {key: alone[key][:, :length] for key in (VALUES[stream], MASKS[stream])}
        torch.testing.assert_close(scores(model, **alone)[0], together[row], **CLOSE)


def test_permuting_the_batch_permutes_the_scores(model):
    batch, order = tiny_batch(), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(scores(model, **rows(batch, order)), scores(model, **batch)[order], **CLOSE)


@pytest.mark.parametrize("missing", [("audio",), ("visual",), ("audio", "visual")])
def test_a_missing_stream_gives_the_same_score_however_it_is_said(model, missing):
    batch = tiny_batch()
    absent = {key: value for key, value in batch.items() if not key.startswith(missing)}
    none = absent | {key: None for key in batch if key.startswith(missing)}
    empty = absent | {VALUES[s]: torch.zeros(4, 0, 3 if s == "audio" else 2) for s in missing}
    expected = scores(model, **absent)
    assert torch.isfinite(expected).all()
    for said in (none, empty, without(batch, *missing)):
        torch.testing.assert_close(scores(model, **said), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("subset", SUBSETS, ids="-".join)
def test_what_is_missing_is_read_by_no_one(model, may_be_missing, subset):
    gone = [stream for stream in subset if stream in may_be_missing]
    batch = without(tiny_batch(), *gone)
    found = scores(model, **batch)
    assert torch.isfinite(found).all()
    for stream in gone:
        torch.testing.assert_close(scores(model, **changed(batch, stream)), found, atol=1e-6, rtol=1e-6)


def test_rows_may_miss_different_streams(model, may_be_missing):
    batch = tiny_batch()
    mixed = {key: value.clone() for key, value in batch.items()}
    for row, stream in enumerate(may_be_missing):
        mixed[MASKS[stream]][row] = 0
    together = scores(model, **mixed)
    for row in range(4):
        torch.testing.assert_close(scores(model, **rows(mixed, slice(row, row + 1)))[0], together[row], **CLOSE)
    whole = scores(model, **batch)
    torch.testing.assert_close(together[len(may_be_missing) :], whole[len(may_be_missing) :], **CLOSE)
    assert ((together - whole)[: len(may_be_missing)].abs() > 1e-6).all()


@pytest.mark.parametrize(
    "make", [tiny_agfn, partial(tiny_deepmlf, audio_batch_norm=True), tiny_deepmlf_av], ids=["agfn", "deepmlf", "av"]
)
def test_rows_without_any_stream_are_finite_and_have_gradients(make):
    model = make().train()
    output = model(**without(tiny_batch(labels=LABELS), *STREAMS))
    output.loss.backward()
    assert torch.isfinite(output.loss)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
