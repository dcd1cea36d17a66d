"""One answer to which metric chooses an epoch, a seed or a run, and to which of them is the best."""

import math
from types import SimpleNamespace

import pytest

from hf_msa.errors import RecipeError
from hf_msa.evaluation.selection import Selection

MOSI = SimpleNamespace(label_range=(-3, 3), num_labels=1)
CLASSES = SimpleNamespace(label_range=None, num_labels=3)


@pytest.mark.parametrize(
    ("config", "metric", "greater_is_better", "expected"),
    [
        (MOSI, None, None, ("mae", False)),
        (MOSI, "eval_mae", None, ("mae", False)),
        (MOSI, "corr", None, ("corr", True)),
        (MOSI, "eval_acc_7", True, ("acc_7", True)),
        (MOSI, "corr", False, ("corr", False)),
        (MOSI, "mae", True, ("mae", True)),
        (MOSI, "loss", False, ("mae", False)),
        (MOSI, "eval_loss", True, ("mae", False)),
        (CLASSES, None, None, ("accuracy", True)),
        (CLASSES, "mae", False, ("accuracy", True)),
        (CLASSES, "loss", False, ("accuracy", True)),
        (CLASSES, "f1_macro", None, ("f1_macro", True)),
    ],
)
def test_the_metric_is_the_one_asked_for_or_the_one_that_the_model_has(config, metric, greater_is_better, expected):
    assert Selection.of(config, metric, greater_is_better) == Selection(*expected)


@pytest.mark.parametrize(("config", "metric"), [(MOSI, "accuracy"), (CLASSES, "acc_7"), (CLASSES, "confusion_matrix")])
def test_a_metric_that_the_model_does_not_have_is_refused_with_those_it_has(config, metric):
    known = "mae, corr, acc_2_has0" if config is MOSI else "accuracy, f1_weighted, f1_macro"
    with pytest.raises(RecipeError, match=f"metric_for_best_model: expected loss, {known}.*, got '{metric}'"):
        Selection.of(config, metric)


def test_a_label_range_without_metrics_is_a_users_mistake():
    with pytest.raises(RecipeError, match=r"label_range must be \(-3, 3\)"):
        Selection.of(SimpleNamespace(label_range=(-2, 2), num_labels=1), None)


def test_the_best_is_the_lowest_error_or_the_highest_score_and_the_first_of_equals():
    values = {"a": 0.9, "b": 0.7, "c": 0.7, "d": 0.9}
    assert Selection("mae", False).best(values) == "b"
    assert Selection("corr", True).best(values) == "a"


@pytest.mark.parametrize("greater_is_better", [False, True])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_is_never_the_best_wherever_it_stands(greater_is_better, place):
    values = [0.5, 0.5]
    values.insert(place, math.nan)
    best = Selection("mae", greater_is_better).best(dict(enumerate(values)))
    assert best == (1 if place == 0 else 0)


def test_an_infinite_error_is_still_better_than_none():
    selection = Selection("mae", False)
    assert selection.best({1: math.nan, 2: math.inf}) == 2
    assert selection.best({1: math.nan, 2: math.nan}) == 1
