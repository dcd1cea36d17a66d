"""How long the rows of a dataset are, read without looking at a single frame."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from hf_msa.models.streams_msa import FRAME_STREAMS

LENGTH = "length"


def add_lengths(dataset: Dataset, processor: Any) -> Dataset:
    """Add the column `length`, by which Trainer groups rows into batches (`train_sampling_strategy`).

    Args:
        dataset: Rows as `load_corpus` gives them.
        processor: Counts the tokens; where its streams keep their own time axis their frames count too.

    Returns:
        The dataset with the column; frames are not read, only how many there are.
    """
    texts = [text or "" for text in dataset["text"]]
    lengths = [len(tokens) for tokens in processor.tokenizer(texts)["input_ids"]]
    if processor.alignment == "none":
        for stream in set(FRAME_STREAMS) & set(processor.streams) & set(dataset.column_names):
            lengths = [sum(pair) for pair in zip(lengths, num_frames(dataset, stream), strict=True)]
    shown = dataset.format
    columns = None if set(shown["columns"]) == set(dataset.column_names) else shown["columns"]
    # As Arrow, since add_column copies rows that were selected or shuffled, and would decode their frames and words.
    found = dataset.with_format("arrow").add_column(LENGTH, lengths)
    return found.with_format(shown["type"], columns, shown["output_all_columns"], **shown["format_kwargs"])


def num_frames(dataset: Dataset, stream: str) -> list[int]:
    """Return how many frames of a stream every row has.

    Args:
        dataset: Rows as `load_corpus` gives them.
        stream: "audio" or "visual".
    """
    counts: list[int] = []
    for table in dataset.select_columns([stream]).with_format("arrow").iter(batch_size=1000):
        column = table[stream]
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            storage = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
            counts += [count or 0 for count in pc.list_value_length(storage).to_pylist()]
    return counts


__all__ = ["LENGTH", "add_lengths", "num_frames"]
