"""A model answers for itself: what the rest of the package asks of it, and never finds out in another way."""

import copy
import importlib
import inspect

import pytest
import torch
from tiny_models import (
    ENCODERS,
    TINY,
    config_class,
    families,
    is_encoder,
    tiny_agfn,
    tiny_batch,
    tiny_deepmlf,
    tiny_deepmlf_av,
    tiny_model,
)
from torch import nn

from hf_msa import models
from hf_msa.models import MODELS
from hf_msa.models.decoder_deepmlf import next_token_loss
from hf_msa.models.modeling_msa import msa_loss

LABELS = torch.tensor([2.0, -1.0, 0.5, 0.0])


def test_every_model_type_has_a_tiny_model_of_its_own_class():
    assert TINY.keys() == MODELS.keys()
    for model_type, make in TINY.items():
        assert type(make()).__name__ == MODELS[model_type][2]


@pytest.mark.parametrize("model_type", MODELS)
def test_a_model_says_whether_it_has_a_text_model(model_type):
    assert TINY[model_type]().config.has_text_model == bool(families(model_type))


@pytest.mark.parametrize("model_type", MODELS)
def test_lora_belongs_to_encoders_alone(model_type):
    assert config_class(model_type).trains_with_lora == is_encoder(model_type)


def test_a_second_stage_names_a_field_of_its_own_and_a_model_type_that_is_there():
    of_two_stages = [config_class(name) for name in MODELS if config_class(name).stage_one_type is not None]
    assert of_two_stages == [models.DeepMLFConfig]
    assert all(config.stage_one_type in MODELS for config in of_two_stages)
    assert all(hasattr(config(), config.stage_one_field) for config in of_two_stages)


@pytest.mark.parametrize("model_type", [name for name in MODELS if config_class(name).paper is not None])
def test_a_paper_can_be_cited_and_its_shares_are_no_percentages(model_type):
    paper = config_class(model_type).paper
    assert paper.title
    assert not paper.title.endswith(".")
    assert all(", " in author for author in paper.authors)
    assert paper.arxiv.startswith(str(paper.year % 100))
    assert all(0 < value < 1 for row in paper.results for value in row.metrics.values())


@pytest.mark.parametrize("model_type", MODELS)
def test_a_modeling_file_has_the_sections_that_a_card_shows(model_type):
    module = importlib.import_module(getattr(models, MODELS[model_type][1]).__module__)
    lines = inspect.getdoc(module).splitlines()
    choices = "Differences from the paper:" if "Differences from the paper:" in lines else "Choices:"
    for section in ("Diagram:", choices):
        below = lines[lines.index(section) + 2]
        assert below.startswith(("    ", "- "))


@pytest.mark.parametrize(
    ("make", "without"),
    [
        (tiny_model, {"use_gate": False}),
        (tiny_agfn, {"gate_variant": "concat"}),
        (tiny_deepmlf, {"gate_type": "none"}),
    ],
)
@pytest.mark.parametrize("is_gated", [True, False])
def test_a_model_says_whether_it_has_gates(make, without, is_gated):
    model = make(**({} if is_gated else without))
    gates = model(**tiny_batch(), output_gates=True).gates
    assert model.config.has_gates == is_gated
    if make is tiny_agfn:
        assert any(part is not None for part in gates.values()) == is_gated
    else:
        assert (gates is not None) == is_gated


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (tiny_model, {}),
        (tiny_model, {"use_gate": False}),
        (tiny_agfn, {}),
        (tiny_agfn, {"gate_variant": "concat"}),
        (tiny_deepmlf, {"gate_type": "none"}),
        (tiny_deepmlf_av, {}),
    ],
)
def test_a_model_that_can_explain_does_and_another_refuses(make, fields):
    model = make(**fields)
    if model.can_explain:
        assert model.explain(**tiny_batch()).stream_shares.shape == (4, 3)
    else:
        with pytest.raises(models.MsaError, match="expected a model with gates"):
            model.explain(**tiny_batch())


def test_a_model_without_a_head_explains_nothing():
    assert not tiny_model().pgf_net.can_explain


@pytest.mark.parametrize("model_type", ENCODERS)
def test_a_bare_encoder_reads_the_text_and_scores_its_first_token(model_type):
    model, batch, head = TINY[model_type](), tiny_batch(labels=LABELS), nn.Linear(24, 1)
    inputs = model.bare_text_inputs(batch)
    assert inputs.keys() == {"input_ids", "attention_mask"}
    assert inputs["input_ids"] is batch["input_ids"]
    hidden = model.text_model(**inputs).last_hidden_state
    loss, logits = model.text_only_loss(hidden, batch, head)
    assert torch.equal(logits, head(hidden[:, 0]))
    assert torch.equal(loss, msa_loss(logits, LABELS, model.config))
    assert model.part_without_counterpart(batch) is None


def test_a_bare_decoder_reads_as_many_tokens_and_has_the_same_losses():
    model, batch, head = tiny_deepmlf(), tiny_batch(labels=LABELS), nn.Linear(24, 1)
    inputs = model.bare_text_inputs(batch)
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (4, 7 + 3)
    assert inputs["attention_mask"][:, 7:].all()
    hidden = model.text_model(**inputs).last_hidden_state
    table = torch.randn_like(model.get_input_embeddings().weight)
    loss, logits = model.text_only_loss(hidden, batch, head, table=table)
    config, scored = model.config, head(hidden).squeeze(-1)
    last = [length - 1 for length in batch["attention_mask"].sum(dim=1)]
    vocabulary = hidden[:, :7] @ table.T
    expected = (scored[:, -1] - LABELS).abs().mean()
    expected += config.fusion_loss_weight * (scored[:, 7:] - LABELS[:, None]).abs().mean()
    expected += config.text_loss_weight * (scored[range(4), last] - LABELS).abs().mean()
    expected += config.lm_loss_weight * next_token_loss(
        vocabulary, batch["input_ids"], batch["attention_mask"].bool(), 2, True
    )
    assert torch.equal(logits[:, 0], scored[:, -1])
    assert torch.allclose(loss, expected, rtol=1e-6)
    assert model.text_only_loss(hidden, batch, head)[0] != loss


def test_the_next_token_trains_the_embeddings_of_the_model_that_gave_the_states():
    model, batch, head = tiny_deepmlf(), tiny_batch(labels=LABELS), nn.Linear(24, 1)
    copied = copy.deepcopy(model.text_model).requires_grad_(True)
    table = copied.get_input_embeddings().weight
    hidden = copied(**model.bare_text_inputs(batch)).last_hidden_state.detach()
    model.text_only_loss(hidden, batch, head, table=table)[0].backward()
    assert table.grad.abs().sum() > 0


def test_what_a_language_model_has_nothing_like_is_the_audiovisual_encoder():
    model, batch = tiny_deepmlf(), tiny_batch()
    steps = model.part_without_counterpart(batch)()
    assert torch.equal(model.deepmlf.av_norm(steps), model.deepmlf(**batch).av_states)
