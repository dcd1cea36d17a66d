"""Each layer of PGF-Net against its formula, written out with loops and scalars."""

import math

import pytest
import torch
from tiny_models import tiny_config, tiny_model
from torch import nn

from hf_msa.models.layers_pgf_net import (
    AdaptiveGate,
    AudioVisualBank,
    BankMean,
    CrossAttention,
    FusionAdapter,
    GatedFusion,
    MultiheadCrossAttention,
    SubNet,
)

WIDTH, HEADS = 24, 4


@pytest.fixture
def states():
    torch.manual_seed(1)
    mask = torch.tensor([[1, 1, 0, 1, 1], [0, 1, 1, 0, 0]]).bool()
    return torch.randn(2, 3, WIDTH), torch.randn(2, 5, WIDTH), mask


def randomised(module):
    torch.manual_seed(2)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


def attended(query, key, value, mask, scaled_width):
    """Return context and weights of one row, head by head and token by token."""
    size = WIDTH // HEADS
    query, key, value = query.detach(), key.detach(), value.detach()
    context, weights = torch.zeros_like(query), torch.zeros(HEADS, len(query), len(key))
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        for token in range(len(query)):
            scores = [
                math.exp(float(query[token, part] @ key[t, part]) / math.sqrt(scaled_width)) if mask[t] else 0.0
                for t in range(len(key))
            ]
            for t in range(len(key)):
                weights[head, token, t] = scores[t] / sum(scores)
                context[token, part] += weights[head, token, t] * value[t, part]
    return context, weights


def test_the_bank_puts_projected_audio_before_projected_visual():
    bank = randomised(AudioVisualBank(tiny_config()))
    audio, visual = torch.randn(2, 4, 3), torch.randn(2, 5, 2)
    out = bank(audio, visual)
    expected = bank.visual_proj.weight @ visual[1, 2] + bank.visual_proj.bias
    assert out.shape == (2, 9, WIDTH)
    torch.testing.assert_close(out[1, 4 + 2], expected)
    torch.testing.assert_close(out[0, 1], bank.audio_proj.weight @ audio[0, 1] + bank.audio_proj.bias)


@pytest.mark.parametrize(("scale", "scaled_width"), [("head_width", WIDTH // HEADS), ("model_width", WIDTH)])
@pytest.mark.parametrize("need_weights", [True, False])
def test_cross_attention_is_a_masked_softmax_without_parameters(states, scale, scaled_width, need_weights):
    text, bank, mask = states
    attention = CrossAttention(tiny_config(attention_scale=scale))
    context, weights = attention(text, bank, mask, need_weights)
    assert not list(attention.parameters())
    for row in range(2):
        expected, expected_weights = attended(text[row], bank[row], bank[row], mask[row], scaled_width)
        torch.testing.assert_close(context[row], expected)
        if need_weights:
            torch.testing.assert_close(weights[row], expected_weights)
    assert need_weights or weights is None


def test_multihead_cross_attention_projects_queries_keys_values_and_output(states):
    text, bank, mask = states
    attention = randomised(MultiheadCrossAttention(tiny_config()))
    context, weights = attention(text, bank, mask, need_weights=True)
    for row in range(2):
        inner, expected_weights = attended(
            attention.query(text[row]), attention.key(bank[row]), attention.value(bank[row]), mask[row], WIDTH // HEADS
        )
        torch.testing.assert_close(context[row], attention.output(inner))
        torch.testing.assert_close(weights[row], expected_weights)


def test_the_bank_mean_gives_every_token_the_mean_of_the_real_frames(states):
    text, bank, mask = states
    context, weights = BankMean()(text, bank, mask, need_weights=True)
    for row, frames in enumerate([[0, 1, 3, 4], [1, 2]]):
        mean = sum(bank[row, t] for t in frames) / len(frames)
        for token in range(3):
            torch.testing.assert_close(context[row, token], mean)
        torch.testing.assert_close(weights[row, 0, 0], mask[row] / len(frames))


@pytest.mark.parametrize("gate_type", ["low_rank", "full"])
def test_the_gate_is_a_sigmoid_that_mixes_channel_by_channel(states, gate_type):
    text, context = states[0], torch.randn(2, 3, WIDTH)
    layer = randomised(AdaptiveGate(tiny_config(gate_type=gate_type)))
    mixed, gate = layer(text, context)
    joined = torch.cat([text[1, 2], context[1, 2]])
    if gate_type == "full":
        logit = layer.proj.weight @ joined + layer.proj.bias
    else:
        inner, outer = layer.proj
        logit = outer.weight @ (inner.weight @ joined + inner.bias) + outer.bias
    expected = 1 / (1 + torch.exp(-logit))
    torch.testing.assert_close(gate[1, 2], expected)
    for channel in range(WIDTH):
        g = expected[channel]
        torch.testing.assert_close(mixed[1, 2, channel], g * text[1, 2, channel] + (1 - g) * context[1, 2, channel])


def test_the_adapter_adds_a_scaled_bottleneck_behind_a_layer_norm(states):
    hidden = states[0]
    adapter = randomised(FusionAdapter(WIDTH, 6, dropout=0.5))
    x = hidden[0, 1]
    normed = (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-5) * adapter.norm.weight + adapter.norm.bias
    inner = torch.clamp(adapter.down.weight @ normed + adapter.down.bias, min=0)
    expected = x + adapter.scale.weight * (adapter.up.weight @ inner + adapter.up.bias)
    torch.testing.assert_close(adapter(hidden)[0, 1], expected)


def test_fusion_is_attention_then_gate_then_adapter(states):
    text, bank, mask = states
    fusion = randomised(GatedFusion(tiny_config(), bottleneck=8))
    context, weights = fusion.cross_attention(text, bank, mask, True)
    mixed, gate = fusion.gate(text, context)
    out = fusion(text, bank, mask, need_weights=True)
    torch.testing.assert_close(out[0], fusion.adapter(mixed))
    torch.testing.assert_close(out[1], gate)
    torch.testing.assert_close(out[2], weights)


def test_fusion_without_gate_adds_the_context_and_without_adapter_stops_there(states):
    text, bank, mask = states
    fusion = GatedFusion(tiny_config(use_gate=False, use_adapter=False), bottleneck=0)
    fused, gate, _ = fusion(text, bank, mask)
    torch.testing.assert_close(fused, text + fusion.cross_attention(text, bank, mask)[0])
    assert gate is None


def test_a_row_without_frames_keeps_its_text_and_its_gate_reads_one(states):
    text, bank, mask = states
    mask = torch.stack([mask[0], torch.zeros_like(mask[1])])
    fusion = randomised(GatedFusion(tiny_config(), bottleneck=8))
    fused, gate, weights = fusion(text, bank, mask, need_weights=True)
    torch.testing.assert_close(fused[1], fusion.adapter(text)[1])
    assert (gate[1] == 1).all()
    assert (weights[1] == 0).all()
    assert (gate[0] < 1).all()


@pytest.mark.parametrize("placement", ["before_ffn", "after_ffn"])
def test_an_encoder_layer_fuses_where_the_configuration_says(states, placement):
    hidden, bank, mask = states
    model = tiny_model(fusion_placement=placement).pgf_net
    text_layer, layer = model.text_encoder.encoder.layer[0], model.fusion_layers[0]
    out, gate, _ = layer(hidden, bank, mask, text_layer)
    text = text_layer.attention(hidden)[0]
    fused, expected_gate, _ = layer.fusion(text, bank, mask)

    def feed_forward(x):
        return text_layer.output(text_layer.intermediate(x), x)

    expected = feed_forward(fused) if placement == "before_ffn" else feed_forward(text) + fused - text
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(gate, expected_gate)


def test_the_head_is_two_hidden_layers_with_relu():
    head = randomised(SubNet(tiny_config(num_labels=3)))
    x = torch.randn(2, WIDTH)
    inner = torch.clamp(head.hidden_1.weight @ x[1] + head.hidden_1.bias, min=0)
    inner = torch.clamp(head.hidden_2.weight @ inner + head.hidden_2.bias, min=0)
    torch.testing.assert_close(head(x)[1], head.output.weight @ inner + head.output.bias)
