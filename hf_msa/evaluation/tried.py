"""The configurations that were tried before a recipe was settled, with what each reached on the validation split."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from .markdown import markdown_table


@dataclass(frozen=True)
class Trial:
    """One configuration.

    Args:
        name: What it is about, in words.
        settings: What differs from the first, as after `--set`; empty for the first.
        seeds: Those that were trained.
        valid_mae: Mean absolute error on the validation split, the mean over the seeds.
    """

    name: str
    settings: str
    seeds: tuple[int, ...]
    valid_mae: float


@dataclass(frozen=True)
class Tried:
    """All configurations that were tried.

    Args:
        trials: In the order in which they were tried.
    """

    kind: ClassVar[str] = "tried"
    trials: tuple[Trial, ...]

    @classmethod
    def from_dict(cls, content: Sequence[dict[str, Any]]) -> "Tried":
        """Return what `to_dict` gave.

        Args:
            content: A list: the one kind of result whose file holds one.
        """
        entries = [(entry["name"], entry["set"], entry["seeds"], entry["valid_mae"]) for entry in content]
        return cls(tuple(Trial(name, settings, tuple(seeds), mae) for name, settings, seeds, mae in entries))

    def to_dict(self) -> list[dict[str, Any]]:
        """Return plain values, ready for JSON."""
        entries = [asdict(trial) for trial in self.trials]
        return [{"set" if key == "settings" else key: value for key, value in entry.items()} for entry in entries]

    def to_markdown(self, *others: "Tried") -> str:
        """Return a table, a row per configuration; those of the others stand in tables below.

        Args:
            others: Further ones.
        """
        headings = ("tried", "what was set", "seeds", "valid MAE")
        rows = [
            (
                trial.name,
                f"`{trial.settings}`" if trial.settings else "-",
                ", ".join(map(str, trial.seeds)),
                f"{trial.valid_mae:.3f}",
            )
            for trial in self.trials
        ]
        return "\n\n".join([markdown_table(headings, rows), *(other.to_markdown() for other in others)])


__all__ = ["Trial", "Tried"]
