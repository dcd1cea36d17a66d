"""Each layer of DeepMLF against its formula, written out with loops and scalars."""

import math

import pytest
import torch
from tiny_models import DECODER_CONFIGS, tiny_deepmlf_config
from torch import nn

from hf_msa.models.av_encoder_deepmlf import (
    AudioVisualEncoder,
    MaskedBatchNorm,
    StreamEncoder,
    StreamLayer,
    seqaug,
    sinusoid_positions,
    strided_align,
)
from hf_msa.models.decoder_deepmlf import next_token_loss, positions_of, special_token_id
from hf_msa.models.layers_deepmlf import (
    CrossAttention,
    FusionTokens,
    Gate,
    GeluFeedForward,
    LoraLinear,
    MMBlock,
    SwigluFeedForward,
    TaskHead,
)

D, N, T, D_AV = 24, 3, 4, 6


def randomised(module, std=0.5):
    torch.manual_seed(2)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=std)
    return module.eval()


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def length_mask(lengths, longest):
    return torch.arange(longest) < torch.tensor(lengths)[:, None]


# The audiovisual encoder


@pytest.mark.parametrize("length", [1, 3, 4, 5, 9])
def test_align_takes_strided_means_of_a_row_filled_up_with_its_last_frame(length):
    frames, counts = random(4, 9, 2), [9, 4, 1, 7]
    found = strided_align(frames * length_mask(counts, 9)[..., None], length_mask(counts, 9), length)
    for row, count in enumerate(counts):
        filled = list(frames[row, :count])
        filled += [filled[-1]] * (-count % length)
        for step in range(length):
            torch.testing.assert_close(found[row, step], torch.stack(filled[step::length]).mean(dim=0))


def test_align_leaves_gaps_out_and_gives_zeros_for_a_missing_row():
    frames, mask = random(2, 5, 2), torch.tensor([[0, 1, 0, 1, 1], [0, 0, 0, 0, 0]]).bool()
    found = strided_align(frames * mask[..., None], mask, 2)
    torch.testing.assert_close(found[0], strided_align(frames[:1, [1, 3, 4]], torch.ones(1, 3).bool(), 2)[0])
    assert (found[1] == 0).all()


def test_positions_are_rows_of_a_table_of_sines_and_then_cosines():
    found = sinusoid_positions(5, 30, torch.zeros(1))
    for step in range(5):
        for j in range(15):
            angle = (step + 1) * 10_000 ** (-j / 14)
            assert found[step, j].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[step, 15 + j].item() == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize("on_zero_steps", [False, True])
def test_a_step_whose_first_channel_is_zero_has_a_position_only_if_asked(on_zero_steps):
    encoder = randomised(StreamEncoder(3, False, tiny_deepmlf_config(position_on_zero_steps=on_zero_steps)))
    steps = random(1, T, 3)
    steps[0, 1] = 0
    found = encoder.embed(steps)
    table = sinusoid_positions(T, D_AV, steps)
    for step in range(T):
        expected = encoder.proj.weight @ steps[0, step] * math.sqrt(D_AV)
        if step != 1 or on_zero_steps:
            expected = expected + table[step]
        torch.testing.assert_close(found[0, step], expected)


def test_a_stream_layer_is_attention_and_feed_forward_behind_norms():
    layer = randomised(StreamLayer(tiny_deepmlf_config()))
    hidden = random(2, T, D_AV)
    normed = layer.norm1(hidden[1])
    query, key, value = layer.query(normed), layer.key(normed), layer.value(normed)
    read = torch.zeros(T, D_AV)
    for head in range(2):
        at = slice(3 * head, 3 * head + 3)
        for i in range(T):
            weights = torch.softmax(torch.stack([query[i, at] @ key[j, at] / math.sqrt(3) for j in range(T)]), 0)
            read[i, at] = sum(weights[j] * value[j, at] for j in range(T))
    middle = hidden[1] + layer.output(read)
    inner = layer.up(layer.norm2(middle))
    gelu = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
    torch.testing.assert_close(layer(hidden)[1], middle + layer.down(gelu))


def test_both_streams_are_joined_step_by_step_and_a_missing_one_is_zeros():
    encoder = randomised(AudioVisualEncoder(3, 2, tiny_deepmlf_config()))
    audio, visual = random(2, 5, 3), random(2, 7, 2)
    masks = length_mask([5, 0], 5), length_mask([7, 3], 7)
    found = encoder(audio * masks[0][..., None], masks[0], visual * masks[1][..., None], masks[1])
    heard, seen = encoder.audio(audio, masks[0]), encoder.visual(visual * masks[1][..., None], masks[1])
    assert (heard[1] == 0).all()
    for row in range(2):
        for step in range(T):
            joined = torch.cat([heard[row, step], seen[row, step]])
            torch.testing.assert_close(found[row, step], encoder.fusion.weight @ joined + encoder.fusion.bias)


def test_batch_norm_measures_what_is_real_and_agrees_with_torch_where_all_is():
    ours, theirs = MaskedBatchNorm(3), nn.BatchNorm1d(3)
    values = random(4, 5, 3) * 2 + 1
    torch.testing.assert_close(ours(values).flatten(0, 1), theirs(values.flatten(0, 1)))
    mask = torch.tensor([True, False, True, False])[:, None].expand(-1, 5)
    masked = ours(values.masked_fill(~mask[..., None], 1e6), mask)
    torch.testing.assert_close(masked[mask], theirs(values[mask]))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))
    torch.testing.assert_close(ours.eval()(values[:, 0]), theirs.eval()(values[:, 0]))


@pytest.mark.parametrize("count", [0, 1])
def test_batch_norm_of_less_than_two_values_uses_what_it_knows_already(count):
    norm = MaskedBatchNorm(3)
    norm(random(8, 3) + 2)
    before = {key: value.clone() for key, value in norm.state_dict().items() if "running" in key}
    values, mask = random(4, 3), torch.arange(4) < count
    found = norm(values, mask)
    assert all(torch.equal(norm.state_dict()[key], value) for key, value in before.items())
    torch.testing.assert_close(found, norm.eval()(values))


def test_seqaug_permutes_whole_channels_over_real_positions_alike_in_rows_of_one_length():
    states, mask = random(3, 6, 200), length_mask([6, 4, 6], 6)
    torch.manual_seed(0)
    found = seqaug(states, mask, 0.5)
    assert torch.equal(found[1, 4:], states[1, 4:])
    orders = []
    for row, count in enumerate((6, 4, 6)):
        moved = [c for c in range(200) if not torch.equal(found[row, :, c], states[row, :, c])]
        assert 60 < len(moved) < 140
        order = {
            tuple((states[row, :count, c] == found[row, i, c]).nonzero().item() for i in range(count)) for c in moved
        }
        assert len(order) == 1
        orders.append(order.pop())
        assert sorted(orders[-1]) == list(range(count))
    assert orders[0] == orders[2]
    torch.manual_seed(0)
    assert torch.equal(seqaug(states, mask, 0.5), found)
    assert torch.equal(seqaug(states, mask, 0.0), states)


# The MM block


@pytest.mark.parametrize("scale", ["model_width", "head_width"])
def test_cross_attention_is_a_softmax_over_all_steps_with_the_scale_asked_for(scale):
    layer = randomised(CrossAttention(tiny_deepmlf_config(attention_scale=scale)))
    fusion, context = random(2, N, D), random(2, T, D_AV)
    query = fusion[1] @ layer.query.weight.T
    key, value = context[1] @ layer.key_value.weight[:D].T, context[1] @ layer.key_value.weight[D:].T
    root = math.sqrt(D if scale == "model_width" else D // 2)
    read, every = torch.zeros(N, D), torch.zeros(2, N, T)
    for head in range(2):
        at = slice(12 * head, 12 * head + 12)
        for i in range(N):
            every[head, i] = torch.softmax(torch.stack([query[i, at] @ key[j, at] / root for j in range(T)]), 0)
            read[i, at] = sum(every[head, i, j] * value[j, at] for j in range(T))
    found, weights = layer(fusion, context, need_weights=True)
    torch.testing.assert_close(found[1], read @ layer.output.weight.T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(weights[1], every)
    torch.testing.assert_close(layer(fusion, context)[0], found, atol=1e-4, rtol=1e-4)


def test_lora_adds_a_scaled_product_and_freezes_the_matrix_but_not_its_bias():
    layer = LoraLinear(4, 5, True, tiny_deepmlf_config(lora_rank=2, lora_scale=3))
    x = random(4)
    layer = randomised(layer)
    expected = (layer.weight + 3 * (layer.lora_A @ layer.lora_B).T) @ x + layer.bias
    torch.testing.assert_close(layer(x), expected)
    assert not layer.weight.requires_grad
    assert all(parameter.requires_grad for parameter in (layer.bias, layer.lora_A, layer.lora_B))
    plain = LoraLinear(4, 5, True, tiny_deepmlf_config())
    assert {name for name, _ in plain.named_parameters()} == {"weight", "bias"}


def test_the_feed_forward_of_gpt2_has_the_exact_gelu():
    layer = randomised(GeluFeedForward(tiny_deepmlf_config()))
    x = random(D)
    inner = layer.up.weight @ x + layer.up.bias
    gelu = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
    torch.testing.assert_close(layer(x), layer.down.weight @ gelu + layer.down.bias)


@pytest.mark.parametrize("merge", ["add", "multiply"])
def test_the_feed_forward_of_llama_adds_its_gate_or_multiplies_with_it(merge):
    layer = randomised(SwigluFeedForward(tiny_deepmlf_config("llama", swiglu_merge=merge)))
    x = random(D)
    gate, up = layer.gate.weight @ x, layer.up.weight @ x
    silu = gate / (1 + torch.exp(-gate))
    inner = silu + up if merge == "add" else silu * up
    torch.testing.assert_close(layer(x), layer.down.weight @ inner, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kind", "function"), [("sigmoid", torch.sigmoid), ("tanh", torch.tanh), ("none", None)])
def test_a_gate_is_one_scalar_or_none_at_all(kind, function):
    gate, states = Gate(kind), random(2, 3)
    assert len(list(gate.parameters())) == (0 if kind == "none" else 1)
    if function is not None:
        assert gate(states)[1].item() == function(torch.zeros(1)).item()
        gate.alpha.data.fill_(0.7)
        torch.testing.assert_close(gate(states)[0], function(torch.tensor(0.7)) * states)
    else:
        assert torch.equal(gate(states)[0], states)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("on_text", [True, False])
def test_an_mm_block_lets_fusion_tokens_read_and_the_feed_forward_work_on_what_is_asked(family, on_text):
    block = randomised(MMBlock(tiny_deepmlf_config(family, ffn_on_text=on_text)))
    hidden, context, length = random(2, 5 + N, D), random(2, T, D_AV), 5
    found, gates, _ = block(hidden, context, length)

    def norm(layer, x):
        if family == "gpt2":
            return (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-5) * layer.weight + layer.bias
        return x / torch.sqrt(x.square().mean() + 1e-6) * layer.weight

    g1, g2 = torch.sigmoid(block.attention_gate.alpha), torch.sigmoid(block.feed_forward_gate.alpha)
    torch.testing.assert_close(gates, torch.cat([g1, g2]))
    normed = torch.stack([norm(block.attention_norm, hidden[1, length + i]) for i in range(N)])
    read = block.cross_attention(normed[None], context[1:])[0][0]
    for i in range(length + N):
        state = hidden[1, i] if i < length else hidden[1, i] + g1 * read[i - length]
        if i >= length or on_text:
            state = state + g2 * block.feed_forward(norm(block.feed_forward_norm, state))
        torch.testing.assert_close(found[1, i], state, atol=1e-4, rtol=1e-4)
    if not on_text:
        torch.testing.assert_close(block(hidden[:, length:], context, 0)[0], found[:, length:])


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_the_head_is_two_linear_layers_around_a_norm_and_relu(norm):
    head = randomised(TaskHead(tiny_deepmlf_config(head_norm=norm)))
    x = random(2, 2 * D + D_AV)
    inner = head.hidden.weight @ x[1] + head.hidden.bias
    if norm == "batch":
        head.norm.running_mean.copy_(random(8))
        head.norm.running_var.copy_(random(8).square() + 0.1)
        inner = (inner - head.norm.running_mean) / torch.sqrt(head.norm.running_var + 1e-5)
    else:
        inner = (inner - inner.mean()) / torch.sqrt(inner.var(unbiased=False) + 1e-5)
    inner = torch.clamp(inner * head.norm.weight + head.norm.bias, min=0)
    torch.testing.assert_close(head(x)[1], head.output.weight @ inner + head.output.bias)


def test_fusion_tokens_are_the_same_for_every_row():
    tokens = FusionTokens(N, D)
    assert tokens(2).shape == (2, N, D)
    assert all(torch.equal(row, tokens.embedding) for row in tokens(2))


# The language model


def test_positions_are_counted_over_what_is_real():
    mask = torch.tensor([[1, 1, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1]]).bool()
    assert positions_of(mask).tolist() == [[0, 1, 1, 1, 2, 3], [0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize("has_last", [True, False])
def test_the_next_token_loss_is_a_mean_over_real_tokens_whatever_stands_in_the_padding(has_last):
    logits, ids = random(2, 4, 7), torch.tensor([[3, 1, 4, 1], [5, 2, 6, 6]])
    mask = length_mask([4, 2], 4)
    targets = {(0, 0): 1, (0, 1): 4, (0, 2): 1, (1, 0): 2}
    if has_last:
        targets |= {(0, 3): 0, (1, 1): 2}
    expected = -sum(logits[i, j].log_softmax(0)[target] for (i, j), target in targets.items()) / len(targets)
    torch.testing.assert_close(next_token_loss(logits, ids, mask, 2, has_last), expected)
    assert next_token_loss(logits, ids, torch.zeros_like(mask), 2, has_last) == 0


def test_the_next_token_loss_is_the_same_on_whichever_side_a_row_is_padded():
    logits, ids, mask = random(1, 5, 7), torch.tensor([[5, 2, 3, 6, 6]]), length_mask([3], 5)
    left = (tensor.roll(2, dims=1) for tensor in (logits, ids, mask))
    torch.testing.assert_close(next_token_loss(*left, 4, True), next_token_loss(logits, ids, mask, 4, True))


def test_a_special_token_is_one_that_the_vocabulary_has():
    config = DECODER_CONFIGS["gpt2"]
    assert special_token_id(config, "pad_token_id", "eos_token_id") == 2
    config = type(config)(vocab_size=400, bos_token_id=None, eos_token_id=[399, 2])
    assert special_token_id(config, "bos_token_id", "eos_token_id") == 399
    assert special_token_id(type(config)(vocab_size=10, bos_token_id=None, eos_token_id=None), "eos_token_id") == 0
