"""Progress bars of one line: for Trainer, which leaves it, and for rows that are measured."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback


class ProgressBar(TrainerCallback):
    """Show steps, time left and the latest validation error of one training run.

    Args:
        title: What is being trained.
        metric: Name of the evaluation metric to show, as Trainer logs it.
        console: Where to draw; None for standard error.
    """

    def __init__(self, title: str, metric: str = "eval_mae", console: Console | None = None) -> None:
        self.metric = metric
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console or Console(stderr=True),
        )
        self.task = self.bar.add_task(title, total=None, note="")

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start drawing."""
        self.bar.update(self.task, total=state.max_steps)
        self.bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance by what was done."""
        self.bar.update(self.task, completed=state.global_step)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        """Show the metric."""
        if self.metric in metrics:
            self.bar.update(self.task, note=f"valid MAE {metrics[self.metric]:.3f}")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop drawing; early stopping leaves the bar full, at the steps that were taken."""
        self.bar.update(self.task, total=state.global_step)
        self.bar.stop()


@contextlib.contextmanager
def count_rows(
    title: str | None, total: int, console: Console | None = None
) -> Iterator[Callable[[int], None] | None]:
    """Draw a bar of rows while something is measured; it leaves no line.

    Args:
        title: What is done; None draws nothing.
        total: Rows.
        console: Where to draw; None for standard error.

    Yields:
        What `predict_rows` calls with the number of rows done, or None.
    """
    if title is None:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console or Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
