"""The layers of AGFN, leaf to root: stream encoders, cross-modal attention, the two gates, the head, the second loss.

How they hang together is drawn in `modeling_agfn.py`.

Shapes: B batch, L length, T frames, F raw feature size, D width, H heads, M modalities (text, audio, visual),
C classes.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import initialization as init

from .configuration_agfn import AGFNConfig
from .inputs_msa import masked_mean


def compact_frames(frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Move the real frames of every row to its front, in their order; word alignment leaves gaps between them.

    Args:
        frames: (B, T, F).
        mask: (B, T) bool.

    Returns:
        The same shapes.
    """
    order_BT = torch.argsort((~mask).to(torch.uint8), dim=1, stable=True)
    return frames.gather(1, order_BT.unsqueeze(-1).expand_as(frames)), mask.gather(1, order_BT)


class StreamLSTM(nn.LSTM):
    """A bidirectional LSTM of D / 2 in each direction that starts as torch's does."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__(
            input_size,
            hidden_size // 2,
            num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if num_layers > 1 else 0.0,  # torch warns where there is no place for it
        )

    def initialize(self) -> None:
        """Draw all weights and biases from U(-1 / sqrt(D / 2), 1 / sqrt(D / 2))."""
        bound = self.hidden_size**-0.5
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)


class LSTMEncoder(nn.Module):
    """Read a stream in both directions (paper). Packed, so that padding is never computed."""

    def __init__(self, input_size: int, config: AGFNConfig) -> None:
        super().__init__()
        self.lstm = StreamLSTM(input_size, config.hidden_size, config.num_encoder_layers, config.encoder_dropout)

    def forward(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return states (B, T', D) and their mask (B, T'), from frames (B, T, F) and mask (B, T)."""
        frames, mask = compact_frames(frames, mask)
        # A row without frames is read as one frame of zeros, and masked afterwards.
        lengths_B = mask.sum(dim=1).clamp(min=1).cpu()
        packed = pack_padded_sequence(frames, lengths_B, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return states, mask[:, : states.shape[1]]


class MeanEncoder(nn.Module):
    """Read a stream as the mean of its frames, projected: the ablation without time."""

    def __init__(self, input_size: int, config: AGFNConfig) -> None:
        super().__init__()
        self.proj = nn.Linear(input_size, config.hidden_size)

    def forward(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return states (B, 1, D) and their mask (B, 1), from frames (B, T, F) and mask (B, T)."""
        return self.proj(masked_mean(frames, mask)).unsqueeze(1), mask.any(dim=1, keepdim=True)


class TransformerEncoder(nn.Module):
    """Read a stream by self-attention over its frames with sinusoidal positions (ours); it exports."""

    def __init__(self, input_size: int, config: AGFNConfig) -> None:
        super().__init__()
        self.proj = nn.Linear(input_size, config.hidden_size)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_encoder_layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return states (B, T, D) and their mask (B, T), from frames (B, T, F) and mask (B, T)."""
        hidden = self.proj(frames)
        # Counted over real frames only, so that a gap changes nothing.
        positions_BT = (mask.cumsum(dim=1) - 1).clamp(min=0)
        hidden = hidden + sinusoids(positions_BT, hidden.shape[-1]).to(hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        return self.norm(hidden), mask


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward, each behind a LayerNorm and beside a residual."""

    def __init__(self, config: AGFNConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MaskedAttention(config)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(config.encoder_dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the next states (B, T, D)."""
        normed = self.attention_norm(hidden)
        hidden = hidden + self.dropout(self.attention(normed, normed, mask)[0])
        return hidden + self.dropout(self.down(F.gelu(self.up(self.feed_forward_norm(hidden)))))


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Return sines and cosines (B, T, D) of positions (B, T), wavelengths from 2 pi to 20,000 pi."""
    rates_h = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=positions.device) / (width // 2))
    angles_BTh = positions.unsqueeze(-1) * rates_h
    return torch.cat([angles_BTh.sin(), angles_BTh.cos()], dim=-1)


STREAM_ENCODERS: dict[str, Callable[[int, AGFNConfig], nn.Module]] = {
    "lstm": LSTMEncoder,
    "transformer": TransformerEncoder,
    "mean": MeanEncoder,
}


class MaskedAttention(nn.Module):
    r"""Multi-head attention, $\mathrm{softmax}(Q K^T / \sqrt{D / H}) V$, over the keys that are real."""

    def __init__(self, config: AGFNConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.dropout = config.attention_dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(
        self, queries: Tensor, keys: Tensor, mask: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the context (B, L, D), zeros for a row without any key, and if wanted the weights (B, H, L, S).

        Args:
            queries: (B, L, D).
            keys: (B, S, D) keys and values.
            mask: (B, S) bool, True where a key may be read.
            need_weights: Return the weights; slower, since the fused kernel has none.
        """
        query, key, value = (
            states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for states in (self.query(queries), self.key(keys), self.value(keys))
        )
        # A row without keys would divide by zero: it reads all of them, and what it read is then left out.
        has_keys_B11 = mask.any(dim=1)[:, None, None]
        allowed_B11S = (mask[:, None, :] | ~has_keys_B11)[:, None]
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5
            weights = scores.masked_fill(~allowed_B11S, -math.inf).softmax(dim=-1) * has_keys_B11[:, None]
            heads = F.dropout(weights, dropout) @ value
        else:
            heads = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed_B11S, dropout_p=dropout)
        return self.output(heads.transpose(1, 2).flatten(2)) * has_keys_B11, weights


class CrossModalAttention(nn.Module):
    r"""Let one modality read the other two: $h' = \mathrm{LN}(h + \mathrm{MHA}(h, [o_1; o_2]))$.

    The paper draws it and gives no equation; keys and values are the other two side by side on the time axis (ours).
    """

    def __init__(self, config: AGFNConfig) -> None:
        super().__init__()
        self.attention = MaskedAttention(config)
        self.dropout = nn.Dropout(config.attention_dropout)
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(
        self, states: Tensor, others: Tensor, others_mask: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return refined states (B, L, D) and, if wanted, the weights (B, H, L, S).

        Args:
            states: (B, L, D) of the modality.
            others: (B, S, D) of the other two, in the order text, audio, visual.
            others_mask: (B, S) bool.
            need_weights: Return the weights.
        """
        context, weights = self.attention(states, others, others_mask, need_weights)
        return self.norm(states + self.dropout(context)), weights


def feature_entropy(states: Tensor, normalize: bool = True) -> Tensor:
    r"""Return $H(h) = -\sum_d p_d \log p_d$, $p = \mathrm{softmax}(h)$, over the last axis.

    The paper does not say how a state becomes a distribution; softmax is ours.

    Args:
        states: (..., D).
        normalize: Divide by log D: in [0, 1].
    """
    log_p = states.float().log_softmax(dim=-1)
    entropy = -(log_p.exp() * log_p).sum(dim=-1)
    return entropy / math.log(states.shape[-1]) if normalize else entropy


class GateLogits(nn.Module):
    r"""One logit per modality from all three: $z = W_2\,\mathrm{ReLU}(W_1 [h_T; h_A; h_V])$, shared by both gates."""

    def __init__(self, config: AGFNConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(3 * config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, 3)
        self.is_signed = config.gate_logits == "signed"

    def forward(self, states: Tensor) -> Tensor:
        """Return z (B, M) from (B, M, D); above 0 with "softplus"."""
        z_BM = self.output(F.relu(self.hidden(states.flatten(1))))
        return z_BM if self.is_signed else F.softplus(z_BM)


class EntropyGate(nn.Module):
    r"""Trust what is certain: $w = \mathrm{softmax}_m(z_m e^{-H(h_m) / \tau})$, $h_{ent} = \sum_m w_m h_m$.

    AGFN, information entropy gate.
    """

    def __init__(self, config: AGFNConfig) -> None:
        super().__init__()
        self.temperature = config.entropy_temperature
        self.normalize = config.normalize_entropy

    def forward(self, states: Tensor, logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixture (B, D) and the weights (B, M), 0 for what is missing, else summing to 1.

        Args:
            states: (B, M, D).
            logits: (B, M), z.
            present: (B, M) bool.
        """
        certainty_BM = torch.exp(-feature_entropy(states, self.normalize) / self.temperature)
        scores_BM = (logits.float() * certainty_BM).masked_fill(~present, -math.inf)
        # With nothing present softmax would be 0 / 0.
        scores_BM = torch.where(present.any(dim=1, keepdim=True), scores_BM, 0.0)
        weights_BM = (scores_BM.softmax(dim=-1) * present).to(states.dtype)
        return (weights_BM.unsqueeze(-1) * states).sum(dim=1), weights_BM


class ImportanceGate(nn.Module):
    r"""Scale each modality by itself: $h_{imp} = W_f [\sigma(z_T) h_T; \sigma(z_A) h_A; \sigma(z_V) h_V]$.

    AGFN, modality importance gate.
    """

    def __init__(self, config: AGFNConfig) -> None:
        super().__init__()
        self.proj = nn.Linear(3 * config.hidden_size, config.hidden_size)

    def forward(self, states: Tensor, logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the projection (B, D) and the gates (B, M) in (0, 1), 0 for what is missing.

        Args:
            states: (B, M, D).
            logits: (B, M), z.
            present: (B, M) bool.
        """
        gates_BM = torch.sigmoid(logits) * present
        return self.proj((gates_BM.unsqueeze(-1) * states).flatten(1)), gates_BM


class BlendWeight(nn.Module):
    r"""One learned weight $\alpha = \sigma(a)$ that starts at 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(1))

    def initialize(self) -> None:
        """Start at 0.5."""
        init.zeros_(self.logit)

    def forward(self) -> Tensor:
        """Return alpha, of shape (1,)."""
        return torch.sigmoid(self.logit)


class DualGate(nn.Module):
    r"""Fuse three states: $h = \alpha h_{ent} + (1 - \alpha) h_{imp}$; what a variant does not use is not made."""

    def __init__(self, config: AGFNConfig) -> None:
        super().__init__()
        variant = config.gate_variant
        self.logits = None if variant == "concat" else GateLogits(config)
        self.entropy = EntropyGate(config) if variant in ("both", "entropy") else None
        self.importance = ImportanceGate(config) if variant in ("both", "importance") else None
        self.blend = BlendWeight() if variant == "both" else None

    def forward(self, states: Tensor, present: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """Return the fused state (B, D or 3 D), entropy weights (B, M), importance gates (B, M) and alpha (1,).

        Args:
            states: (B, M, D), zeros for what is missing.
            present: (B, M) bool.
        """
        if self.logits is None:
            return states.flatten(1), None, None, None
        z_BM = self.logits(states)
        if self.importance is None:
            return (*self.entropy(states, z_BM, present), None, None)  # type: ignore[misc]
        by_importance, gates = self.importance(states, z_BM, present)
        if self.entropy is None or self.blend is None:
            return by_importance, None, gates, None
        by_entropy, weights = self.entropy(states, z_BM, present)
        alpha = self.blend()
        return alpha * by_entropy + (1 - alpha) * by_importance, weights, gates, alpha


class PredictionHead(nn.Module):
    r"""The head $f$: $f(h) = W_2\,\mathrm{ReLU}(W_1 h)$. Dropout comes before it, so that $f$ itself is a function."""

    def __init__(self, config: AGFNConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(config.fused_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, fused_state: Tensor) -> Tensor:
        """Return logits (B, C) from (B, D)."""
        return self.output(F.relu(self.hidden(fused_state)))


def in_full_precision(head: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a module as a function of float32, whatever its weights are kept in; they still get their gradients."""
    if all(parameter.dtype == torch.float32 for parameter in head.parameters()):
        return head
    return lambda states: torch.func.functional_call(
        head, {name: parameter.float() for name, parameter in head.named_parameters()}, (states,)
    )


def worst_direction(head: Callable[[Tensor], Tensor], hidden: Tensor, clean: Tensor, steps: int, xi: float) -> Tensor:
    r"""Return the direction (B, D), of length 1 and without a gradient, in which f changes most.

    It starts at random; `steps` times $d \leftarrow \nabla_r \mathrm{MSE}(f(h + r), f(h))$ at $r = \xi d$.

    Args:
        head: f.
        hidden: (B, D), h.
        clean: (B, C), f(h).
        steps: Power iterations.
        xi: Length of the probe.
    """
    # The gradient is needed even where the caller wants none; tensors of inference mode could have no part in it.
    with torch.inference_mode(False), torch.enable_grad():
        fixed, clean = hidden.detach().clone(), clean.detach().clone()
        direction = F.normalize(torch.randn_like(fixed), dim=-1)
        for _ in range(steps):
            probe = (xi * direction).requires_grad_()
            # The sum over rows: each row's direction is then its own, whatever the batch.
            distance = F.mse_loss(head(fixed + probe), clean, reduction="sum")
            (gradient,) = torch.autograd.grad(distance, probe)
            # Where the head is flat there is no worst direction; the last one stays.
            is_flat = gradient.norm(dim=-1, keepdim=True) == 0
            direction = torch.where(is_flat, direction, F.normalize(gradient, dim=-1, eps=1e-30))
    return direction


def virtual_adversarial_loss(
    head: Callable[[Tensor], Tensor], fused_state: Tensor, steps: int, xi: float, epsilon: float
) -> Tensor:
    r"""Return $\mathrm{MSE}(f(h + r), f(h))$ for the worst small step r (AGFN; Miyato et al. 2018).

    $r = \epsilon d$ with d the worst direction. No gradient goes through f(h) or d. Only the head is computed.

    Args:
        head: f, in float32.
        fused_state: (B, D), h.
        steps: Power iterations.
        xi: Length of the probe.
        epsilon: Length of r.
    """
    # In half precision squares of small differences would be lost.
    with torch.autocast(fused_state.device.type, enabled=False):
        hidden = fused_state.float()
        with torch.no_grad():
            clean = head(hidden)
        direction = worst_direction(head, hidden, clean, steps, xi)
        return F.mse_loss(head(hidden + epsilon * direction), clean)


def stack_states(states: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return pooled states (B, M, D) and which of them are present (B, M), from M of (B, L, D) and (B, L)."""
    pooled = torch.stack([masked_mean(state, mask) for state, mask in zip(states, masks, strict=True)], dim=1)
    return pooled, torch.stack([mask.any(dim=1) for mask in masks], dim=1)


__all__ = [
    "STREAM_ENCODERS",
    "BlendWeight",
    "CrossModalAttention",
    "DualGate",
    "EntropyGate",
    "GateLogits",
    "ImportanceGate",
    "LSTMEncoder",
    "MaskedAttention",
    "MeanEncoder",
    "PredictionHead",
    "StreamLSTM",
    "TransformerEncoder",
    "compact_frames",
    "feature_entropy",
    "in_full_precision",
    "sinusoids",
    "stack_states",
    "virtual_adversarial_loss",
    "worst_direction",
]
