"""A batch of random utterances whose lengths are like CMU-MOSI's.

Shapes: B batch, L text length, T frames, F raw feature size.
"""

import torch
from torch import Tensor

from hf_msa.errors import MsaError
from hf_msa.models import MsaPreTrainedModel

# CMU-MOSI's transcripts in word pieces, roughly: mean 14, standard deviation 8, log-normal; two special tokens come on
# top, and the usual layouts stop at 50 tokens, 375 frames of audio and 500 of video.
_LOG_MEAN, _LOG_STD = 2.498, 0.5315
_MIN_TOKENS, _MAX_TOKENS = 3, 50
_AUDIO_FRAMES_PER_TOKEN, _VISUAL_FRAMES_PER_TOKEN = 7.5, 10.0
_MAX_AUDIO_FRAMES, _MAX_VISUAL_FRAMES = 375, 500


def make_batch(
    model: MsaPreTrainedModel,
    *,
    batch_size: int = 32,
    alignment: str = "word",
    lengths: str | int = "mosi",
    seed: int = 0,
) -> dict[str, Tensor]:
    """Make a batch of random utterances whose lengths are like CMU-MOSI's.

    The lengths of the texts are evenly spaced quantiles of a fixed distribution: every seed has the same lengths, so
    that figures do not depend on whether it drew a long text, to which all others are padded.

    Args:
        model: Says sizes, vocabulary and device.
        batch_size: B.
        alignment: "word" gives both streams the text's length, its special tokens masked; "none" gives 7.5 frames of
            audio and 10 of video per token.
        lengths: "mosi", or the number of tokens of every text.
        seed: Seed for tokens, frames, labels and the order of lengths.

    Returns:
        What `forward` takes, with `labels`, on the model's device.

    Raises:
        MsaError: For a setting outside what is said here.
    """
    if batch_size < 1:
        raise MsaError(f"batch_size: expected at least 1, got {batch_size!r}")
    if alignment not in ("word", "none"):
        raise MsaError(f"alignment: expected 'word' or 'none', got {alignment!r}")
    if isinstance(lengths, int) and lengths >= _MIN_TOKENS:
        lengths_B = torch.full((batch_size,), lengths)
    elif lengths == "mosi":
        lengths_B = _mosi_lengths(batch_size)
    else:
        raise MsaError(f"lengths: expected 'mosi' or a number of tokens from {_MIN_TOKENS}, got {lengths!r}")

    generator = torch.Generator().manual_seed(seed)
    lengths_B = lengths_B[torch.randperm(batch_size, generator=generator)]
    mask_BL = _mask(lengths_B)
    text_config = model.text_model.config
    padding = text_config.pad_token_id or 0
    ids_BL = torch.randint(text_config.vocab_size - 1, mask_BL.shape, generator=generator)
    ids_BL += ids_BL >= padding  # never the padding token: RoBERTa counts its positions by it
    if alignment == "word":
        audio_mask_BT = mask_BL.clone()
        audio_mask_BT[:, 0] = 0
        audio_mask_BT[torch.arange(batch_size), lengths_B - 1] = 0
        visual_mask_BT = audio_mask_BT.clone()
    else:
        audio_mask_BT = _mask((lengths_B * _AUDIO_FRAMES_PER_TOKEN).long().clamp(max=_MAX_AUDIO_FRAMES))
        visual_mask_BT = _mask((lengths_B * _VISUAL_FRAMES_PER_TOKEN).long().clamp(max=_MAX_VISUAL_FRAMES))
    labels_B = torch.rand(batch_size, generator=generator) * 2 - 1
    if model.config.num_labels > 1:
        labels_B = torch.randint(model.config.num_labels, (batch_size,), generator=generator)
    batch = {
        "input_ids": ids_BL.masked_fill(mask_BL == 0, padding),
        "attention_mask": mask_BL,
        "audio_values": torch.randn(*audio_mask_BT.shape, model.config.audio_dim, generator=generator),
        "audio_attention_mask": audio_mask_BT,
        "visual_values": torch.randn(*visual_mask_BT.shape, model.config.visual_dim, generator=generator),
        "visual_attention_mask": visual_mask_BT,
        "labels": labels_B,
    }
    return {name: value.to(model.device) for name, value in batch.items()}


def _mosi_lengths(batch_size: int) -> Tensor:
    """Return the B middles of B equal parts of the distribution, ascending."""
    quantiles_B = (torch.arange(batch_size, dtype=torch.float64) + 0.5) / batch_size
    words_B = torch.exp(_LOG_MEAN + _LOG_STD * torch.special.ndtri(quantiles_B))
    return (words_B.round().long() + 2).clamp(_MIN_TOKENS, _MAX_TOKENS)


def _mask(lengths: Tensor) -> Tensor:
    return (torch.arange(int(lengths.max())) < lengths[:, None]).long()


__all__ = ["make_batch"]
