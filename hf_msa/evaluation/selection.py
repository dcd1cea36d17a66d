"""Which metric chooses the best epoch, the best seed and the best run of a sweep, all on the validation split."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from hf_msa.errors import RecipeError

from .metrics import metrics_for

Key = TypeVar("Key")


@dataclass(frozen=True)
class Selection:
    """The metric that makes one of several the best.

    Args:
        metric: Its name, as in `mosi_metrics`, `sims_metrics` or `classification_metrics`.
        greater_is_better: Whether high is good.
    """

    metric: str
    greater_is_better: bool

    @classmethod
    def of(cls, config: Any, metric_for_best_model: str | None, greater_is_better: bool | None = None) -> "Selection":
        """Return the selection that the arguments of a training ask for.

        The loss is Trainer's alone and chooses epochs only: what a saved checkpoint is measured by are metrics, so
        seeds and runs are then chosen by the `mae`, as with no argument at all. A classifier has no `mae`: where that
        or the loss is asked for, `accuracy` chooses.

        Args:
            config: The model's.
            metric_for_best_model: As in `TrainingArguments`, with or without "eval_"; None for the default.
            greater_is_better: As in `TrainingArguments`; None says yes to all but errors.

        Raises:
            RecipeError: For a metric that the model does not have, or a label range without metrics.
        """
        metric = (metric_for_best_model or "mae").removeprefix("eval_")
        try:
            scores = metrics_for(config.label_range, config.num_labels)([0, 0], [0, 0])
        except ValueError as error:
            raise RecipeError(str(error)) from error
        known = [key for key, value in scores.items() if np.isscalar(value)]
        if metric in ("mae", "loss"):
            default = cls("mae", False) if "mae" in known else cls("accuracy", True)
            # What was said of the loss holds for no metric; nor what was said of an error for an accuracy.
            given = greater_is_better is not None and metric == default.metric
            return cls(metric, bool(greater_is_better)) if given else default
        if metric not in known:
            raise RecipeError(f"metric_for_best_model: expected loss, {', '.join(known)}, got {metric!r}")
        return cls(metric, greater_is_better is None or greater_is_better)

    def best(self, values: Mapping[Key, float]) -> Key:
        """Return the key of the best value, the first of equals; NaN is the worst there is.

        Args:
            values: The metric on the validation split, by seed or by name; at least one.
        """
        sign = 1 if self.greater_is_better else -1
        return max(values, key=lambda key: (not math.isnan(values[key]), sign * values[key]))


__all__ = ["Selection"]
