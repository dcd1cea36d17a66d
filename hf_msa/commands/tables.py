"""Tables that are printed on a terminal."""

from typing import Any


def print_metrics(title: str, rows: dict[str, dict[str, Any]], with_std: bool = True) -> None:
    """Print a table of metrics, a row per split or run; what is no number is a dash, confusion matrices are left out.

    Args:
        title: Above the table.
        rows: Metrics by the name of the row; each value is `{"mean"}` or `{"mean", "std"}`.
        with_std: Whether to print the deviations that are there.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("")
    keys = [key for key, value in next(iter(rows.values())).items() if not isinstance(value["mean"], list)]
    for key in keys:
        table.add_column(key, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(_cell(row[key], with_std) for key in keys))
    Console(soft_wrap=True, width=240).print(table)


def _cell(value: dict[str, float], with_std: bool) -> str:
    mean, std = value["mean"], value.get("std")
    if mean != mean:
        return "-"
    return f"{mean:.4f} ± {std:.4f}" if with_std and std is not None else f"{mean:.4f}"


__all__ = ["print_metrics"]
