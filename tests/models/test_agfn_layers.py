"""Each layer of AGFN against its formula, written out with loops and scalars."""

import math

import pytest
import torch
from tiny_models import tiny_agfn_config
from torch import nn

from hf_msa.models.layers_agfn import (
    BlendWeight,
    CrossModalAttention,
    DualGate,
    EntropyGate,
    GateLogits,
    ImportanceGate,
    LSTMEncoder,
    MaskedAttention,
    MeanEncoder,
    PredictionHead,
    StreamLSTM,
    TransformerEncoder,
    compact_frames,
    feature_entropy,
    sinusoids,
    stack_states,
    virtual_adversarial_loss,
)

D, H = 8, 2
ALL = torch.ones(2, 3, dtype=torch.bool)


def randomised(module, std=0.5):
    torch.manual_seed(2)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=std)
    return module.eval()


@pytest.fixture
def states():
    return torch.randn(2, 3, D, generator=torch.Generator().manual_seed(1))


def entropy(state):
    p = [math.exp(x) for x in state.tolist()]
    p = [x / sum(p) for x in p]
    return -sum(x * math.log(x) for x in p)


@pytest.mark.parametrize("normalize", [True, False])
def test_the_entropy_of_a_state_is_that_of_its_softmax(states, normalize):
    found = feature_entropy(states, normalize)
    expected = entropy(states[1, 2]) / (math.log(D) if normalize else 1)
    assert found[1, 2].item() == pytest.approx(expected, rel=1e-5)


def test_entropy_is_one_where_nothing_is_known_and_nearly_zero_where_all_is():
    sure = torch.zeros(D)
    sure[3] = 50.0
    assert feature_entropy(torch.zeros(D)).item() == pytest.approx(1)
    assert feature_entropy(sure).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_the_entropy_gate_is_a_softmax_of_logits_times_certainty(states, temperature):
    gate = EntropyGate(tiny_agfn_config(entropy_temperature=temperature))
    z = torch.tensor([[0.5, -1.0, 2.0], [3.0, 0.1, 0.2]])
    fused, weights = gate(states, z, ALL)
    for row in range(2):
        scores = [
            math.exp(z[row, m].item() * math.exp(-entropy(states[row, m]) / math.log(D) / temperature))
            for m in range(3)
        ]
        expected = torch.tensor([score / sum(scores) for score in scores])
        torch.testing.assert_close(weights[row], expected)
        torch.testing.assert_close(fused[row], sum(expected[m] * states[row, m] for m in range(3)))


def test_without_normalising_the_entropy_gate_is_flat():
    """The trap of reproducing the paper: at D = 128 exp(-H) is about 0.008 and no logit can tell streams apart."""
    generator = torch.Generator().manual_seed(0)
    states, z = torch.randn(50, 3, 128, generator=generator), torch.randn(50, 3, generator=generator)
    present = torch.ones(50, 3, dtype=torch.bool)
    spread = {}
    for normalize in (True, False):
        _, weights = EntropyGate(tiny_agfn_config(normalize_entropy=normalize))(states, z, present)
        spread[normalize] = (weights - 1 / 3).abs().max().item()
    assert spread[False] < 0.02
    assert spread[True] > 0.15


def test_a_negative_logit_turns_the_meaning_of_entropy_round_and_softplus_mends_it():
    sure, unsure = torch.zeros(1, 3, D), torch.zeros(1, 3, D)
    sure[0, 1, 0] = unsure[0, 1, 0] = 10.0  # the second stream is certain
    gate, present = EntropyGate(tiny_agfn_config()), torch.ones(1, 3, dtype=torch.bool)
    _, positive = gate(sure, torch.ones(1, 3), present)
    _, negative = gate(sure, -torch.ones(1, 3), present)
    assert positive[0].argmax() == 1
    assert negative[0].argmin() == 1
    for gate_logits, low in (("signed", -math.inf), ("softplus", 0)):
        logits = randomised(GateLogits(tiny_agfn_config(gate_logits=gate_logits)), std=1.0)
        z = logits(torch.randn(64, 3, D, generator=torch.Generator().manual_seed(0)))
        assert (z > low).all()
        assert (z < 0).any() == (gate_logits == "signed")


def test_the_logits_come_from_all_three_states(states):
    layer = randomised(GateLogits(tiny_agfn_config()))
    joined = torch.cat([states[1, 0], states[1, 1], states[1, 2]])
    inner = torch.clamp(layer.hidden.weight @ joined + layer.hidden.bias, min=0)
    torch.testing.assert_close(layer(states)[1], layer.output.weight @ inner + layer.output.bias)


def test_the_importance_gate_scales_each_state_before_one_projection(states):
    gate = randomised(ImportanceGate(tiny_agfn_config()))
    z = torch.tensor([[0.5, -1.0, 2.0], [3.0, 0.1, 0.2]])
    fused, gates = gate(states, z, ALL)
    expected = [1 / (1 + math.exp(-x)) for x in z[1].tolist()]
    torch.testing.assert_close(gates[1], torch.tensor(expected))
    scaled = torch.cat([expected[m] * states[1, m] for m in range(3)])
    torch.testing.assert_close(fused[1], gate.proj.weight @ scaled + gate.proj.bias)


def test_both_gates_are_blended_by_alpha(states):
    gate = randomised(DualGate(tiny_agfn_config()))
    fused, weights, gates, alpha = gate(states, ALL)
    z = gate.logits(states)
    by_entropy, by_importance = gate.entropy(states, z, ALL), gate.importance(states, z, ALL)
    share = 1 / (1 + math.exp(-gate.blend.logit.item()))
    assert alpha.item() == pytest.approx(share)
    torch.testing.assert_close(fused, share * by_entropy[0] + (1 - share) * by_importance[0])
    torch.testing.assert_close((weights, gates), (by_entropy[1], by_importance[1]))


def test_alpha_starts_at_a_half():
    blend = BlendWeight()
    nn.init.ones_(blend.logit)
    blend.initialize()
    assert blend().item() == 0.5


@pytest.mark.parametrize(
    ("variant", "parts", "width"),
    [
        ("both", {"logits", "importance", "blend"}, D),
        ("entropy", {"logits"}, D),
        ("importance", {"logits", "importance"}, D),
        ("concat", set(), 3 * D),
    ],
)
def test_what_a_variant_does_not_use_is_not_created(states, variant, parts, width):
    gate = DualGate(tiny_agfn_config(gate_variant=variant))
    assert {name.split(".")[0] for name, _ in gate.named_parameters()} == parts
    fused, weights, gates, alpha = gate(states, ALL)
    assert fused.shape == (2, width)
    assert (weights is not None, gates is not None, alpha is not None) == (
        variant in ("both", "entropy"),
        variant in ("both", "importance"),
        variant == "both",
    )


def test_what_is_missing_gets_no_weight_and_the_rest_shares_it(states):
    present = torch.tensor([[True, False, True], [False, False, False]])
    states = states * present.unsqueeze(-1)
    fused, weights, gates, _ = randomised(DualGate(tiny_agfn_config()))(states, present)
    assert weights[0, 1] == gates[0, 1] == 0
    assert weights[0].sum().item() == pytest.approx(1)
    assert (weights[1] == 0).all()
    assert torch.isfinite(fused).all()


@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_is_a_masked_softmax_head_by_head(need_weights):
    attention = randomised(MaskedAttention(tiny_agfn_config()))
    torch.manual_seed(3)
    queries, keys = torch.randn(1, 3, D), torch.randn(1, 4, D)
    mask = torch.tensor([[True, False, True, True]])
    context, weights = attention(queries, keys, mask, need_weights)
    q, k, v = (
        part(x)[0].detach()
        for part, x in zip((attention.query, attention.key, attention.value), (queries, keys, keys), strict=True)
    )
    heads = torch.zeros(3, D)
    for head in range(H):
        part = slice(head * D // H, (head + 1) * D // H)
        for i in range(3):
            scores = [
                math.exp(float(q[i, part] @ k[j, part]) / math.sqrt(D / H)) if mask[0, j] else 0 for j in range(4)
            ]
            heads[i, part] = sum(scores[j] / sum(scores) * v[j, part] for j in range(4)).detach()
            if need_weights:
                torch.testing.assert_close(weights[0, head, i], torch.tensor(scores) / sum(scores))
    torch.testing.assert_close(context[0], attention.output(heads))


def test_without_any_key_attention_adds_nothing():
    layer = randomised(CrossModalAttention(tiny_agfn_config()))
    states, others = torch.randn(1, 3, D), torch.full((1, 4, D), 7.0)
    refined, weights = layer(states, others, torch.zeros(1, 4, dtype=torch.bool), need_weights=True)
    torch.testing.assert_close(refined, layer.norm(states))
    assert (weights == 0).all()


def test_cross_modal_attention_is_a_residual_behind_a_layer_norm():
    layer = randomised(CrossModalAttention(tiny_agfn_config()))
    states, others, mask = torch.randn(1, 3, D), torch.randn(1, 4, D), torch.ones(1, 4, dtype=torch.bool)
    expected = layer.norm(states + layer.attention(states, others, mask)[0])
    torch.testing.assert_close(layer(states, others, mask)[0], expected)


def test_real_frames_move_to_the_front_in_their_order():
    frames = torch.arange(5.0).reshape(1, 5, 1)
    mask = torch.tensor([[False, True, False, True, True]])
    moved, moved_mask = compact_frames(frames, mask)
    assert moved[0, :3, 0].tolist() == [1, 3, 4]
    assert moved_mask[0].tolist() == [True, True, True, False, False]


def test_the_lstm_reads_each_row_as_if_it_were_alone():
    encoder = randomised(LSTMEncoder(3, tiny_agfn_config(encoder_dropout=0.0)))
    frames = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(4))
    mask = torch.tensor([[1, 1, 1, 1, 1, 0], [0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]]).bool()
    states, kept = encoder(frames, mask)
    assert kept.sum(dim=1).tolist() == [5, 3, 0]
    for row in range(2):
        alone, _ = encoder.lstm(frames[row : row + 1, mask[row]])
        torch.testing.assert_close(states[row, : alone.shape[1]], alone[0])
    assert torch.isfinite(states).all()


def test_padding_is_never_computed(monkeypatch):
    seen = []
    encoder = LSTMEncoder(3, tiny_agfn_config())
    forward = encoder.lstm.forward
    monkeypatch.setattr(encoder.lstm, "forward", lambda packed: seen.append(packed.data.shape[0]) or forward(packed))
    mask = torch.zeros(4, 50, dtype=torch.bool)
    mask[:, :3] = True
    encoder(torch.randn(4, 50, 3), mask)
    assert seen == [12]


def test_a_fresh_lstm_is_torchs_own():
    torch.manual_seed(0)
    lstm = StreamLSTM(3, 64, 2, 0.1)
    lstm.initialize()
    for parameter in lstm.parameters():
        assert parameter.abs().max() <= 32**-0.5
        assert parameter.std().item() == pytest.approx(32**-0.5 / math.sqrt(3), rel=0.15)


def test_the_mean_encoder_knows_nothing_of_time():
    encoder = randomised(MeanEncoder(3, tiny_agfn_config()))
    frames, mask = torch.randn(1, 4, 3), torch.tensor([[True, True, False, True]])
    states, kept = encoder(frames, mask)
    mean = (frames[0, 0] + frames[0, 1] + frames[0, 3]) / 3
    torch.testing.assert_close(states[0, 0], encoder.proj.weight @ mean + encoder.proj.bias)
    assert kept.tolist() == [[True]]
    order = torch.tensor([3, 1, 2, 0])
    torch.testing.assert_close(encoder(frames[:, order], mask[:, order])[0], states)


def test_the_transformer_encoder_depends_on_order_and_not_on_gaps_or_padding():
    encoder = randomised(TransformerEncoder(3, tiny_agfn_config()), std=0.3)
    frames = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(5))
    whole, _ = encoder(frames, torch.ones(1, 4, dtype=torch.bool))
    spread = torch.full((1, 7, 3), 9.0)
    places = [0, 2, 3, 5]
    spread[:, places] = frames
    mask = torch.zeros(1, 7, dtype=torch.bool)
    mask[:, places] = True
    torch.testing.assert_close(encoder(spread, mask)[0][:, places], whole)
    turned, _ = encoder(frames.flip(1), torch.ones(1, 4, dtype=torch.bool))
    assert (turned.flip(1) - whole).abs().max() > 1e-2


def test_positions_are_sines_then_cosines():
    table = sinusoids(torch.tensor([[0, 3]]), 4)[0, 1]
    expected = [math.sin(3), math.sin(3 / 100), math.cos(3), math.cos(3 / 100)]
    torch.testing.assert_close(table, torch.tensor(expected))


def test_pooling_is_a_mean_over_what_is_real():
    states, mask = torch.randn(2, 4, D), torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0]]).bool()
    pooled, present = stack_states([states], [mask])
    torch.testing.assert_close(pooled[0, 0], (states[0, 0] + states[0, 2]) / 2)
    assert (pooled[1] == 0).all()
    assert present.tolist() == [[True], [False]]


def test_the_head_is_one_hidden_layer_with_relu():
    head = randomised(PredictionHead(tiny_agfn_config(num_labels=3)))
    x = torch.randn(2, D)
    inner = torch.clamp(head.hidden.weight @ x[1] + head.hidden.bias, min=0)
    torch.testing.assert_close(head(x)[1], head.output.weight @ inner + head.output.bias)


def test_the_virtual_adversarial_step_is_the_worst_direction_of_a_linear_head():
    """Of f(h) = w h the worst step of length epsilon is along w: the loss is then (epsilon |w|)^2."""
    w = torch.tensor([[3.0, -1.0, 2.0]])
    torch.manual_seed(0)
    loss = virtual_adversarial_loss(lambda h: h @ w.T, torch.randn(5, 3), steps=3, xi=0.1, epsilon=0.7)
    assert loss.item() == pytest.approx((0.7 * w.norm().item()) ** 2, rel=1e-4)


def test_the_clean_prediction_gets_no_gradient_from_the_virtual_adversarial_loss():
    w = torch.tensor([2.0, 1.0], requires_grad=True)
    hidden = torch.tensor([[1.0, -1.0]], requires_grad=True)
    torch.manual_seed(0)
    virtual_adversarial_loss(lambda h: (h @ w).unsqueeze(-1), hidden, steps=2, xi=0.1, epsilon=1.0).backward()
    # With r along w of length 1 the loss is (w (h + r) - c)^2; c stays fixed, so d/dh = 2 (w r) w.
    expected = 2 * w.detach().norm() * w.detach()
    torch.testing.assert_close(hidden.grad[0].abs(), expected.abs(), rtol=1e-3, atol=1e-3)


def test_the_virtual_adversarial_loss_costs_the_head_alone_and_stands_a_flat_one():
    calls = []

    def head(hidden):
        calls.append(hidden.shape)
        return hidden.sum(dim=-1, keepdim=True) * 0.0

    loss = virtual_adversarial_loss(head, torch.randn(4, D), steps=5, xi=0.1, epsilon=1.0)
    assert len(calls) == 1 + 5 + 1
    assert loss.item() == 0
