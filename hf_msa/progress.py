"""How long work says how far it is; whoever asked for it draws a bar, prints a line, or does nothing."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a task is.

    Args:
        task: What is being done, in words; another text is another task.
        done: Steps, rows or files that are done.
        total: How many there will be; None when unknown.
        note: What else is worth showing, such as the latest validation error.
    """

    task: str
    done: int = 0
    total: int | None = None
    note: str = ""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left of the task."""
        return self.total is not None and self.done >= self.total


Report = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Report to nobody."""


__all__ = ["Progress", "Report", "ignore"]
