import json
from pathlib import Path

import pytest
import torch
from tiny_models import TEXT_CONFIGS, tiny_batch, tiny_config, tiny_model
from transformers import AutoModel, BertConfig

from hf_msa.models import PGFNetConfig, PGFNetForSequenceClassification, PGFNetModel
from hf_msa.models.streams_msa import FRAME_STREAMS

GOLDEN = Path(__file__).parents[1] / "golden" / "pgf_net.json"


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def scores(model, **batch):
    with torch.no_grad():
        return model(**batch).logits


@pytest.mark.parametrize("family", TEXT_CONFIGS)
def test_without_frames_and_adapters_every_family_computes_what_its_own_model_does(family):
    model = tiny_model(family, use_adapter=False, model_class=PGFNetModel)
    batch = tiny_batch()
    text = {key: batch[key] for key in ("input_ids", "attention_mask")}
    plain = AutoModel.from_config(model.config.text_config).eval()
    plain.load_state_dict(model.text_encoder.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.equal(model(**text).last_hidden_state, plain(**text).last_hidden_state)


def test_layers_before_the_first_fused_one_never_see_the_frames():
    model = tiny_model(fusion_start_layer=1)
    batch = tiny_batch()
    loud = batch | {"audio_values": batch["audio_values"] * 10}
    with torch.no_grad():
        quiet_states = model(**batch, output_hidden_states=True).hidden_states
        loud_states = model(**loud, output_hidden_states=True).hidden_states
    assert [torch.equal(a, b) for a, b in zip(quiet_states, loud_states, strict=True)] == [True, True, False]
    assert len(model.pgf_net.fusion_layers) == 1


def test_gates_attention_and_states_come_on_request_only(model):
    batch = tiny_batch()
    assert list(model(**batch).keys()) == ["logits"]
    asked = model(**batch, output_gates=True, output_attentions=True, output_hidden_states=True)
    assert [gate.shape for gate in asked.gates] == [(4, 7, 24)] * 2
    assert [weights.shape for weights in asked.attentions] == [(4, 4, 7, 11)] * 2
    assert [state.shape for state in asked.hidden_states] == [(4, 7, 24)] * 3
    assert torch.equal(asked.fused_state, asked.hidden_states[-1][:, 0])
    torch.testing.assert_close(asked.logits, model(**batch).logits)
    for weights in asked.attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones(4, 4, 7))
        assert (weights[1, :, :, 4] == 0).all()


def test_a_tuple_comes_where_return_dict_is_off(model):
    batch = tiny_batch()
    assert torch.equal(model(**batch, return_dict=False)[0], model(**batch).logits)


def test_a_configuration_that_wants_tuples_gets_them():
    model = tiny_model()
    model.config.return_dict = model.pgf_net.config.return_dict = False
    assert isinstance(model(**tiny_batch()), tuple)


def test_an_explanation_is_the_same_while_training_and_leaves_the_mode_alone():
    model = tiny_model().train()
    first, second = model.explain(**tiny_batch()), model.explain(**tiny_batch())
    assert torch.equal(first.logits, second.logits)
    assert model.training


def test_an_explanation_needs_no_mask(model):
    batch = {key: value for key, value in tiny_batch().items() if key != "attention_mask"}
    whole = model.explain(**batch, attention_mask=torch.ones_like(batch["input_ids"]))
    torch.testing.assert_close(model.explain(**batch).stream_shares, whole.stream_shares)


def test_attention_of_the_configuration_is_honoured(model):
    quiet = tiny_model(attn_implementation="eager")
    quiet.config.output_attentions = True
    assert len(quiet(**tiny_batch()).attentions) == 2


def test_an_explanation_shares_out_each_row_and_follows_the_gates(model):
    batch = tiny_batch()
    batch["visual_attention_mask"][1] = 0
    explained = model.explain(**batch)
    torch.testing.assert_close(explained.stream_shares.sum(1), torch.ones(4))
    assert explained.stream_shares[1, 2] == 0
    assert (explained.stream_shares[0] > 0.01).all()
    assert (explained.text_share[batch["attention_mask"] == 0] == 0).all()
    gates = torch.stack(model(**batch, output_gates=True).gates)
    torch.testing.assert_close(explained.text_share[0], gates.mean(dim=(0, 3))[0])
    without = model.explain(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    torch.testing.assert_close(without.stream_shares, torch.tensor([[1.0, 0.0, 0.0]] * 4))


def test_an_explanation_needs_gates():
    with pytest.raises(ValueError, match="use_gate=False"):
        tiny_model(use_gate=False).explain(**tiny_batch())


@pytest.mark.parametrize(
    ("name", "formula"),
    [("l1", lambda d: d.abs()), ("mse", lambda d: d**2), ("smooth_l1", lambda d: min(d**2 / 2, d.abs() - 0.5))],
)
def test_a_regression_has_the_loss_of_its_configuration(name, formula):
    model, batch = tiny_model(regression_loss=name), tiny_batch(3)
    labels = torch.tensor([5.0, -3.0, 0.3])
    output = model(**batch, labels=labels)
    difference = output.logits[:, 0] - labels
    expected = sum(formula(d) if name != "smooth_l1" or d.abs() >= 1 else d**2 / 2 for d in difference) / 3
    torch.testing.assert_close(output.loss, expected)


def test_classes_have_cross_entropy_and_keep_their_names(tmp_path):
    names = {0: "anger", 1: "joy", 2: "sadness"}
    model, batch = tiny_model(id2label=names), tiny_batch(2)
    output = model(**batch, labels=torch.tensor([2, 0]))
    chosen = torch.log_softmax(output.logits, dim=-1)[[0, 1], [2, 0]]
    torch.testing.assert_close(output.loss, -chosen.mean())
    model.save_pretrained(tmp_path)
    assert PGFNetConfig.from_pretrained(tmp_path).id2label == names
    assert model.config.label_range is None


@pytest.mark.parametrize(
    ("fields", "labels", "message"),
    [
        ({}, [0.0, float("nan")], "labels: expected a finite score, got nan in row 1"),
        ({}, [0.0, 1.0, 2.0], r"labels: expected shape \(2,\), got \(3,\)"),
        ({"num_labels": 3}, [0, 3], "labels: expected a class from 0 to 2, got 3 in row 1"),
        ({"num_labels": 3}, [0.5, 1.0], "labels: expected a class from 0 to 2, got 0.5 in row 0"),
    ],
)
def test_labels_that_do_not_fit_are_refused(fields, labels, message):
    with pytest.raises(ValueError, match=message):
        tiny_model(**fields)(**tiny_batch(2), labels=torch.tensor(labels))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio_values": torch.zeros(4, 5, 7)}, r"audio_values: expected .*config.audio_dim 3\), got \(4, 5, 7\)"),
        ({"visual_values": torch.zeros(3, 6, 2)}, r"visual_values: expected \(batch 4, .*got \(3, 6, 2\)"),
        ({"audio_attention_mask": torch.ones(4, 4)}, r"audio_attention_mask: expected \(4, 5\)"),
        ({"attention_mask": torch.ones(4, 6)}, r"attention_mask: expected \(4, 7\)"),
        ({"input_ids": None}, "input_ids: expected either input_ids or inputs_embeds"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(model, change, message):
    with pytest.raises(ValueError, match=message):
        model(**(tiny_batch() | change))


def test_embeddings_may_come_in_place_of_tokens(model):
    batch = tiny_batch()
    embeds = model.get_input_embeddings()(batch["input_ids"])
    assert torch.equal(scores(model, **batch), scores(model, **(batch | {"input_ids": None}), inputs_embeds=embeds))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same_score(model, dtype):
    batch = tiny_batch()
    half = tiny_model().to(dtype)
    torch.testing.assert_close(scores(half, **batch).float(), scores(model, **batch), atol=0.15, rtol=0.1)


def test_fresh_values_are_those_promised():
    torch.manual_seed(0)
    model = PGFNetForSequenceClassification(
        PGFNetConfig(text_config=BertConfig(num_hidden_layers=1), adapter_bottleneck=[64])
    )
    fusion = model.pgf_net.fusion_layers[0].fusion
    inner, outer = fusion.gate.proj
    assert (outer.bias == 2).all()
    assert (inner.bias == 0).all()
    assert fusion.adapter.scale.weight.item() == 1
    assert (fusion.adapter.norm.weight == 1).all()
    for layer in (inner, outer, fusion.adapter.down, model.pgf_net.bank.audio_proj):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
    head = model.classifier.hidden_1
    assert head.weight.std().item() == pytest.approx((2 / (768 + 128)) ** 0.5, rel=0.05)
    assert (head.bias == 0).all()


def test_what_a_variant_does_not_use_is_not_created():
    names = {
        name.split("fusion_layers.0.")[1]
        for name, _ in tiny_model(
            use_gate=False, use_adapter=False, use_cross_attention=False, model_class=PGFNetModel
        ).named_parameters()
        if "fusion_layers.0." in name
    }
    assert names == set()
    some = tiny_model(adapter_bottleneck=[0, 6], model_class=PGFNetModel)
    assert [layer.fusion.adapter is None for layer in some.fusion_layers] == [True, False]


def test_only_the_text_model_is_frozen(model):
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trainable == {name for name, _ in model.named_parameters() if ".text_encoder." not in name}
    tuned = tiny_model(freeze_text_encoder=False)
    assert all(parameter.requires_grad for parameter in tuned.parameters())


def test_a_backbone_that_is_not_supported_is_refused_by_name():
    with pytest.raises(ValueError, match="not on 'deberta-v2'"):
        PGFNetConfig(text_config={"model_type": "deberta-v2"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gate_ranks": 3}, "unknown key.* 'gate_ranks'"),
        ({"fusion_start_layer": 2}, "fusion_start_layer: expected 0 to 1"),
        ({"fusion_attention_heads": 5}, "fusion_attention_heads: expected a divisor of the hidden size 24, got 5"),
        ({"adapter_bottleneck": [1, 2, 3]}, "one size for each of the 2 fused layers, got 3"),
        ({"adapter_bottleneck": -1}, "adapter_bottleneck: expected sizes of 0 or more"),
        ({"adapter_dropout": 1.0}, r"adapter_dropout: expected a rate in \[0, 1\)"),
        ({"label_range": (3, -3)}, r"label_range: expected \(lowest, highest\)"),
        ({"audio_dim": 0}, "audio_dim: expected at least 1, got 0"),
        ({"num_labels": 0}, "num_labels: expected at least 1, got 0"),
        ({"label_range": (0, float("inf"))}, r"label_range: expected \(lowest, highest\)"),
        ({"gate_init_bias": float("nan")}, "gate_init_bias: expected a finite number, got nan"),
        ({"fusion_attention_heads": 0}, "fusion_attention_heads: expected a divisor of the hidden size 24, got 0"),
        ({"gate_rank": 0}, "gate_rank: expected at least 1, got 0"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(**fields)


@pytest.mark.parametrize("fields", [{"gate_type": "tanh"}, {"audio_dim": "5"}, {"use_gate": 1.5}])
def test_a_field_of_the_wrong_type_is_refused(fields):
    with pytest.raises(Exception, match=next(iter(fields))):
        tiny_config(**fields)


def test_checkpointing_gives_the_same_gradients_and_keeps_less():
    batch = tiny_batch(labels=torch.ones(4))

    def run(checkpointed):
        model = tiny_model(adapter_dropout=0.0, classifier_dropout=0.0).train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.config.text_config.attention_probs_dropout_prob = 0.0
        if checkpointed:
            model.gradient_checkpointing_enable()
        kept = 0

        def count(tensor):
            nonlocal kept
            kept += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = model(**batch).loss
        loss.backward()
        return kept, {name: p.grad for name, p in model.named_parameters() if p.requires_grad}

    kept, gradients = run(False)
    kept_less, checkpointed = run(True)
    assert kept_less < 0.5 * kept
    for name, gradient in gradients.items():
        torch.testing.assert_close(checkpointed[name], gradient, msg=name)


def test_outputs_stay_what_they_were():
    """Golden values of this implementation; a change that should not change numbers must leave them alone."""
    model = tiny_model()
    batch = tiny_batch()
    with torch.no_grad():
        for number, (_, parameter) in enumerate(sorted(model.named_parameters())):
            steps = torch.arange(parameter.numel(), dtype=torch.float64) + number
            parameter.copy_((torch.sin(steps * 0.7) * 0.3).reshape(parameter.shape))
        for stream in FRAME_STREAMS:
            values = batch[f"{stream}_values"]
            values.copy_(torch.cos(torch.arange(values.numel()) * 0.3).reshape(values.shape))
        batch["input_ids"] = (torch.arange(28).reshape(4, 7) * 5) % 55 + 5
        output = model(**batch, output_gates=True)
    golden = json.loads(GOLDEN.read_text())
    torch.testing.assert_close(output.logits[:, 0], torch.tensor(golden["logits"]), atol=1e-5, rtol=1e-5)
    means = torch.stack([gate.mean() for gate in output.gates])
    torch.testing.assert_close(means, torch.tensor(golden["gate_means"]), atol=1e-5, rtol=1e-5)
