"""What `load_corpus` writes beside the rows: the labels' range, the source, and what was mended.

It stands as JSON in `info.description` of every split; that of another dataset says nothing of the kind.
"""

import json
from typing import Any

from datasets import Dataset


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return what is known of the corpus that a dataset was loaded from; empty when nothing is.

    Args:
        dataset: A split, perhaps some rows of it.
    """
    try:
        description = json.loads(dataset.info.description or "{}")
    except ValueError:
        return {}
    return description if isinstance(description, dict) else {}


def label_range_of(dataset: Dataset) -> tuple[float, float] | None:
    """Return the lowest and the highest label as the corpus states it, None when it does not.

    Args:
        dataset: As above.
    """
    stated = describe_dataset(dataset).get("label_range")
    return None if stated is None else (float(stated[0]), float(stated[1]))


def repairs_of(dataset: Dataset) -> dict[str, int]:
    """Return how often what was mended while the corpus was read.

    Args:
        dataset: As above.
    """
    description = describe_dataset(dataset)
    # Older files call it `mended`.
    return dict(description.get("repairs", description.get("mended", {})))


__all__ = ["describe_dataset", "label_range_of", "repairs_of"]
