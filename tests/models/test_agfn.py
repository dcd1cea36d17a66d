"""AGFN as a whole: what it reads, what it leaves alone, what it says about itself."""

import json
from itertools import combinations
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_agfn, tiny_agfn_config, tiny_batch
from transformers import AutoModel, AutoModelForSequenceClassification, BertConfig

from hf_msa.models import AGFNConfig, AGFNForSequenceClassification, AGFNModel
from hf_msa.models.streams_msa import STREAMS

GOLDEN = Path(__file__).parents[1] / "golden" / "agfn.json"
VARIANTS = ("both", "entropy", "importance", "concat")
ENCODERS = ("lstm", "transformer", "mean")
MASKS = {"text": "attention_mask", "audio": "audio_attention_mask", "visual": "visual_attention_mask"}
SUBSETS = [subset for size in (1, 2) for subset in combinations(STREAMS, size)]


@pytest.fixture(scope="module", params=ENCODERS)
def model(request):
    return tiny_agfn(audio_encoder=request.param, visual_encoder=request.param)


def scores(model, **batch):
    with torch.no_grad():
        return model(**batch).logits


def test_a_text_of_special_tokens_is_as_missing_as_one_that_is_masked(model):
    batch = tiny_batch()
    special, masked = dict(batch), dict(batch)
    special["attention_mask"] = torch.tensor([[1, 1, 0, 0, 0, 0, 0]]).expand(4, -1)
    special["input_ids"] = torch.randint(5, 60, (4, 7), generator=torch.Generator().manual_seed(9))
    masked["attention_mask"] = torch.zeros(4, 7, dtype=torch.long)
    torch.testing.assert_close(scores(model, **special), scores(model, **masked))


@pytest.mark.parametrize("subset", SUBSETS, ids="-".join)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_missing_modality_has_no_weight_and_is_read_by_no_one(subset, variant):
    model, batch = tiny_agfn(gate_variant=variant), tiny_batch()
    for stream in subset:
        batch[MASKS[stream]] = torch.zeros_like(batch[MASKS[stream]])
    output = model(**batch, output_gates=True, output_attentions=True)
    changed = dict(batch)
    for stream in subset:
        key = "input_ids" if stream == "text" else f"{stream}_values"
        changed[key] = (batch[key] + 3) % 60 if stream == "text" else batch[key] + 3
    torch.testing.assert_close(scores(model, **changed), output.logits)
    assert torch.isfinite(output.logits).all()
    gone = [STREAMS.index(stream) for stream in subset]
    for gates in (output.gates.entropy_weights, output.gates.importance_gates):
        if gates is not None:
            assert (gates[:, gone] == 0).all()
            assert (gates.sum(dim=1) > 0.01).all()


def test_gates_attention_and_states_come_on_request_only():
    model, batch = tiny_agfn(), tiny_batch()
    assert list(model(**batch).keys()) == ["logits"]
    asked = model(**batch, output_gates=True, output_attentions=True, output_hidden_states=True)
    assert asked.gates.entropy_weights.shape == asked.gates.importance_gates.shape == (4, 3)
    assert asked.gates.alpha.shape == (1,)
    assert [weights.shape for weights in asked.attentions] == [(4, 2, 7, 11), (4, 2, 5, 13), (4, 2, 6, 12)]
    assert [state.shape for state in asked.hidden_states] == [(4, 7, 24)] * 3
    assert asked.fused_state.shape == (4, 8)
    torch.testing.assert_close(asked.logits, model(**batch).logits)


def test_a_tuple_comes_where_return_dict_is_off():
    model, batch = tiny_agfn(), tiny_batch()
    assert torch.equal(model(**batch, return_dict=False)[0], model(**batch).logits)


def test_an_explanation_blends_both_gates_and_leaves_the_mode_alone():
    model, batch = tiny_agfn().train(), tiny_batch()
    batch["visual_attention_mask"][1] = 0
    explained = model.explain(**batch)
    assert model.training
    gates = model.eval()(**batch, output_gates=True).gates
    expected = gates.alpha * gates.entropy_weights + (1 - gates.alpha) * (
        gates.importance_gates / gates.importance_gates.sum(dim=1, keepdim=True)
    )
    torch.testing.assert_close(explained.stream_shares, expected)
    torch.testing.assert_close(explained.stream_shares.sum(dim=1), torch.ones(4))
    assert explained.stream_shares[1, 2] == 0
    assert explained.text_share is None
    with pytest.raises(ValueError, match="gate_variant='concat'"):
        tiny_agfn(gate_variant="concat").explain(**batch)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_after_three_steps_every_tensor_has_had_a_gradient(variant, encoder):
    model = tiny_agfn(gate_variant=variant, audio_encoder=encoder, visual_encoder=encoder).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    moved = set()
    for step in range(3):
        optimizer.zero_grad()
        model(**tiny_batch(seed=step), labels=torch.tensor([1.0, -2.0, 0.5, 3.0])).loss.backward()
        moved |= {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        optimizer.step()
    # Nothing depends on the bias of an attention's keys, in theory.
    still = {name for name, _ in model.named_parameters()} - moved
    assert {name for name in still if not name.endswith("key.bias")} == set()


def test_the_adversarial_loss_is_added_while_training_only_and_named():
    batch = tiny_batch(labels=torch.zeros(4))
    model = tiny_agfn(virtual_adversarial_weight=0.3, classifier_dropout=0.0).train()
    torch.manual_seed(0)
    output = model(**batch)
    assert set(output.losses) == {"task", "adversarial"}
    assert output.losses["adversarial"] > 0
    torch.testing.assert_close(output.loss, output.losses["task"] + 0.3 * output.losses["adversarial"])
    assert set(model.eval()(**batch).losses) == {"task"}
    assert set(tiny_agfn(virtual_adversarial_weight=0.0).train()(**batch).losses) == {"task"}


def test_the_adversarial_loss_is_the_same_under_the_same_seed():
    model, batch = tiny_agfn().train(), tiny_batch(labels=torch.zeros(4))

    def loss(seed):
        torch.manual_seed(seed)
        return model(**batch).losses["adversarial"].item()

    assert loss(1) == loss(1) != loss(2)


def test_the_adversarial_loss_never_runs_the_encoders_again():
    model, calls = tiny_agfn(virtual_adversarial_steps=5).train(), []
    for name in ("text_encoder", "audio_encoder", "visual_encoder", "text_attention", "gate"):
        getattr(model.agfn, name).register_forward_hook(lambda *_, name=name: calls.append(name))
    model(**tiny_batch(labels=torch.zeros(4))).loss.backward()
    assert sorted(calls) == ["audio_encoder", "gate", "text_attention", "text_encoder", "visual_encoder"]


def test_the_adversarial_loss_works_in_half_precision():
    model = tiny_agfn().train()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**tiny_batch(labels=torch.zeros(4)))
    output.loss.backward()
    assert output.losses["adversarial"].dtype == torch.float32
    assert output.losses["adversarial"] > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_kept_in_half_precision_trains_with_the_adversarial_loss(dtype):
    def loss(model):
        torch.manual_seed(0)
        return model.train()(**tiny_batch(labels=torch.zeros(4))).losses["adversarial"]

    drop_nothing = {"encoder_dropout": 0.0, "attention_dropout": 0.0, "classifier_dropout": 0.0}
    half = tiny_agfn(**drop_nothing).to(dtype)
    half.agfn.text_encoder.eval()
    found = loss(half)
    found.backward()
    assert half.classifier.hidden.weight.grad.abs().max() > 0
    assert found.item() == pytest.approx(loss(tiny_agfn(**drop_nothing)).item(), rel=0.1)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_adversarial_loss_is_the_same_number_where_gradients_are_off(mode):
    model, batch = tiny_agfn().train(), tiny_batch(labels=torch.zeros(4))
    torch.manual_seed(0)
    expected = model(**batch).losses["adversarial"].item()
    torch.manual_seed(0)
    with mode():
        found = model(**batch).losses["adversarial"]
    assert found.item() == pytest.approx(expected)
    assert not found.requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same_score(dtype):
    batch = tiny_batch()
    torch.testing.assert_close(
        scores(tiny_agfn().to(dtype), **batch).float(), scores(tiny_agfn(), **batch), atol=0.15, rtol=0.1
    )


def test_a_text_encoder_may_be_frozen_and_is_not_by_default():
    assert all(parameter.requires_grad for parameter in tiny_agfn().parameters())
    frozen = tiny_agfn(freeze_text_encoder=True)
    trained = {name for name, parameter in frozen.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in frozen.named_parameters() if ".text_encoder." not in name}


def test_a_saved_model_loads_bit_equal_through_the_auto_classes(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is AGFNForSequenceClassification
    assert torch.equal(scores(loaded, **tiny_batch()), scores(model, **tiny_batch()))
    assert isinstance(AutoModel.from_pretrained(tmp_path), AGFNModel)


def test_fresh_values_are_those_promised():
    torch.manual_seed(0)
    model = AGFNForSequenceClassification(AGFNConfig(text_config=BertConfig(num_hidden_layers=1)))
    assert model.agfn.gate.blend.logit.item() == 0
    bound = 64**-0.5
    for parameter in model.agfn.audio_encoder.parameters():
        assert parameter.abs().max() <= bound
        assert parameter.std().item() == pytest.approx(bound / 3**0.5, rel=0.15)
    for layer in (model.agfn.text_proj, model.agfn.gate.logits.hidden, model.classifier.hidden):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert (layer.bias == 0).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_sizes": 3}, "unknown key.* 'hidden_sizes'"),
        ({"hidden_size": 7}, "hidden_size: expected an even multiple of num_attention_heads 2, got 7"),
        ({"num_encoder_layers": 0}, "num_encoder_layers: expected at least 1, got 0"),
        ({"virtual_adversarial_steps": 0}, "virtual_adversarial_steps: expected at least 1, got 0"),
        ({"virtual_adversarial_weight": -1}, "virtual_adversarial_weight: expected 0 or more, got -1"),
        ({"entropy_temperature": 0}, "entropy_temperature: expected a number above 0, got 0"),
        ({"encoder_dropout": 1.0}, r"encoder_dropout: expected a rate in \[0, 1\)"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        tiny_agfn_config(**fields)


@pytest.mark.parametrize("fields", [{"gate_variant": "none"}, {"audio_encoder": "gru"}, {"normalize_entropy": 1.5}])
def test_a_field_of_the_wrong_type_is_refused(fields):
    with pytest.raises(Exception, match=next(iter(fields))):
        tiny_agfn_config(**fields)


def test_outputs_stay_what_they_were():
    """Golden values of this implementation; a change that should not change numbers must leave them alone."""
    model, batch = tiny_agfn(), tiny_batch()
    with torch.no_grad():
        for number, (_, parameter) in enumerate(sorted(model.named_parameters())):
            steps = torch.arange(parameter.numel(), dtype=torch.float64) + number
            parameter.copy_((torch.sin(steps * 0.7) * 0.3).reshape(parameter.shape))
        for stream in STREAMS[1:]:
            values = batch[f"{stream}_values"]
            values.copy_(torch.cos(torch.arange(values.numel()) * 0.3).reshape(values.shape))
        batch["input_ids"] = (torch.arange(28).reshape(4, 7) * 5) % 55 + 5
        output = model(**batch, output_gates=True)
    golden = json.loads(GOLDEN.read_text())
    torch.testing.assert_close(output.logits[:, 0], torch.tensor(golden["logits"]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.gates.entropy_weights[0], torch.tensor(golden["entropy_weights"]))
    torch.testing.assert_close(output.gates.importance_gates[0], torch.tensor(golden["importance_gates"]))
