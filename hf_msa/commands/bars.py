"""Progress bars of one line on standard error; they leave nothing behind on a terminal, and draw nothing elsewhere."""

import contextlib
from collections.abc import Iterator

from hf_msa.progress import Progress, Report, ignore


@contextlib.contextmanager
def progress_bars(shown: bool = True) -> Iterator[Report]:
    """Draw what long work reports, the latest task alone, while the block runs.

    Args:
        shown: Whether to draw at all.

    Yields:
        What the work reports to.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield ignore
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bars(*columns, console=console, transient=True, redirect_stdout=False) as bars:
        tasks: dict[str, TaskID] = {}

        def report(progress: Progress) -> None:
            if progress.task not in tasks:
                for older in tasks.values():
                    bars.update(older, visible=False)
                tasks[progress.task] = bars.add_task(progress.task, total=progress.total, note="")
            bars.update(
                tasks[progress.task],
                completed=progress.done,
                total=progress.total,
                note=progress.note,
                visible=True,
            )

        yield report


__all__ = ["progress_bars"]
