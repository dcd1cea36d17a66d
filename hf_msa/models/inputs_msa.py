"""What a forward pass is given: the text's mask and positions, a stream's frames and mask.

Apart from `streams_msa.py`, whose names are wanted where torch is not.

Shapes: B batch, L text length, T frames, F raw feature size, D width.
"""

from typing import Any

import torch
from torch import Tensor

from .errors_msa import MsaError


def read_text(input_ids: Tensor | None, inputs_embeds: Tensor | None, attention_mask: Tensor | None) -> Tensor:
    """Check the text of a batch and return its mask (B, L), 1 real and 0 padding, on the text's device.

    Args:
        input_ids: (B, L) tokens; or `inputs_embeds`.
        inputs_embeds: (B, L, D) token embeddings.
        attention_mask: (B, L), or None for all real.

    Raises:
        MsaError: For both or neither, and for a mask of another shape.
    """
    given = inputs_embeds if input_ids is None else input_ids
    if given is None or (input_ids is not None and inputs_embeds is not None):
        raise MsaError("input_ids: expected either input_ids or inputs_embeds, got both or neither")
    shape = given.shape[:2]
    if attention_mask is None:
        return torch.ones(shape, dtype=torch.long, device=given.device)
    if attention_mask.shape != shape:
        raise MsaError(f"attention_mask: expected {tuple(shape)} as input_ids, got {tuple(attention_mask.shape)}")
    return attention_mask.to(given.device)


def encoder_positions(mask: Tensor, text_config: Any) -> Tensor:
    """Return the positions (B, L) that an encoder of the BERT family gives to a text, counted from its first token.

    Left to itself, BERT would count from the left edge of the batch, through padding that stands there.

    Args:
        mask: (B, L), 1 real.
        text_config: Of the encoder. RoBERTa and its kin count real tokens only, from the padding token's number on.
    """
    if text_config.model_type in ("roberta", "xlm-roberta"):
        return mask.long().cumsum(dim=1) * mask.long() + text_config.pad_token_id
    numbers_L = torch.arange(mask.shape[1], device=mask.device)
    return (numbers_L - mask.long().argmax(dim=1, keepdim=True)).clamp(min=0)


def first_token(states: Tensor, mask: Tensor) -> Tensor:
    """Return the state (B, D) of the first real token, on whichever side a row is padded; of none, the first.

    Args:
        states: (B, L, D).
        mask: (B, L), 1 real.
    """
    return _pick(states, mask.long().argmax(dim=1))


def last_token(states: Tensor, mask: Tensor) -> Tensor:
    """Return the state (B, D) of the last real token, on whichever side a row is padded; of none, the first.

    Args:
        states: (B, L, D).
        mask: (B, L), 1 real.
    """
    return _pick(states, (mask * torch.arange(mask.shape[1], device=mask.device)).argmax(dim=1))


def _pick(states: Tensor, index_B: Tensor) -> Tensor:
    return states[torch.arange(len(states), device=states.device), index_B.to(states.device)]


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (B, D) of the states that are real; zeros for a row without any.

    Args:
        states: (B, L, D).
        mask: (B, L), 1 real.
    """
    return (states * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)


def masked_stream(
    name: str, values: Tensor | None, mask: Tensor | None, dim: int, batch_size: int, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Check a stream and return it with zeros where its mask is 0.

    A stream that is not given becomes one masked frame, so that the graph, and with it the set of parameters that
    receive a gradient, is the same for every batch; distributed training needs that.

    Args:
        name: "audio" or "visual", for the error.
        values: (B, T, F) or None.
        mask: (B, T), 1 real and 0 padding, or None for all real.
        dim: Feature size F that the model was made for.
        batch_size: Size B of the text.
        like: A tensor of the device and dtype wanted.

    Returns:
        values (B, T, F) and mask (B, T) of bool.

    Raises:
        MsaError: For another feature size, batch size or mask shape.
    """
    if values is None:
        return like.new_zeros(batch_size, 1, dim), like.new_zeros(batch_size, 1, dtype=torch.bool)
    if values.dim() != 3 or values.shape[0] != batch_size or values.shape[2] != dim:
        raise MsaError(
            f"{name}_values: expected (batch {batch_size}, frames, config.{name}_dim {dim}), got {tuple(values.shape)}"
        )
    if mask is None:
        mask = values.new_ones(values.shape[:2], dtype=torch.bool)
    elif mask.shape != values.shape[:2]:
        raise MsaError(
            f"{name}_attention_mask: expected {tuple(values.shape[:2])} as {name}_values, got {tuple(mask.shape)}"
        )
    if values.shape[1] == 0:
        return masked_stream(name, None, None, dim, batch_size, like)
    mask = mask.to(like.device).bool()
    values = values.to(device=like.device, dtype=like.dtype)
    return values.masked_fill(~mask.unsqueeze(-1), 0), mask


__all__ = ["encoder_positions", "first_token", "last_token", "masked_mean", "masked_stream", "read_text"]
