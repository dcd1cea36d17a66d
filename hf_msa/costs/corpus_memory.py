"""What a large corpus costs in memory when a model is trained on it, beside the model's own.

A made corpus of CMU-MOSEI's shape is written as `hf-msa convert` writes one, and a fresh process trains on it as
`hf-msa train` does: it loads and checks the rows, learns the normalisation, takes some dozens of steps on rows drawn
from everywhere, evaluates, saves, and predicts every row. Another process does the same on a corpus of two batches per
split, whose memory is the model's own.

    made corpus --write_parquet--> Parquet --hf-msa train--> peak, whole corpus  \
                                                                                  difference, at most 1.5 GB
    two batches --write_parquet--> Parquet --hf-msa train--> peak, model's own   /

Compared are the peaks of anonymous memory, which nobody but the process can free; those of resident memory, with the
mapped pages of files, are shown beside them.
"""

import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import AutoConfig, BertConfig, BertModel, BertTokenizer, GPT2Config, GPT2LMHeadModel

from hf_msa.data.parquet import write_parquet
from hf_msa.data.rows import SPLITS, OpenCorpus
from hf_msa.errors import MsaError
from hf_msa.models.streams_msa import FRAME_STREAMS, STREAMS
from hf_msa.progress import Progress, Report, ignore
from hf_msa.training.recipe import make_recipe

from .corpus_memory_result import CorpusMemory, TrainingMemory
from .made_corpus import MOSEI_ROWS, ROW_BYTES, WORDS, made_corpus, split_sizes
from .measurement import MIB
from .process_memory import memory_of, peaks_of

LIMIT_MIB = 1.5e9 / MIB

_EVALUATED = 64  # rows per batch of `predict_rows`
_LIBRARIES = ("torch", "transformers", "datasets", "pyarrow")
_TRAIN = (
    "import sys; from hf_msa.training import read_recipe, train_recipe;"
    "train_recipe(read_recipe(sys.argv[1]), sys.argv[2])"
)


def benchmark_corpus_memory(
    model_type: str = "pgf_net",
    *,
    rows: int | None = None,
    batch_size: int = 32,
    alignment: str = "word",
    steps: int = 30,
    seed: int = 0,
    folder: str | Path | None = None,
    report: Report = ignore,
) -> CorpusMemory:
    """Measure what a corpus of CMU-MOSEI's shape costs in memory when a model is trained on it.

    Args:
        model_type: A model type such as "pgf_net", in its default configuration around a small text model with random
            weights.
        rows: Rows of the corpus; None for CMU-MOSEI's 22,856, whose splits others are proportional to.
        batch_size: Rows per training step.
        alignment: "word" or "none".
        steps: Training steps.
        seed: Seed for everything random in the corpus.
        folder: An existing folder on a disk, in which all files lie for as long as it takes; None for the system's
            folder for temporary files. It needs 11 GB for the whole corpus: the Parquet files, and the Arrow files
            that `datasets` makes of them.
        report: Told what is written, and how much memory the training holds.

    Raises:
        MsaError: For a setting outside what is said here.
        OSError: On another system than Linux, and when the disk has too little space.
        RuntimeError: When training failed, say for lack of memory; with what it wrote.
    """
    sizes = split_sizes(sum(MOSEI_ROWS.values()) if rows is None else rows)
    for name, value in (("batch_size", batch_size), ("steps", steps)):
        if value < 1:
            raise MsaError(f"{name}: expected at least 1, got {value!r}")
    if alignment not in ("word", "none"):
        raise MsaError(f"alignment: expected 'word' or 'none', got {alignment!r}")
    make_recipe({"model_type": model_type})  # refuses what is no model type
    if not memory_of("self"):
        raise OSError(f"memory: expected Linux, whose /proc says what a process holds, got {platform.system()}")
    _check_space(Path(folder or tempfile.gettempdir()), sizes)
    two_batches = dict.fromkeys(SPLITS, 2 * max(batch_size, _EVALUATED))
    config = AutoConfig.for_model(model_type)
    with tempfile.TemporaryDirectory(prefix="hf_msa_", dir=folder) as name:
        scratch = Path(name)
        recipe = {
            "model_type": model_type,
            "text_model": str(_make_text_model(scratch / "text_model", config.supported_text_models)),
            "streams": list(STREAMS if config.has_text_model else FRAME_STREAMS),
            "processor": {"alignment": alignment},
            "seeds": [seed],
            "max_steps": steps,
            "per_device_train_batch_size": batch_size,
            "per_device_eval_batch_size": batch_size,
            **{f"{part}_strategy": "steps" for part in ("eval", "save")},
            **{f"{part}_steps": steps for part in ("eval", "save")},
        }
        small, whole = (
            _train(recipe, made_corpus(each, seed), scratch / title, report=report)
            for title, each in (("two_batches", two_batches), ("whole", sizes))
        )
    return CorpusMemory(
        whole=whole,
        two_batches=small,
        beyond_mib=whole.peak_anonymous_mib - small.peak_anonymous_mib,
        limit_mib=LIMIT_MIB,
        model_type=model_type,
        batch_size=batch_size,
        alignment=alignment,
        steps=steps,
        seed=seed,
        versions={name: version(name) for name in _LIBRARIES},
    )


def _check_space(folder: Path, sizes: dict[str, int]) -> None:
    if not folder.is_dir():
        raise OSError(f"folder: expected an existing one, got {folder}")
    # Twice, as Parquet and as Arrow, and a tenth for the rest of the rows and the checkpoints.
    needed, free = int(2.2 * ROW_BYTES * sum(sizes.values())) + 2**27, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"folder: expected {needed / 1e9:.1f} GB of free space in {folder}, got {free / 1e9:.1f}; name another"
        )


def _make_text_model(folder: Path, supported: Collection[str]) -> Path:
    """Save a small GPT-2 where it is supported, else a BERT: random weights, a tokenizer that knows the made words."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=64).save_pretrained(folder)
    if "gpt2" in supported:
        # As deep as the model's own fusion layers ask for.
        small = {"n_embd": 128, "n_layer": 12, "n_head": 2, "n_positions": 128}
        GPT2LMHeadModel(GPT2Config(vocab_size=len(pieces), **small)).save_pretrained(folder)
        return folder
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def _train(recipe: dict[str, Any], corpus: OpenCorpus, folder: Path, *, report: Report) -> TrainingMemory:
    """Write a corpus, train on it in a fresh process, and delete it."""
    rows = sum(corpus.sizes.values())
    folder.mkdir()
    write_parquet(corpus, folder / "corpus", report)
    size = sum(file.stat().st_size for file in (folder / "corpus").iterdir())
    recipe |= {"corpus": str(folder / "corpus"), "corpus_options": {"cache_dir": str(folder / "cache")}}
    recipe_file = folder / "recipe.yaml"
    recipe_file.write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
    start = time.perf_counter()
    anonymous, resident = peaks_of(
        [sys.executable, "-c", _TRAIN, str(recipe_file), str(folder / "run")],
        folder / "log.txt",
        lambda held, seconds: report(
            Progress(f"training on {rows:,} rows", note=f"{held / MIB:,.0f} MiB, {seconds:.0f} s")
        ),
    )
    seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return TrainingMemory(rows, size / MIB, anonymous / MIB, resident / MIB, seconds)


__all__ = ["LIMIT_MIB", "benchmark_corpus_memory"]
