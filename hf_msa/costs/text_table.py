"""A table as lines of plain text."""

import io
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def table_lines(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table: a title in front, figures flush right.

    Args:
        headings: One per column, the first empty.
        rows: Cells, as many as there are headings.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=120).print(table)
    return [line.rstrip() for line in text.getvalue().strip("\n").splitlines()]


__all__ = ["table_lines"]
