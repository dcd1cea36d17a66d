"""The audiovisual encoder of DeepMLF, leaf to root: SeqAug, strided align, batch norm, positions, Transformers.

The layers of the first training stage, which the second goes on using. How they hang together is drawn in
`modeling_deepmlf_av.py`.

Shapes: B batch, L length, T steps, F raw feature size, D width, H heads, P frames per step.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init

from .configuration_deepmlf_av import AudioVisualFields
from .errors_msa import MsaError


def real_positions_first(mask: Tensor) -> Tensor:
    """Return per row (B, L) the positions where a mask (B, L) is true, in their order, and then the others."""
    return torch.argsort((~mask).to(torch.uint8), dim=1, stable=True)


def seqaug(states: Tensor, mask: Tensor, rate: float) -> Tensor:
    """Permute some channels of every row in time, over its real positions.

    SeqAug ("SoftPerm" in the authors' code): one permutation per batch, and per row a Bernoulli mask over channels
    whose values come from the permuted positions. The authors permute padded positions too, so that padding enters the
    text; here each row permutes what is real, in the order of one draw of numbers for the batch.

    Args:
        states: (B, L, D).
        mask: (B, L) bool, real positions.
        rate: Probability of a channel to be permuted.

    Returns:
        (B, L, D).
    """
    keys_L = torch.rand(states.shape[1], device=states.device)
    order_BL = real_positions_first(mask)
    # By rank, so that rows of equal length are permuted alike wherever their real positions lie.
    is_real_BL = torch.arange(states.shape[1], device=states.device) < mask.sum(dim=1, keepdim=True)
    permuted_BL = order_BL.gather(1, torch.where(is_real_BL, keys_L, 2.0).argsort(dim=1))
    sources_BL = torch.empty_like(order_BL).scatter_(1, order_BL, permuted_BL)
    moved = states.gather(1, sources_BL.unsqueeze(-1).expand_as(states))
    channels_B1D = torch.rand(states.shape[0], 1, states.shape[2], device=states.device) < rate
    return torch.where(channels_B1D & mask.unsqueeze(-1), moved, states)


def strided_align(frames: Tensor, mask: Tensor, length: int) -> Tensor:
    r"""Pool every row to T steps: step t is the mean of frames $t, t + T, t + 2T, \dots$ of its own.

    As in MMSA and the authors' code: a row is filled up with its last frame to a multiple of T, and the mean is
    strided, not over neighbours. They do so on the padded length, zeros included; here each row counts by its true
    length, so that padding changes nothing.

    Args:
        frames: (B, T', F), zeros where the mask is false.
        mask: (B, T') bool; real frames may have gaps between them.
        length: T.

    Returns:
        (B, T, F); zeros for a row without frames.
    """
    num_pools = -(-frames.shape[1] // length)
    count_B1 = mask.sum(dim=1, keepdim=True)
    ranks_N = torch.arange(num_pools * length, device=frames.device)
    source_BN = real_positions_first(mask).gather(1, torch.minimum(ranks_N, (count_B1 - 1).clamp(min=0)))
    pools_B1 = (count_B1 + length - 1).div(length, rounding_mode="floor")
    is_used_BN = ranks_N.div(length, rounding_mode="floor") < pools_B1
    gathered_BNF = frames.gather(1, source_BN.unsqueeze(-1).expand(-1, -1, frames.shape[2]))
    pooled_BPTF = gathered_BNF.masked_fill(~is_used_BN.unsqueeze(-1), 0).unflatten(1, (num_pools, length))
    return pooled_BPTF.sum(dim=1) / pools_B1.clamp(min=1).unsqueeze(-1)


def sinusoid_positions(length: int, width: int, like: Tensor) -> Tensor:
    r"""Return rows 1 to T of the table: sines, then cosines, of frequencies $10000^{-j / (D / 2 - 1)}$.

    Args:
        length: T.
        width: D.
        like: A tensor of the device and dtype wanted.

    Returns:
        (T, D).
    """
    half = width // 2
    rates_h = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half, device=like.device))
    angles_Th = torch.arange(1, length + 1, device=like.device).unsqueeze(-1) * rates_h
    return torch.cat([angles_Th.sin(), angles_Th.cos()], dim=-1).to(like.dtype)


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch norm over the columns of what is real; where fewer than two values are, by the running statistics.

    A row without the stream does not enter the statistics (the authors know no missing stream).
    """

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return normalised values.

        Args:
            input: (..., D).
            mask: (...) bool of the values that count; None for all.
        """
        mean_D, var_D = self.running_mean, self.running_var
        if mean_D is None or var_D is None:
            raise MsaError("batch norm: expected running statistics")
        if self.training:
            flat_ND = input.flatten(0, -2).float()
            weights_N1 = flat_ND.new_ones(len(flat_ND), 1) if mask is None else mask.flatten().float().unsqueeze(-1)
            count = weights_N1.sum()
            batch_mean_D = (flat_ND * weights_N1).sum(dim=0) / count.clamp(min=1)
            squares_D = ((flat_ND - batch_mean_D).square() * weights_N1).sum(dim=0)
            with torch.no_grad():
                # 0 where there is no variance to be had; no branch, which would wait for the device.
                momentum = ((count > 1) * (self.momentum or 0.0)).to(mean_D.dtype)
                old_mean_D, old_var_D = mean_D.clone(), var_D.clone()
                mean_D.lerp_(batch_mean_D.to(mean_D.dtype), momentum)
                var_D.lerp_((squares_D / (count - 1).clamp(min=1)).to(var_D.dtype), momentum)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
            mean_D = torch.where(count > 1, batch_mean_D, old_mean_D.float())
            var_D = torch.where(count > 1, squares_D / count.clamp(min=1), old_var_D.float())
        scale_D = self.weight.float() * (var_D.float() + self.eps).rsqrt()
        return ((input.float() - mean_D.float()) * scale_D + self.bias.float()).to(input.dtype)


class StreamLinear(nn.Linear):
    """A linear layer that starts as torch's own does, where transformers would start it too small for 30 channels."""

    def initialize(self) -> None:
        """Draw weight and bias from U(-1 / sqrt(in), 1 / sqrt(in))."""
        bound = self.in_features**-0.5
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)


class StreamLayer(nn.Module):
    """A pre-norm Transformer layer: self-attention, then a feed-forward with exact GELU, each beside a residual."""

    def __init__(self, config: AudioVisualFields) -> None:
        super().__init__()
        width = config.av_hidden_size
        self.num_heads = config.av_num_attention_heads
        self.norm1 = nn.LayerNorm(width)
        self.query = StreamLinear(width, width)
        self.key = StreamLinear(width, width)
        self.value = StreamLinear(width, width)
        self.output = StreamLinear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = StreamLinear(width, config.av_intermediate_size)
        self.down = StreamLinear(config.av_intermediate_size, width)
        self.dropout = nn.Dropout(config.av_dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the next states (B, T, D); all T steps of a stream are real."""
        normed = self.norm1(hidden)
        query, key, value = (
            proj(normed).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for proj in (self.query, self.key, self.value)
        )
        dropout = self.dropout.p if self.training else 0.0
        heads = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        hidden = hidden + self.dropout(self.output(heads.transpose(1, 2).flatten(2)))
        return hidden + self.dropout(self.down(self.dropout(F.gelu(self.up(self.norm2(hidden))))))


class StreamEncoder(nn.Module):
    r"""Read one stream: SeqAug, align to T steps, batch norm, $\sqrt{D} W x$ with a position, Transformer layers.

    No norm at the end and no mask: every step of a row that has the stream is real. A row that has none gives zeros.

    Args:
        input_size: Raw feature size F.
        has_batch_norm: Normalise the aligned columns.
        config: The sizes.
    """

    def __init__(self, input_size: int, has_batch_norm: bool, config: AudioVisualFields) -> None:
        super().__init__()
        self.length = config.av_length
        self.position_on_zero_steps = config.position_on_zero_steps
        self.seqaug_rate = config.stream_seqaug_rate
        self.batch_norm = MaskedBatchNorm(input_size) if has_batch_norm else None
        self.proj = StreamLinear(input_size, config.av_hidden_size, bias=False)
        self.dropout = nn.Dropout(config.av_dropout)
        self.layers = nn.ModuleList(StreamLayer(config) for _ in range(config.av_num_hidden_layers))

    def align(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Return T normalised steps (B, T, F) from frames (B, T', F) and their mask (B, T')."""
        if self.training and self.seqaug_rate > 0:
            frames = seqaug(frames, mask, self.seqaug_rate)
        steps_BTF = strided_align(frames, mask, self.length)
        if self.batch_norm is None:
            return steps_BTF
        return self.batch_norm(steps_BTF, mask.any(dim=1, keepdim=True).expand(-1, self.length))

    def embed(self, steps: Tensor) -> Tensor:
        """Return steps (B, T, D) with positions, from (B, T, F)."""
        embedded_BTD = self.proj(steps) * self.proj.out_features**0.5
        positions_TD = sinusoid_positions(self.length, self.proj.out_features, embedded_BTD)
        if self.position_on_zero_steps:
            return embedded_BTD + positions_TD
        # The authors read a 0 in the first channel as padding, as fairseq does with the id of its padding token.
        return embedded_BTD + positions_TD * (embedded_BTD[..., :1] != 0)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Return states (B, T, D).

        Args:
            frames: (B, T', F), zeros where the mask is false.
            mask: (B, T') bool.
        """
        hidden = self.dropout(self.embed(self.align(frames, mask)))
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden * mask.any(dim=1)[:, None, None]


class AudioVisualEncoder(nn.Module):
    r"""Encode both streams by themselves and join them step by step: $W [\mathrm{Enc}_a(a); \mathrm{Enc}_v(v)] + b$.

    Args:
        audio_dim: Raw feature size of audio.
        visual_dim: Raw feature size of the visual stream.
        config: The sizes.
    """

    def __init__(self, audio_dim: int, visual_dim: int, config: AudioVisualFields) -> None:
        super().__init__()
        self.audio = StreamEncoder(audio_dim, config.audio_batch_norm, config)
        self.visual = StreamEncoder(visual_dim, config.visual_batch_norm, config)
        self.fusion = StreamLinear(2 * config.av_hidden_size, config.av_hidden_size)

    def train(self, mode: bool = True) -> "AudioVisualEncoder":
        """Switch between training and evaluation; a frozen encoder stays in evaluation, its batch norms with it.

        Args:
            mode: Whether to train.
        """
        return super().train(mode and any(parameter.requires_grad for parameter in self.parameters()))

    def forward(self, audio: Tensor, audio_mask: Tensor, visual: Tensor, visual_mask: Tensor) -> Tensor:
        """Return T joint steps (B, T, D).

        Args:
            audio: (B, T_a, F_a), zeros where the mask is false.
            audio_mask: (B, T_a) bool; a row without any has no audio.
            visual: (B, T_v, F_v), zeros where the mask is false.
            visual_mask: (B, T_v) bool.
        """
        return self.fusion(torch.cat([self.audio(audio, audio_mask), self.visual(visual, visual_mask)], dim=-1))


__all__ = [
    "AudioVisualEncoder",
    "MaskedBatchNorm",
    "StreamEncoder",
    "StreamLayer",
    "StreamLinear",
    "real_positions_first",
    "seqaug",
    "sinusoid_positions",
    "strided_align",
]
