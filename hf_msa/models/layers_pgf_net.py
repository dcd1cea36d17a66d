"""The layers of PGF-Net, leaf to root: bank, cross-attention, gate, adapter, fusion, encoder layer, head.

How they hang together is drawn in `modeling_pgf_net.py`.

Shapes: B batch, L text length, T frames of the bank (audio then visual), F raw feature size, D width, H heads.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_pgf_net import PGFNetConfig


class AudioVisualBank(nn.Module):
    r"""Project both streams to the text's width and put them side by side: $X = [W_a X_a ; W_v X_v]$.

    One bank serves all layers (ours; MMA has convolutions in every layer, which the 3.09M exclude).
    """

    def __init__(self, config: PGFNetConfig) -> None:
        super().__init__()
        self.audio_proj = nn.Linear(config.audio_dim, config.text_config.hidden_size)
        self.visual_proj = nn.Linear(config.visual_dim, config.text_config.hidden_size)

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        """Return (B, T_a + T_v, D) from (B, T_a, F_a) and (B, T_v, F_v)."""
        return torch.cat([self.audio_proj(audio), self.visual_proj(visual)], dim=1)


class CrossAttention(nn.Module):
    r"""Let every token draw from the bank: $C = \mathrm{softmax}(H X^T / \sqrt{w}) X$ per head, without parameters.

    As in MMA, which divides by the square root of the model width; ours divides by that of the head.
    """

    def __init__(self, config: PGFNetConfig) -> None:
        super().__init__()
        width = config.text_config.hidden_size
        self.num_heads = config.num_fusion_heads
        scaled_width = width if config.attention_scale == "model_width" else width // self.num_heads
        self.scale = scaled_width**-0.5

    def forward(
        self, text: Tensor, bank: Tensor, bank_mask: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the context (B, L, D) and, if wanted, the weights (B, H, L, T).

        Args:
            text: (B, L, D) queries.
            bank: (B, T, D) keys and values.
            bank_mask: (B, T) bool, True where a frame may be read; at least one True in every row.
            need_weights: Return the attention weights; slower, since the fused kernel has none.
        """
        return self.attend(text, bank, bank, bank_mask, need_weights)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with queries, keys and values that are already projected."""
        query_BHLD, key_BHTD, value_BHTD = (
            x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in (query, key, value)
        )
        mask_B11T = mask[:, None, None, :]
        if need_weights:
            scores_BHLT = query_BHLD @ key_BHTD.transpose(-1, -2) * self.scale
            weights_BHLT = scores_BHLT.masked_fill(~mask_B11T, float("-inf")).softmax(dim=-1)
            context_BHLD = weights_BHLT @ value_BHTD
        else:
            weights_BHLT = None
            context_BHLD = F.scaled_dot_product_attention(
                query_BHLD, key_BHTD, value_BHTD, attn_mask=mask_B11T, scale=self.scale
            )
        return context_BHLD.transpose(1, 2).flatten(2), weights_BHLT


class MultiheadCrossAttention(CrossAttention):
    """The same with projections of its own for queries, keys, values and output, as in a Transformer."""

    def __init__(self, config: PGFNetConfig) -> None:
        super().__init__(config)
        width = config.text_config.hidden_size
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(
        self, text: Tensor, bank: Tensor, bank_mask: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the context (B, L, D) and, if wanted, the weights (B, H, L, T)."""
        context, weights = self.attend(self.query(text), self.key(bank), self.value(bank), bank_mask, need_weights)
        return self.output(context), weights


class BankMean(nn.Module):
    r"""Give every token the mean of the bank: the paper's ablation of the cross-attention."""

    def forward(
        self, text: Tensor, bank: Tensor, bank_mask: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the mean (B, L, D) and, if wanted, the uniform weights (B, 1, L, T)."""
        weights_B1T = (bank_mask / bank_mask.sum(dim=1, keepdim=True)).to(bank.dtype).unsqueeze(1)
        context = (weights_B1T @ bank).expand_as(text)
        weights = weights_B1T[:, None].expand(-1, 1, text.shape[1], -1) if need_weights else None
        return context, weights


class GateLinear(nn.Linear):
    """A linear layer whose bias starts at a given gate logit."""

    def __init__(self, in_features: int, out_features: int, init_bias: float) -> None:
        self.init_bias = init_bias
        super().__init__(in_features, out_features)

    def initialize(self) -> None:
        """Draw the weight from N(0, 0.02), as BERT does, and set the bias."""
        init.normal_(self.weight, std=0.02)
        init.constant_(self.bias, self.init_bias)


class AdaptiveGate(nn.Module):
    r"""Balance text and context channel by channel: $g = \sigma(W_g [H; C] + b)$, $M = g \odot H + (1 - g) \odot C$.

    PGF-Net, adaptive gated arbitration. g -> 1 keeps the text, g -> 0 takes the context. With "low_rank",
    $W_g = U V$ with $V$ of `gate_rank` rows and a bias after each (ours).
    """

    def __init__(self, config: PGFNetConfig) -> None:
        super().__init__()
        width, rank = config.text_config.hidden_size, config.gate_rank
        if config.gate_type == "full":
            self.proj: nn.Module = GateLinear(2 * width, width, config.gate_init_bias)
        else:
            self.proj = nn.Sequential(nn.Linear(2 * width, rank), GateLinear(rank, width, config.gate_init_bias))

    def forward(self, text: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixed states and the gate in (0, 1), both (B, L, D).

        Args:
            text: (B, L, D) text states.
            context: (B, L, D) what the text drew from the bank.
        """
        gate_BLD = torch.sigmoid(self.proj(torch.cat([text, context], dim=-1)))
        return gate_BLD * text + (1 - gate_BLD) * context, gate_BLD


class LearnableScale(nn.Module):
    """Multiply by one learned number that starts at 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def initialize(self) -> None:
        """Start at 1."""
        init.ones_(self.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return `hidden` scaled."""
        return self.weight * hidden


class FusionAdapter(nn.Module):
    r"""Refine the fused state in a bottleneck: $P = M + s \cdot W_{up}\,\mathrm{ReLU}(W_{down}\,\mathrm{LN}(M))$.

    PGF-Net, post-fusion adapter; LayerNorm in front, dropout after the ReLU and the learned scale s as in MMA.
    """

    def __init__(self, width: int, bottleneck: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down = nn.Linear(width, bottleneck)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(bottleneck, width)
        self.scale = LearnableScale()

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the refined state, (B, L, D) as the input."""
        inner = self.dropout(F.relu(self.down(self.norm(hidden))))
        return hidden + self.scale(self.up(inner))


class GatedFusion(nn.Module):
    """Cross-attention, gate and adapter of one layer, in this order; what the variant does not use is not created."""

    def __init__(self, config: PGFNetConfig, bottleneck: int) -> None:
        super().__init__()
        if not config.use_cross_attention:
            self.cross_attention: nn.Module = BankMean()
        elif config.cross_attention_type == "multihead":
            self.cross_attention = MultiheadCrossAttention(config)
        else:
            self.cross_attention = CrossAttention(config)
        self.gate = AdaptiveGate(config) if config.use_gate else None
        width = config.text_config.hidden_size
        self.adapter = FusionAdapter(width, bottleneck, config.adapter_dropout) if bottleneck else None

    def forward(
        self, text: Tensor, bank: Tensor, bank_mask: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the fused state (B, L, D), the gate (B, L, D) and the attention weights (B, H, L, T).

        A row without a frame keeps its text; its gate reads 1 and its weights 0.

        Args:
            text: (B, L, D) text states after self-attention.
            bank: (B, T, D) projected frames.
            bank_mask: (B, T) bool.
            need_weights: Return the weights, else None.
        """
        has_frames_B11 = bank_mask.any(dim=1)[:, None, None]
        # A softmax over nothing is NaN: such rows read every (zero) frame, and what they read is dropped below.
        readable = bank_mask | ~has_frames_B11[:, 0]
        context, weights = self.cross_attention(text, bank, readable, need_weights)
        mixed, gate = self.gate(text, context) if self.gate is not None else (text + context, None)
        fused = torch.where(has_frames_B11, mixed, text)
        if gate is not None:
            gate = torch.where(has_frames_B11, gate, 1.0)
        if weights is not None:
            weights = weights * has_frames_B11[:, None]
        return fused if self.adapter is None else self.adapter(fused), gate, weights


class PGFNetLayer(GradientCheckpointingLayer):
    """One encoder layer with the fusion between its self-attention and its feed-forward.

    The text model keeps its own layer; it is handed in with every call, so that no module is registered twice.
    """

    def __init__(self, config: PGFNetConfig, bottleneck: int) -> None:
        super().__init__()
        self.fuses_before_ffn = config.fusion_placement == "before_ffn"
        self.fusion = GatedFusion(config, bottleneck)

    def forward(
        self,
        hidden: Tensor,
        bank: Tensor,
        bank_mask: Tensor,
        text_layer: Any,
        text_mask: Tensor | None = None,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the next states (B, L, D), the gate (B, L, D) and the attention weights (B, H, L, T).

        Args:
            hidden: (B, L, D) states of the layer before.
            bank: (B, T, D) projected frames.
            bank_mask: (B, T) bool.
            text_layer: The encoder's layer of this depth.
            text_mask: Additive or boolean mask of the text, as transformers makes it, or None.
            need_weights: Return the weights, else None.
        """
        text = text_layer.attention(hidden, text_mask)[0]
        fused, gate, weights = self.fusion(text, bank, bank_mask, need_weights)
        if self.fuses_before_ffn:
            return text_layer.output(text_layer.intermediate(fused), fused), gate, weights
        hidden = text_layer.output(text_layer.intermediate(text), text)
        return hidden + (fused - text).to(hidden.device), gate, weights


class HeadLinear(nn.Linear):
    """A linear layer that starts Xavier-normal with zero bias, as the head of MMA does."""

    def initialize(self) -> None:
        """Draw the weight and clear the bias."""
        init.xavier_normal_(self.weight)
        init.zeros_(self.bias)


class SubNet(nn.Module):
    """The head: dropout, two hidden layers with ReLU, one output layer. The name is the paper's and MMA's."""

    def __init__(self, config: PGFNetConfig) -> None:
        super().__init__()
        inner = config.classifier_hidden_size
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.hidden_1 = HeadLinear(config.text_config.hidden_size, inner)
        self.hidden_2 = HeadLinear(inner, inner)
        self.output = HeadLinear(inner, config.num_labels)

    def forward(self, fused_state: Tensor) -> Tensor:
        """Return logits (B, C) from (B, D)."""
        hidden = F.relu(self.hidden_1(self.dropout(fused_state)))
        return self.output(F.relu(self.hidden_2(hidden)))


__all__ = [
    "AdaptiveGate",
    "AudioVisualBank",
    "BankMean",
    "CrossAttention",
    "FusionAdapter",
    "GatedFusion",
    "MultiheadCrossAttention",
    "PGFNetLayer",
    "SubNet",
]
