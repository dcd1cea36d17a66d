"""What the Markdown tables of all results share: how a metric is called, and how a number over seeds is written."""

from collections.abc import Container, Iterable, Mapping, Sequence

import numpy as np

# In the order of the columns.
METRIC_TITLES = {
    "mae": "MAE",
    "corr": "corr",
    "acc_2_non0": "Acc-2 non0",
    "f1_non0": "F1 non0",
    "acc_2_has0": "Acc-2 has0",
    "f1_has0": "F1 has0",
    "acc_2": "Acc-2",
    "acc_3": "Acc-3",
    "acc_5": "Acc-5",
    "acc_7": "Acc-7",
    "f1": "F1",
    "accuracy": "accuracy",
    "f1_weighted": "F1 weighted",
    "f1_macro": "F1 macro",
}


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    Args:
        headings: One per column.
        rows: As many cells each.
    """
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def shown_metrics(metrics: Container[str]) -> list[str]:
    """Return the metrics that have a column, in the order of the columns.

    Args:
        metrics: Whatever was measured, by name.
    """
    return [key for key in METRIC_TITLES if key in metrics]


def mean_and_std(value: Mapping[str, float | None], num_seeds: int) -> str:
    """Return "0.710 ± 0.010", without a deviation for a single seed, and "-" for what is no number.

    Args:
        value: `{"mean", "std"}`, where None is JSON's NaN.
        num_seeds: How many seeds they are over.
    """
    mean, std = value["mean"], value["std"]
    if mean is None or mean != mean:
        return "-"
    return f"{mean:.3f}" if num_seeds == 1 else f"{mean:.3f} ± {std or 0.0:.3f}"


def spread(values: Sequence[float]) -> str:
    """Return mean and deviation of the values that are numbers, "-" where none is.

    Args:
        values: One per seed.
    """
    known = np.asarray([value for value in values if value == value])
    return f"{known.mean():.3f} ± {known.std():.3f}" if len(known) else "-"


__all__ = ["METRIC_TITLES", "markdown_table", "mean_and_std", "shown_metrics", "spread"]
