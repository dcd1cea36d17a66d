"""A small made corpus, to try a pipeline without network or licence forms. README.md says what it may be used for."""

from pathlib import Path

import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict, DatasetInfo, NamedSplit

from .columns import AUDIO_COLUMNS, AUDIO_FEATURES, VISUAL_COLUMNS, VISUAL_FEATURES


def load_sample_corpus() -> DatasetDict:
    """Load the sample corpus: 320 utterances to train on, 60 to validate, 100 to test.

    Reads the Parquet files of the package straight into memory: no network, no cache. `audio` (T, 25) at 20 Hz and
    `visual` (T, 17) at 10 Hz come as float32 arrays, (0, 25) and (0, 17) where a stream is missing; `words` as a
    list of `{"word", "start", "end"}` in seconds; `label` lies in [-3, 3].

    Example:
        >>> corpus = load_sample_corpus()
        >>> corpus["train"][0]["audio"].shape[1]
        25
    """
    folder = Path(__file__).parent
    corpus = DatasetDict()
    for split in ("train", "valid", "test"):
        # Dataset.from_parquet would write a copy into the cache folder, which offline machines may not allow.
        table = pq.read_table(folder / f"{split}.parquet", memory_map=True)
        corpus[split] = Dataset(table, info=DatasetInfo(license="apache-2.0"), split=NamedSplit(split))
    # The plain format gives nested lists, in which an empty stream loses its width.
    return corpus.with_format("numpy", columns=["audio", "visual"], output_all_columns=True)


__all__ = ["load_sample_corpus", "AUDIO_COLUMNS", "AUDIO_FEATURES", "VISUAL_COLUMNS", "VISUAL_FEATURES"]
