"""The layers of DeepMLF, leaf to root: LoRA, feed-forwards, gate, cross-attention, the MM block, the head.

How they hang together is drawn in `modeling_deepmlf.py`.

Shapes: B batch, L text length, n fusion tokens, T audiovisual steps, D width, H heads, C classes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from .av_encoder_deepmlf import MaskedBatchNorm
from .configuration_deepmlf import DeepMLFConfig
from .decoder_deepmlf import is_gated


class FusionTokens(nn.Module):
    """The n vectors that stand behind every text and gather what the streams say; from N(0, 0.02) as usual."""

    def __init__(self, num_tokens: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(num_tokens, hidden_size))
        self.initialize()

    def initialize(self) -> None:
        """Draw them from N(0, 0.02)."""
        init.normal_(self.embedding, std=0.02)

    def forward(self, batch_size: int) -> Tensor:
        """Return them once per row, (B, n, D)."""
        # A copy: without gradients a view of a parameter still claims to want one, and torch's FLOP counter trips.
        return self.embedding.repeat(batch_size, 1, 1)


class LoraLinear(nn.Linear):
    r"""A linear layer, with a rank above 0 frozen and mended by LoRA: $W x + b + s\, B^T A^T \mathrm{drop}(x)$.

    A is (in, r) and B (r, out), as the authors keep them. B starts at zero, A as Kaiming's uniform of that layout,
    bound $1 / \sqrt{r}$.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        bias: Whether there is b; it is trained in any case.
        config: Says rank, scale and dropout.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool, config: DeepMLFConfig) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self.rank, self.scale, self.dropout = config.lora_rank, config.lora_scale, config.lora_dropout
        self.std = config.text_config.initializer_range
        if self.rank:
            self.lora_A = nn.Parameter(torch.empty(in_features, self.rank))
            self.lora_B = nn.Parameter(torch.empty(self.rank, out_features))
        self.freeze()

    def initialize(self) -> None:
        """Start W from N(0, std) until it becomes a copy, b and B from zero, A from U(-1 / sqrt(r), 1 / sqrt(r))."""
        init.normal_(self.weight, std=self.std)
        if self.bias is not None:
            init.zeros_(self.bias)
        if self.rank:
            init.uniform_(self.lora_A, -(self.rank**-0.5), self.rank**-0.5)
            init.zeros_(self.lora_B)

    def freeze(self) -> None:
        """Freeze W where LoRA stands beside it; loading a checkpoint forgets it."""
        if self.rank:
            self.weight.requires_grad_(False)

    def forward(self, input: Tensor) -> Tensor:
        """Return (..., out) from (..., in)."""
        output = super().forward(input)
        if not self.rank:
            return output
        return output + F.dropout(input, self.dropout, self.training) @ self.lora_A @ self.lora_B * self.scale


class GeluFeedForward(nn.Module):
    """The feed-forward of the GPT-2 flavour, with the exact GELU (authors; GPT-2's own is the tanh form)."""

    def __init__(self, config: DeepMLFConfig) -> None:
        super().__init__()
        text = config.text_config
        inner = text.n_inner or 4 * text.hidden_size
        self.up = LoraLinear(text.hidden_size, inner, True, config)
        self.down = LoraLinear(inner, text.hidden_size, True, config)
        self.dropout = nn.Dropout(config.fusion_dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (..., D) from (..., D)."""
        return self.dropout(self.down(F.gelu(self.up(hidden))))

    @property
    def matrices(self) -> tuple[LoraLinear, ...]:
        """The linear layers, in the order in which they are used."""
        return self.up, self.down

    @torch.no_grad()
    def copy_from(self, source: Any, with_bias: bool) -> None:
        """Start as a copy of GPT-2's own, whose matrices lie the other way round.

        Args:
            source: GPT-2's MLP.
            with_bias: Copy the biases too.
        """
        for own, other in zip(self.matrices, (source.c_fc, source.c_proj), strict=True):
            own.weight.copy_(other.weight.T)
            if with_bias:
                own.bias.copy_(other.bias)


class SwigluFeedForward(nn.Module):
    r"""The feed-forward of Llama and Qwen: $W_d(\mathrm{SiLU}(W_g x) + W_u x)$, or with a product (textbook)."""

    def __init__(self, config: DeepMLFConfig) -> None:
        super().__init__()
        text = config.text_config
        has_bias = bool(getattr(text, "mlp_bias", False))
        self.is_sum = config.swiglu_merge == "add"
        self.gate = LoraLinear(text.hidden_size, text.intermediate_size, has_bias, config)
        self.up = LoraLinear(text.hidden_size, text.intermediate_size, has_bias, config)
        self.down = LoraLinear(text.intermediate_size, text.hidden_size, has_bias, config)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (..., D) from (..., D)."""
        gate, up = F.silu(self.gate(hidden)), self.up(hidden)
        return self.down(gate + up if self.is_sum else gate * up)

    @property
    def matrices(self) -> tuple[LoraLinear, ...]:
        """The linear layers, in the order in which they are used."""
        return self.gate, self.up, self.down

    @torch.no_grad()
    def copy_from(self, source: Any, with_bias: bool) -> None:
        """Start as a copy of the language model's own.

        Args:
            source: Its MLP.
            with_bias: Copy the biases too, where it has any.
        """
        sources = (source.gate_proj, source.up_proj, source.down_proj)
        for own, other in zip(self.matrices, sources, strict=True):
            own.weight.copy_(other.weight)
            if with_bias and own.bias is not None:
                own.bias.copy_(other.bias)


class Gate(nn.Module):
    r"""One scalar in front of what is added: $\sigma(a)$, $\tanh(a)$, or 1 without a parameter; a starts at 0."""

    def __init__(self, gate_type: str) -> None:
        super().__init__()
        self.gate_type = gate_type
        if gate_type != "none":
            self.alpha = nn.Parameter(torch.zeros(1))

    def initialize(self) -> None:
        """Start at a = 0: a sigmoid half open, a tanh closed."""
        if self.gate_type != "none":
            init.zeros_(self.alpha)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gated states, of the same shape, and the gate, (1,)."""
        if self.gate_type == "none":
            return hidden, hidden.new_ones(1)
        gate_1 = torch.sigmoid(self.alpha) if self.gate_type == "sigmoid" else torch.tanh(self.alpha)
        return gate_1 * hidden, gate_1


class CrossAttention(nn.Module):
    r"""Let fusion tokens read the audiovisual context: $W_o\, \mathrm{softmax}(W_q F (W_k Z)^T / s)\, W_v Z$.

    No biases and no mask: all T steps of Z are real. s is the root of the model's width in the authors' code, which
    makes attention nearly flat at first, and of a head's width in any textbook.
    """

    def __init__(self, config: DeepMLFConfig) -> None:
        super().__init__()
        width = config.text_config.hidden_size
        self.num_heads = config.num_attention_heads
        self.scale = (width if config.attention_scale == "model_width" else width // self.num_heads) ** -0.5
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(config.av_hidden_size, 2 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(config.fusion_dropout)

    def forward(self, fusion: Tensor, context: Tensor, need_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """Return what was read (B, n, D) and, if wanted, the weights (B, H, n, T).

        Args:
            fusion: (B, n, D).
            context: (B, T, D_av), Z.
            need_weights: Return the weights; slower, since the fused kernel has none.
        """
        query, key, value = (
            states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for states in (self.query(fusion), *self.key_value(context).chunk(2, dim=-1))
        )
        dropout = self.dropout.p if self.training else 0.0
        weights = None
        if need_weights:
            weights = (query @ key.transpose(-1, -2) * self.scale).softmax(dim=-1)
            heads = F.dropout(weights, dropout) @ value
        else:
            heads = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=self.scale)
        return self.dropout(self.output(heads.transpose(1, 2).flatten(2))), weights


class MMBlock(GradientCheckpointingLayer):
    r"""Fuse behind a block of the language model: gated cross-attention, then a gated feed-forward.

    $F' = F + g_1 \mathrm{CA}(\mathrm{N}_1 F, Z)$, then $U' = U + g_2 \mathrm{FFW}(\mathrm{N}_2 U)$ with $U = [X; F']$,
    the text's states X included (authors), or $U = F'$. X never sees Z. Norms are of the language model's type, fresh,
    with epsilons of the authors' (1e-5 for layer norm, 1e-6 for RMS norm, whatever the language model's is).
    """

    def __init__(self, config: DeepMLFConfig) -> None:
        super().__init__()
        width, gated = config.text_config.hidden_size, is_gated(config.text_config.model_type)
        self.ffn_on_text = config.ffn_on_text
        self.attention_norm = nn.RMSNorm(width, eps=1e-6) if gated else nn.LayerNorm(width, eps=1e-5)
        self.cross_attention = CrossAttention(config)
        self.attention_gate = Gate(config.gate_type)
        self.feed_forward_norm = nn.RMSNorm(width, eps=1e-6) if gated else nn.LayerNorm(width, eps=1e-5)
        self.feed_forward = SwigluFeedForward(config) if gated else GeluFeedForward(config)
        self.feed_forward_gate = Gate(config.gate_type)

    def forward(
        self, hidden: Tensor, context: Tensor, text_length: int, need_weights: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the next states (B, L + n, D), both gates (2,) and, if wanted, the weights (B, H, n, T).

        Args:
            hidden: (B, L + n, D), the text's states first.
            context: (B, T, D_av), Z.
            text_length: L; 0 where only fusion tokens are given.
            need_weights: Return the weights of the cross-attention.
        """
        text, fusion = hidden[:, :text_length], hidden[:, text_length:]
        read, weights = self.cross_attention(self.attention_norm(fusion), context, need_weights)
        read, attention_gate = self.attention_gate(read)
        fusion = fusion + read
        states = torch.cat([text, fusion], dim=1) if self.ffn_on_text and text_length else fusion
        added, feed_forward_gate = self.feed_forward_gate(self.feed_forward(self.feed_forward_norm(states)))
        states = states + added
        if not self.ffn_on_text and text_length:
            states = torch.cat([text, states], dim=1)
        return states, torch.cat([attention_gate, feed_forward_gate]), weights


class TaskHead(nn.Module):
    r"""Score the fused state: $W_2\, \mathrm{ReLU}(\mathrm{norm}(W_1 h + b_1)) + b_2$, with batch or layer norm."""

    def __init__(self, config: DeepMLFConfig) -> None:
        super().__init__()
        width = config.classifier_hidden_size
        self.hidden = nn.Linear(config.fused_size, width)
        self.norm = MaskedBatchNorm(width) if config.head_norm == "batch" else nn.LayerNorm(width)
        self.output = nn.Linear(width, config.num_labels)

    def forward(self, fused_state: Tensor) -> Tensor:
        """Return logits (B, C) from (B, 2 D + D_av)."""
        return self.output(F.relu(self.norm(self.hidden(fused_state))))


__all__ = [
    "CrossAttention",
    "FusionTokens",
    "Gate",
    "GeluFeedForward",
    "LoraLinear",
    "MMBlock",
    "SwigluFeedForward",
    "TaskHead",
]
