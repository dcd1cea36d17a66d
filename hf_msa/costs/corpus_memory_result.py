"""What training on a large corpus takes in memory, and how it is shown."""

import platform
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from .made_corpus import FRAMES, MOSEI_DIMS
from .measurement import MIB
from .text_table import table_lines


@dataclass(frozen=True)
class TrainingMemory:
    """The memory of one process that trained.

    Attributes:
        rows: Rows of its corpus, all splits.
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
        two_batches: The same on two batches per split, whose memory is the model's own.
        beyond_mib: What the whole corpus takes beyond two batches, anonymous memory.
        limit_mib: What it may take, 1.5 GB.
        model_type: Type of the model; its text model is small, with random weights.
        batch_size: Rows per training step.
        alignment: "word" or "none".
        steps: Training steps.
        seed: Seed of the corpus.
        versions: Versions of the libraries that read the corpus and train.
    """

    kind: ClassVar[str] = "corpus_memory"

    whole: TrainingMemory
    two_batches: TrainingMemory
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

    def to_text(self) -> str:
        """Return a table of both processes with their differences, and the verdict."""
        small, whole = self.two_batches, self.whole
        rows = (
            ("rows", ",d", small.rows, whole.rows),
            ("corpus as Parquet, MiB", ",.0f", small.corpus_mib, whole.corpus_mib),
            ("peak of anonymous memory, MiB", ",.0f", small.peak_anonymous_mib, whole.peak_anonymous_mib),
            ("peak of resident memory, MiB", ",.0f", small.peak_resident_mib, whole.peak_resident_mib),
            ("seconds", ",.0f", small.seconds, whole.seconds),
        )
        lines = [
            *table_lines(
                ("", "model's own", "whole corpus", "difference"),
                [(title, format(a, form), format(b, form), format(b - a, form)) for title, form, a, b in rows],
            ),
            f"training takes {self.beyond_mib * MIB / 1e9:.2f} GB beyond the model's own, "
            f"{'within' if self.within_limit else 'MORE THAN'} the limit of {self.limit_mib * MIB / 1e9:.1f} GB",
            "(anonymous memory; resident memory also counts mapped pages of files, which the kernel takes back at "
            "need)",
            f"{self.model_type}, {self.steps} steps of {self.batch_size} rows of "
            f"{FRAMES} x {MOSEI_DIMS['audio']} and {FRAMES} x {MOSEI_DIMS['visual']}, alignment {self.alignment!r}",
            f"{platform.system()}, {platform.machine()}, "
            + ", ".join(f"{name} {version}" for name, version in self.versions.items()),
        ]
        return "\n".join(lines)


__all__ = ["CorpusMemory", "TrainingMemory"]
