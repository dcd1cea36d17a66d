"""Augmentation: what happens to rows in training only. Ours; none of the three papers does this.

Both keep a model from leaning on what will not come back. A stream that is sometimes absent does not stop the text
from being learned, and a model that has met missing streams can do without one. A speaker whose features lie elsewhere
than those of the training's few looks, column by column, like an offset that is constant over the utterance.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import BatchFeature

from hf_msa.models.streams_msa import FRAME_STREAMS

_Row = Mapping[str, Any]


class AugmentingCollator:
    """Collate rows after some of their streams were dropped, and shift the columns of those that stay.

    Draws from torch's own generator, which Trainer seeds, saves and restores.

    Args:
        collate: What makes a batch of rows: the processor's `collate`.
        stream_dropout: Probability with which a row loses its audio, and by another draw its visual stream. A row
            without text keeps what it has.
        feature_noise: Standard deviation of an offset that is drawn per row and column and added to every frame, in
            units of the normalised features (1 is a column's deviation in the training split).
    """

    def __init__(
        self, collate: Callable[[Sequence[_Row]], BatchFeature], stream_dropout: float, feature_noise: float
    ) -> None:
        self.collate = collate
        self.stream_dropout = stream_dropout
        self.feature_noise = feature_noise

    def __call__(self, rows: Sequence[_Row]) -> BatchFeature:
        """Return a batch, as the processor makes it.

        Args:
            rows: Rows of a corpus.
        """
        if self.stream_dropout:
            rows = [self._drop(row) for row in rows]
        batch = self.collate(rows)
        if self.feature_noise:
            for stream in FRAME_STREAMS:
                values_BTF, mask_BT = batch[f"{stream}_values"], batch[f"{stream}_attention_mask"]
                offset_B1F = self.feature_noise * torch.randn_like(values_BTF[:, :1])
                batch[f"{stream}_values"] = values_BTF + offset_B1F * mask_BT.unsqueeze(-1)
        return batch

    def _drop(self, row: _Row) -> _Row:
        dropped = torch.rand(len(FRAME_STREAMS)) < self.stream_dropout
        if not row.get("text"):
            return row
        return {**row, **{stream: None for stream, is_gone in zip(FRAME_STREAMS, dropped, strict=True) if is_gone}}


__all__ = ["AugmentingCollator"]
