"""Tables that are printed on a terminal."""

from typing import Any


def print_metrics(title: str, rows: dict[str, dict[str, Any]], with_std: bool = True) -> None:
    """Print a table of metrics, a row per split or run; each value is {"mean"} or {"mean", "std"}."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("")
    keys = [key for key, value in next(iter(rows.values())).items() if not isinstance(value["mean"], list)]
    for key in keys:
        table.add_column(key, justify="right")
    for name, row in rows.items():
        cells = [f"{row[key]['mean']:.4f}" for key in keys]
        if with_std and "std" in row[keys[0]]:
            cells = [f"{cell} ± {row[key]['std']:.4f}" for cell, key in zip(cells, keys, strict=True)]
        table.add_row(name, *cells)
    Console(soft_wrap=True, width=240).print(table)


__all__ = ["print_metrics"]
