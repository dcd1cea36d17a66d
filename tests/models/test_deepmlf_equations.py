"""The whole of DeepMLF, one utterance without padding, against its equations written out in plain torch.

Nothing of the package computes the expected numbers; weights are filled by a formula, so that no two are alike and no
start value hides a term. Names follow the equations: X text, F fusion tokens, Z audiovisual context, S states.
"""

import math

import pytest
import torch
from tiny_models import tiny_batch, undropped_deepmlf
from torch.nn.functional import gelu, layer_norm, silu

LABEL = 1.5


def fill_by_formula(model):
    """Give the i-th number of the k-th tensor 0.3 sin(1.7 i + k), around 1 where it is a scale or a variance."""
    with torch.no_grad():
        for k, (name, tensor) in enumerate(model.state_dict().items()):
            if tensor.is_floating_point():
                is_scale = (("norm" in name or "ln_" in name) and name.endswith("weight")) or name.endswith("var")
                numbers = 0.3 * torch.sin(1.7 * torch.arange(tensor.numel()) + k)
                tensor.copy_((numbers + is_scale).view_as(tensor))


class Plain:
    """The equations, for the weights of one model."""

    def __init__(self, model):
        self.w, self.config = {key: value.double() for key, value in model.state_dict().items()}, model.config
        self.text = model.config.text_config
        self.is_gpt2 = self.text.model_type == "gpt2"

    def linear(self, name, x):
        y = x @ self.w[f"{name}.weight"].T
        return y + self.w[f"{name}.bias"] if f"{name}.bias" in self.w else y

    def conv1d(self, name, x):
        return x @ self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def layer_norm(self, name, x):
        return layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"], 1e-5)

    def rms_norm(self, name, x, eps=1e-6):
        return x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt() * self.w[f"{name}.weight"]

    def norm(self, name, x):
        return self.layer_norm(name, x) if self.is_gpt2 else self.rms_norm(name, x)

    def heads(self, query, key, value, num_heads, scale, causal=False):
        """softmax(Q K^T scale) V per head, head by head."""
        found = []
        for q, k, v in zip(*(x.chunk(num_heads, dim=-1) for x in (query, key, value)), strict=True):
            scores = q @ k.T * scale
            if causal:
                scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf)
            found.append(scores.softmax(dim=-1) @ v)
        return torch.cat(found, dim=-1)

    def stream(self, name, frames):
        """Strided align to T steps, W x sqrt(D) with positions, pre-norm layers."""
        steps, width = self.config.av_length, self.config.av_hidden_size
        pools = math.ceil(len(frames) / steps)
        filled = torch.cat([frames, frames[-1:].expand(pools * steps - len(frames), -1)])
        aligned = torch.stack([filled[t::steps].mean(dim=0) for t in range(steps)])
        hidden = self.linear(f"{name}.proj", aligned) * math.sqrt(width)
        half = width // 2
        for t in range(steps):
            rates = [10_000 ** (-j / (half - 1)) for j in range(half)]
            angles = torch.tensor([(t + 1) * rate for rate in rates], dtype=torch.double)
            hidden[t] += torch.cat([angles.sin(), angles.cos()])
        for i in range(self.config.av_num_hidden_layers):
            own = f"{name}.layers.{i}"
            normed = self.layer_norm(f"{own}.norm1", hidden)
            q, k, v = (self.linear(f"{own}.{part}", normed) for part in ("query", "key", "value"))
            num_heads = self.config.av_num_attention_heads
            read = self.heads(q, k, v, num_heads, (width // num_heads) ** -0.5)
            hidden = hidden + self.linear(f"{own}.output", read)
            inner = gelu(self.linear(f"{own}.up", self.layer_norm(f"{own}.norm2", hidden)))
            hidden = hidden + self.linear(f"{own}.down", inner)
        return hidden

    def gpt2_block(self, i, states):
        own = f"deepmlf.text_encoder.h.{i}"
        q, k, v = self.conv1d(f"{own}.attn.c_attn", self.layer_norm(f"{own}.ln_1", states)).chunk(3, dim=-1)
        scale = (self.text.n_embd // self.text.n_head) ** -0.5
        states = states + self.conv1d(f"{own}.attn.c_proj", self.heads(q, k, v, self.text.n_head, scale, causal=True))
        inner = gelu(self.conv1d(f"{own}.mlp.c_fc", self.layer_norm(f"{own}.ln_2", states)), approximate="tanh")
        return states + self.conv1d(f"{own}.mlp.c_proj", inner)

    def rotate(self, x, num_heads):
        """Turn the pair (j, j + d/2) of every head at position p by p theta^(-2 j / d)."""
        head, base = self.text.head_dim, self.text.rope_parameters["rope_theta"]
        x, half = x.view(len(x), num_heads, head), head // 2
        turned = x.clone()
        for p in range(len(x)):
            for j in range(half):
                angle = p * base ** (-2 * j / head)
                a, b = x[p, :, j], x[p, :, j + half]
                turned[p, :, j] = a * math.cos(angle) - b * math.sin(angle)
                turned[p, :, j + half] = b * math.cos(angle) + a * math.sin(angle)
        return turned

    def llama_block(self, i, states):
        own, text = f"deepmlf.text_encoder.layers.{i}", self.text
        normed = self.rms_norm(f"{own}.input_layernorm", states, text.rms_norm_eps)
        groups = text.num_attention_heads // text.num_key_value_heads
        q = self.rotate(self.linear(f"{own}.self_attn.q_proj", normed), text.num_attention_heads).flatten(1)
        k = self.rotate(self.linear(f"{own}.self_attn.k_proj", normed), text.num_key_value_heads)
        v = self.linear(f"{own}.self_attn.v_proj", normed).view_as(k)
        k, v = (x.repeat_interleave(groups, dim=1).flatten(1) for x in (k, v))
        read = self.heads(q, k, v, text.num_attention_heads, text.head_dim**-0.5, causal=True)
        states = states + self.linear(f"{own}.self_attn.o_proj", read)
        normed = self.rms_norm(f"{own}.post_attention_layernorm", states, text.rms_norm_eps)
        inner = silu(self.linear(f"{own}.mlp.gate_proj", normed)) * self.linear(f"{own}.mlp.up_proj", normed)
        return states + self.linear(f"{own}.mlp.down_proj", inner)

    def lora(self, name, x):
        """W x + s B^T A^T x; s = 16."""
        return self.linear(name, x) + 16 * (x @ self.w[f"{name}.lora_A"] @ self.w[f"{name}.lora_B"])

    def mm_block(self, b, states, length, context):
        own = f"deepmlf.fusion_blocks.{b}"
        text, fusion = states[:length], states[length:]
        query = self.linear(f"{own}.cross_attention.query", self.norm(f"{own}.attention_norm", fusion))
        key, value = self.linear(f"{own}.cross_attention.key_value", context).chunk(2, dim=-1)
        scale = fusion.shape[-1] ** -0.5  # of the model's width, as the authors have it
        read = self.heads(query, key, value, self.config.num_attention_heads, scale)
        read = self.linear(f"{own}.cross_attention.output", read)
        both = torch.cat([text, fusion + torch.sigmoid(self.w[f"{own}.attention_gate.alpha"]) * read])
        normed, ffw = self.norm(f"{own}.feed_forward_norm", both), f"{own}.feed_forward"
        if self.is_gpt2:
            added = self.linear(f"{ffw}.down", gelu(self.linear(f"{ffw}.up", normed)))
        else:
            added = self.lora(f"{ffw}.down", silu(self.lora(f"{ffw}.gate", normed)) + self.lora(f"{ffw}.up", normed))
        return both + torch.sigmoid(self.w[f"{own}.feed_forward_gate.alpha"]) * added

    def run(self, ids, audio, visual):
        """Return the score and the five losses."""
        lm = "deepmlf.text_encoder"
        table = self.w[f"{lm}.wte.weight" if self.is_gpt2 else f"{lm}.embed_tokens.weight"]
        encoder = "deepmlf.av_encoder"
        both = torch.cat([self.stream(f"{encoder}.audio", audio), self.stream(f"{encoder}.visual", visual)], dim=-1)
        context = self.layer_norm("deepmlf.av_norm", self.linear(f"{encoder}.fusion", both))
        states, length = torch.cat([table[ids], self.w["deepmlf.fusion_tokens.embedding"]]), len(ids)
        if self.is_gpt2:
            states = states + self.w[f"{lm}.wpe.weight"][: len(states)]
        for i in range(self.text.num_hidden_layers):
            states = self.gpt2_block(i, states) if self.is_gpt2 else self.llama_block(i, states)
            if i in self.config.fusion_layers:
                states = self.mm_block(self.config.fusion_layers.index(i), states, length, context)
        last = f"{lm}.ln_f" if self.is_gpt2 else f"{lm}.norm"
        states = self.norm(last, states)
        text, fusion = states[:length], states[length:]
        fused = torch.cat([fusion.mean(dim=0), text[-1], context.mean(dim=0)])
        hidden = self.linear("classifier.hidden", fused)
        hidden = self.layer_norm("classifier.norm", hidden)
        score = self.linear("classifier.output", hidden.relu())
        targets = torch.cat([ids[1:], ids.new_zeros(1)])  # nothing is padded: the last token's target is id 0
        losses = {
            "task": (score - LABEL).abs().mean(),
            "fusion": torch.stack([(self.linear("fusion_head", f) - LABEL).abs() for f in fusion]).mean(),
            "av": (self.linear("av_head", context.mean(dim=0)) - LABEL).abs().mean(),
            "text": (self.linear("text_head", text[-1]) - LABEL).abs().mean(),
            "lm": -(text @ table.T).log_softmax(dim=-1)[torch.arange(length), targets].mean(),
        }
        return score, losses


@pytest.mark.parametrize(("family", "fields"), [("gpt2", {}), ("llama", {"lora_rank": 2, "lora_dropout": 0})])
def test_score_and_losses_are_what_the_equations_give(family, fields):
    model = undropped_deepmlf(family, **fields).eval()
    fill_by_formula(model)
    batch = tiny_batch(1, labels=torch.tensor([LABEL]))
    batch = {key: value for key, value in batch.items() if not key.endswith("mask")}
    score, losses = Plain(model).run(
        batch["input_ids"][0], batch["audio_values"][0].double(), batch["visual_values"][0].double()
    )
    with torch.no_grad():
        found = model(**batch)
    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(found.logits[0].double(), score, **close)
    assert found.losses.keys() == losses.keys()
    for name, expected in losses.items():
        torch.testing.assert_close(found.losses[name].double(), expected, **close)
    weights = {name: getattr(model.config, f"{name}_loss_weight") for name in losses if name != "task"}
    total = losses["task"] + sum(weight * losses[name] for name, weight in weights.items())
    torch.testing.assert_close(found.loss.double(), total, **close)
