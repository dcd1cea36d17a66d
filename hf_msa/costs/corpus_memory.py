"""What a large corpus costs in memory when a model is trained on it, beside the model's own.

A script makes a corpus of CMU-MOSEI's shape, at its worst: every stream of every row has all 500 frames. It is
written as `hf-msa convert` writes a corpus, and a fresh process trains on it as `hf-msa train` does: it loads and
checks the rows, learns the normalisation, takes some dozens of steps on rows drawn from everywhere, evaluates, saves,
and predicts every row. Another process does the same on a corpus of two batches per split, whose memory is the model's
own.

    made corpus --write_parquet--> Parquet --hf-msa train--> peak, whole corpus  \
                                                                                  difference, at most 1.5 GB
    two batches --write_parquet--> Parquet --hf-msa train--> peak, model's own   /

Linux says what a process holds. Compared is the peak of its anonymous memory (`RssAnon`), which nobody but the process
can free. The peak of its resident memory (`VmHWM`) is shown beside it: it counts the mapped pages of files too, and
these stay only for as long as nobody else needs the memory.
"""

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from transformers import BertConfig, BertModel, BertTokenizer, GPT2Config, GPT2LMHeadModel

from hf_msa.costs.measurement import MIB
from hf_msa.data.parquet import write_parquet
from hf_msa.data.rows import SPLITS, OpenCorpus
from hf_msa.errors import MsaError
from hf_msa.models.streams_msa import FRAME_STREAMS
from hf_msa.training.recipe import make_recipe

MOSEI_ROWS = {"train": 16326, "valid": 1871, "test": 4659}
MOSEI_DIMS = {"audio": 74, "visual": 35}
FRAMES = 500
LIMIT_MIB = 1.5e9 / MIB

_RATE = 25.0  # frames per second: ours, 20 seconds an utterance
_WORDS = [f"word{number}" for number in range(1000)]
_LEAST_WORDS, _MOST_WORDS = 5, 40
_POOL = 2**22  # random numbers, of which a row takes a window: cheap, and far more than a compressor can look back
_ROW_BYTES = FRAMES * sum(MOSEI_DIMS.values()) * 4
_EVALUATED = 64  # rows per batch of `predict_rows`
_SECONDS_BETWEEN_LOOKS = 0.01
_TRAIN = (
    "import sys; from hf_msa.training import read_recipe, train_recipe;"
    "train_recipe(read_recipe(sys.argv[1]), sys.argv[2])"
)

Report = Callable[[str], None]


@dataclass(frozen=True)
class TrainingMemory:
    """The memory of one process that trained.

    Attributes:
        rows: Of its corpus, all splits.
        corpus_mib: Size of the corpus as Parquet.
        peak_anonymous_mib: Most anonymous memory at one time, looked at every hundredth of a second.
        peak_resident_mib: Most resident memory at one time, with the mapped pages of files.
        seconds: From start to end.
    """

    rows: int
    corpus_mib: float
    peak_anonymous_mib: float
    peak_resident_mib: float
    seconds: float


@dataclass(frozen=True)
class CorpusMemory:
    """Training on a large corpus beside training on two batches.

    Attributes:
        whole: Training on the whole corpus.
        own: The same on two batches per split, the model's own.
        beyond_mib: What the whole corpus takes beyond the model's own, anonymous memory.
        limit_mib: What it may take, 1.5 GB.
        model_type: Of the model; its text model is a small BERT, or for DeepMLF a GPT-2, with random weights.
        batch_size: Rows per training step.
        alignment: "word" or "none".
        steps: Training steps.
        seed: Of the corpus.
        versions: Of Python and the libraries that read the corpus.
    """

    whole: TrainingMemory
    own: TrainingMemory
    beyond_mib: float
    limit_mib: float
    model_type: str
    batch_size: int
    alignment: str
    steps: int
    seed: int
    versions: dict[str, str]

    @property
    def within_limit(self) -> bool:
        """Whether the corpus takes no more than it may."""
        return self.beyond_mib <= self.limit_mib

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, strings and numbers, ready for JSON."""
        return asdict(self) | {"within_limit": self.within_limit}


def benchmark_corpus_memory(
    model_type: str = "pgf_net",
    *,
    rows: int | None = None,
    batch_size: int = 32,
    alignment: str = "word",
    steps: int = 30,
    seed: int = 0,
    place: str | Path | None = None,
    report: Report | None = None,
) -> CorpusMemory:
    """Measure what a corpus of CMU-MOSEI's shape costs in memory when a model is trained on it.

    Args:
        model_type: Such as "pgf_net"; its default configuration around a small text model with random weights.
        rows: Of the corpus; None for CMU-MOSEI's 22,856, whose splits others are proportional to.
        batch_size: Rows per training step.
        alignment: "word" or "none".
        steps: Training steps.
        seed: Of the corpus.
        place: An existing folder on a disk, in which all files lie for as long as it takes; None for the system's
            folder for temporary files. It needs 11 GB for the whole corpus: the Parquet files, and the Arrow files
            that `datasets` makes of them.
        report: Called with what is being done, again and again.

    Raises:
        MsaError: For a setting outside what is said here.
        OSError: On another system than Linux, and when the disk has too little space.
        RuntimeError: When training failed, say for lack of memory; with what it wrote.
    """
    sizes = _split_sizes(sum(MOSEI_ROWS.values()) if rows is None else rows)
    for name, value in (("batch_size", batch_size), ("steps", steps)):
        if value < 1:
            raise MsaError(f"{name}: expected at least 1, got {value!r}")
    if alignment not in ("word", "none"):
        raise MsaError(f"alignment: expected 'word' or 'none', got {alignment!r}")
    make_recipe({"model_type": model_type})  # refuses what is no model type
    if not _memory_of("self"):
        raise OSError(f"memory: expected Linux, whose /proc says what a process holds, got {platform.system()}")
    _check_space(Path(place or tempfile.gettempdir()), sizes)
    own_sizes = dict.fromkeys(SPLITS, 2 * max(batch_size, _EVALUATED))
    training = {
        "max_steps": steps,
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": batch_size,
        **{key: value for part in ("eval", "save") for key, value in _at_step(part, steps).items()},
    }
    with tempfile.TemporaryDirectory(prefix="hf_msa_", dir=place) as folder:
        text_model = _make_text_model(Path(folder) / "text_model", model_type)
        recipe = {
            "model_type": model_type,
            "text_model": str(text_model),
            "streams": list(FRAME_STREAMS) if model_type == "deepmlf_av" else ["text", *FRAME_STREAMS],
            "processor": {"alignment": alignment},
            "seeds": [seed],
            **training,
        }
        own, whole = (
            _train(recipe, made_corpus(each, seed), Path(folder) / name, report or (lambda _: None))
            for name, each in (("own", own_sizes), ("whole", sizes))
        )
    return CorpusMemory(
        whole=whole,
        own=own,
        beyond_mib=whole.peak_anonymous_mib - own.peak_anonymous_mib,
        limit_mib=LIMIT_MIB,
        model_type=model_type,
        batch_size=batch_size,
        alignment=alignment,
        steps=steps,
        seed=seed,
        versions=_versions(),
    )


def made_corpus(sizes: dict[str, int], seed: int = 0) -> OpenCorpus:
    """Return a corpus of random rows of CMU-MOSEI's shape, each made when it is read.

    Args:
        sizes: Rows of train, valid and test.
        seed: Of everything in it.
    """
    pool = np.random.default_rng(seed).standard_normal(_POOL, dtype=np.float32)

    def rows(split: str) -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        for number in range(sizes[split]):
            words = [_WORDS[i] for i in rng.integers(len(_WORDS), size=rng.integers(_LEAST_WORDS, _MOST_WORDS + 1))]
            times = np.linspace(0, FRAMES / _RATE, len(words) + 1).tolist()
            starts = {stream: rng.integers(_POOL - FRAMES * dim) for stream, dim in MOSEI_DIMS.items()}
            yield {
                "id": f"{split}{number // 10}$_${number % 10}",
                "speaker": f"{split}{number // 10}",
                "text": " ".join(words),
                "words": [
                    {"word": word, "start": start, "end": end}
                    for word, start, end in zip(words, times, times[1:], strict=False)
                ],
                **{
                    stream: pool[starts[stream] : starts[stream] + FRAMES * dim].reshape(FRAMES, dim)
                    for stream, dim in MOSEI_DIMS.items()
                },
                **{f"{stream}_rate": _RATE for stream in FRAME_STREAMS},
                "label": float(rng.uniform(-3, 3)),
            }

    return OpenCorpus("made corpus", sizes, rows, MOSEI_DIMS, about={"format": "made", "seed": seed})


def format_corpus_memory(result: CorpusMemory) -> str:
    """Return a table of both processes with their differences, and the verdict."""
    whole, own = result.whole, result.own
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "model's own", "whole corpus", "difference"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for title, form, a, b in (
        ("rows", ",d", own.rows, whole.rows),
        ("corpus as Parquet, MiB", ",.0f", own.corpus_mib, whole.corpus_mib),
        ("peak of anonymous memory, MiB", ",.0f", own.peak_anonymous_mib, whole.peak_anonymous_mib),
        ("peak of resident memory, MiB", ",.0f", own.peak_resident_mib, whole.peak_resident_mib),
        ("seconds", ",.0f", own.seconds, whole.seconds),
    ):
        table.add_row(title, format(a, form), format(b, form), format(b - a, form))
    text = io.StringIO()
    Console(file=text, width=120).print(table)
    lines = [
        *(line.rstrip() for line in text.getvalue().strip("\n").splitlines()),
        f"training takes {result.beyond_mib * MIB / 1e9:.2f} GB beyond the model's own, "
        f"{'within' if result.within_limit else 'MORE THAN'} the limit of {result.limit_mib * MIB / 1e9:.1f} GB",
        "(anonymous memory; resident memory also counts mapped pages of files, which the kernel takes back at need)",
        f"{result.model_type}, {result.steps} steps of {result.batch_size} rows of "
        f"{FRAMES} x {MOSEI_DIMS['audio']} and {FRAMES} x {MOSEI_DIMS['visual']}, alignment {result.alignment!r}",
        f"{platform.system()}, {platform.machine()}, "
        + ", ".join(f"{name} {version}" for name, version in result.versions.items()),
    ]
    return "\n".join(lines)


def _split_sizes(rows: int) -> dict[str, int]:
    if rows < len(SPLITS):
        raise MsaError(f"rows: expected at least {len(SPLITS)}, one per split, got {rows!r}")
    total = sum(MOSEI_ROWS.values())
    valid, test = (max(1, rows * MOSEI_ROWS[split] // total) for split in ("valid", "test"))
    return {"train": rows - valid - test, "valid": valid, "test": test}


def _check_space(place: Path, sizes: dict[str, int]) -> None:
    if not place.is_dir():
        raise OSError(f"place: expected an existing folder, got {place}")
    # Twice, as Parquet and as Arrow, and a tenth for the rest of the rows and the checkpoints.
    needed, free = int(2.2 * _ROW_BYTES * sum(sizes.values())) + 2**27, shutil.disk_usage(place).free
    if free < needed:
        raise OSError(
            f"place: expected {needed / 1e9:.1f} GB of free space in {place}, got {free / 1e9:.1f}; name another"
        )


def _at_step(part: str, step: int) -> dict[str, Any]:
    return {f"{part}_strategy": "steps", f"{part}_steps": step}


def _make_text_model(folder: Path, model_type: str) -> Path:
    """Save a small BERT, or for DeepMLF a GPT-2, with random weights and a tokenizer that knows the made words."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_WORDS]
    BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=64).save_pretrained(folder)
    if model_type.startswith("deepmlf"):
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


def _train(recipe: dict[str, Any], corpus: OpenCorpus, folder: Path, report: Report) -> TrainingMemory:
    """Write a corpus, train on it in a fresh process, and delete it."""
    rows = sum(corpus.sizes.values())
    folder.mkdir()
    write_parquet(
        corpus,
        folder / "corpus",
        lambda progress: report(f"{progress.task}: {progress.done:,} of {progress.total:,} rows"),
    )
    options = {"cache_dir": str(folder / "cache")}
    # JSON is YAML.
    recipe_file = folder / "recipe.yaml"
    recipe_file.write_text(
        json.dumps(recipe | {"corpus": str(folder / "corpus"), "corpus_options": options}), encoding="utf-8"
    )
    size = sum(file.stat().st_size for file in (folder / "corpus").iterdir())
    start = time.perf_counter()
    anonymous, resident = _peaks(
        [sys.executable, "-c", _TRAIN, str(recipe_file), str(folder / "run")],
        folder / "log.txt",
        lambda held, seconds: report(f"training on {rows:,} rows: {held / MIB:,.0f} MiB, {seconds:.0f} s"),
    )
    seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return TrainingMemory(rows, size / MIB, anonymous / MIB, resident / MIB, seconds)


def _peaks(command: list[str], log: Path, report: Callable[[int, float], None]) -> tuple[int, int]:
    """Run a process and return the peaks of its anonymous and of its resident memory in bytes."""
    anonymous = resident = 0
    start = time.perf_counter()
    # Nothing is downloaded; a machine without network shall not be asked to wait for it.
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment) as process,
    ):
        try:
            while process.poll() is None:
                held = _memory_of(process.pid)
                anonymous = max(anonymous, held.get("RssAnon", 0))
                resident = max(resident, held.get("VmHWM", 0))
                report(anonymous, time.perf_counter() - start)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            process.kill()
    if process.returncode:
        written = log.read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"training failed with exit code {process.returncode}:\n{written}")
    return anonymous, resident


def _memory_of(process: int | str) -> dict[str, int]:
    """Return what Linux says about a process's memory, in bytes; nothing once it has ended, and on other systems."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {
        key: int(value.split()[0]) * 1024
        for key, _, value in (line.partition(":") for line in lines)
        if key in ("RssAnon", "VmHWM")
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "datasets", "pyarrow")}


__all__ = [
    "FRAMES",
    "LIMIT_MIB",
    "MOSEI_DIMS",
    "MOSEI_ROWS",
    "CorpusMemory",
    "TrainingMemory",
    "benchmark_corpus_memory",
    "format_corpus_memory",
    "made_corpus",
]
