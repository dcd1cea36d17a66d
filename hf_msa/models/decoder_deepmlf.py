"""A decoder language model run in parts: block by block, and fusion tokens over the keys and values of the text.

The families differ in where positions enter and in names; here is all that DeepMLF has to know of them. Nothing is
stored on a module: a language model may serve two threads.

Shapes: B batch, L text length, n fusion tokens, D width, V vocabulary.
"""

import functools
import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel
from transformers.masking_utils import create_causal_mask


def language_model_layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return the blocks of a GPT-2, Llama or Qwen."""
    return model.h if model.config.model_type == "gpt2" else model.layers


def final_norm(model: PreTrainedModel) -> nn.Module:
    """Return the norm behind the last block."""
    return model.ln_f if model.config.model_type == "gpt2" else model.norm


def is_gated(model_type: str) -> bool:
    """Return whether the feed-forward has a gate (SwiGLU) and norms are RMS norms, as in Llama and Qwen."""
    return model_type != "gpt2"


def special_token_id(text_config: Any, *names: str) -> int:
    """Return the first token id of a configuration that is set and within its vocabulary, else 0.

    Args:
        text_config: Of the language model. Some list several ids, and GPT-2's default lies outside of small
            vocabularies.
        names: Of the fields, as "bos_token_id".
    """
    for name in names:
        value = getattr(text_config, name, None)
        for number in value if isinstance(value, (list, tuple)) else (value,):
            if number is not None and 0 <= number < text_config.vocab_size:
                return int(number)
    return 0


def positions_of(mask: Tensor) -> Tensor:
    """Return positions (B, L) counted over real tokens only, from a mask (B, L) of bool."""
    return (mask.long().cumsum(dim=1) - 1).clamp(min=0)


def embed_positions(model: PreTrainedModel, embeds: Tensor, positions: Tensor) -> Tensor:
    """Return what enters the first block, (B, L, D): GPT-2 adds learned positions, the others add none.

    Args:
        model: The language model.
        embeds: (B, L, D) token embeddings.
        positions: (B, L).
    """
    if model.config.model_type != "gpt2":
        return embeds
    return model.drop(embeds + model.wpe(positions).to(embeds.device))


def position_arguments(model: PreTrainedModel, hidden: Tensor, positions: Tensor) -> dict[str, Any]:
    """Return what every block has to be told of positions: rotations for Llama and Qwen.

    Args:
        model: The language model.
        hidden: (B, L, D), for its device and dtype.
        positions: (B, L).
    """
    if model.config.model_type == "gpt2":
        return {"position_ids": positions}
    return {"position_ids": positions, "position_embeddings": model.rotary_emb(hidden, positions)}


def causal_mask(model: PreTrainedModel, hidden: Tensor, mask: Tensor, cache: Cache | None = None) -> Any:
    """Return the causal mask in the form that the model's attention wants.

    Args:
        model: The language model.
        hidden: (B, L, D) states that ask.
        mask: (B, S) bool of all keys, those in the cache first.
        cache: Keys and values of what stands before.
    """
    return create_causal_mask(model.config, hidden, mask.long(), cache)


def cache_argument(model: PreTrainedModel, cache: Cache) -> dict[str, Cache]:
    """Return a cache under the name by which the model's blocks take it.

    Blocks swallow keywords that they do not know; a cache under another name would be ignored without a word, and the
    fusion tokens would read no text. transformers 5.24 calls `cache` what was `past_key_values` before.

    Args:
        model: The language model.
        cache: Keys and values of what stands before; the blocks add their own.

    Raises:
        TypeError: When the blocks take it under neither name.
    """
    block: Any = type(language_model_layers(model)[0])
    return {_cache_name(block): cache}


@functools.cache
def _cache_name(block: Any) -> str:
    known = inspect.signature(block.forward).parameters
    name = next((name for name in ("cache", "past_key_values") if name in known), None)
    if name is None:
        raise TypeError(f"{block.__name__}.forward: expected the argument cache or past_key_values, got {list(known)}")
    return name


def can_run_alone(model: PreTrainedModel, embeds: Tensor) -> bool:
    """Return whether nothing asks for the gradient of the text's states, so that they may be computed without one.

    Args:
        model: The language model.
        embeds: (B, L, D) what enters it.
    """
    wants_gradient = torch.is_grad_enabled() and (
        embeds.requires_grad or any(parameter.requires_grad for parameter in model.parameters())
    )
    # A block that is checkpointed throws away the keys and values that fusion tokens would read.
    is_checkpointed = model.training and any(
        layer.gradient_checkpointing is True for layer in language_model_layers(model)
    )
    return not wants_gradient and not is_checkpointed


def next_token_loss(logits: Tensor, input_ids: Tensor, mask: Tensor, padding_id: int, has_last: bool) -> Tensor:
    """Return the mean cross-entropy of the next token over real tokens.

    Args:
        logits: (B, L, V).
        input_ids: (B, L).
        mask: (B, L) bool, real tokens.
        padding_id: What the last token of a padded row should predict, as in the authors' code; one that fills the
            batch predicts id 0 there.
        has_last: False leaves the last token of every row without a target (textbook).
    """
    is_followed_BL = torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], dim=1)
    following_BL = torch.cat([input_ids[:, 1:], torch.zeros_like(input_ids[:, :1])], dim=1)
    # Behind the last token: not what happens to stand in the padding, on whichever side that is.
    is_full_B1 = mask.all(dim=1, keepdim=True)
    targets_BL = torch.where(is_followed_BL, following_BL, torch.where(is_full_B1, 0, padding_id))
    counted_BL = mask if has_last else mask & is_followed_BL
    losses_BL = nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets_BL.flatten(), reduction="none")
    weights_BL = counted_BL.flatten().float()
    return (losses_BL * weights_BL).sum() / weights_BL.sum().clamp(min=1)


__all__ = [
    "cache_argument",
    "can_run_alone",
    "causal_mask",
    "embed_positions",
    "final_norm",
    "is_gated",
    "language_model_layers",
    "next_token_loss",
    "position_arguments",
    "positions_of",
    "special_token_id",
]
