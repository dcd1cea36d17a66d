import json
import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from hf_msa.evaluation import (
    classification_metrics,
    metrics_for,
    mosi_metrics,
    round_metrics,
    sims_metrics,
)

# Inputs and outputs of MMSA's own functions (MetricsTop, train_mode="regression"), the outputs rounded as it does.
GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "mmsa_metrics.json").read_text(encoding="utf-8"))

MMSA_KEYS = {
    "MOSI": {
        "MAE": "mae",
        "Corr": "corr",
        "Has0_acc_2": "acc_2_has0",
        "Has0_F1_score": "f1_has0",
        "Non0_acc_2": "acc_2_non0",
        "Non0_F1_score": "f1_non0",
        "Mult_acc_5": "acc_5",
        "Mult_acc_7": "acc_7",
    },
    "SIMS": {
        "MAE": "mae",
        "Corr": "corr",
        "Mult_acc_2": "acc_2",
        "Mult_acc_3": "acc_3",
        "Mult_acc_5": "acc_5",
        "F1_score": "f1",
    },
}

REGRESSIONS = pytest.mark.parametrize("metrics", [mosi_metrics, sims_metrics])

# Eighths are exact in float32; they fall on every half and every integer that the bins turn on.
eighths = st.integers(-40, 40).map(lambda n: n / 8)
pairs = st.lists(st.tuples(eighths, eighths), min_size=1, max_size=40)
# The same examples in every run; scikit-learn takes milliseconds for each.
few = settings(max_examples=30, derandomize=True, deadline=None)


# ------------------------------------------------------------------------------------------------------ MMSA's numbers


@pytest.mark.parametrize("case", GOLDEN)
def test_metrics_equal_the_output_of_mmsa(case):
    golden = GOLDEN[case]
    metrics = {"MOSI": mosi_metrics, "SIMS": sims_metrics}[golden["dataset"]]
    ours = round_metrics(metrics(golden["preds"], golden["labels"]))
    assert set(golden["expected"]) == set(MMSA_KEYS[golden["dataset"]])
    for theirs, expected in golden["expected"].items():
        assert ours[MMSA_KEYS[golden["dataset"]][theirs]] == pytest.approx(expected, rel=0, abs=1e-9), theirs


@REGRESSIONS
def test_keys_come_in_the_promised_order_as_plain_floats(metrics):
    scores = metrics(np.float32([0.3, -0.4, 1.0]), np.float32([0.2, -1.0, 0.6]))
    promised = {
        mosi_metrics: ["mae", "corr", "acc_2_has0", "f1_has0", "acc_2_non0", "f1_non0", "acc_5", "acc_7"],
        sims_metrics: ["mae", "corr", "acc_2", "acc_3", "acc_5", "f1"],
    }
    assert list(scores) == promised[metrics]
    assert all(type(value) is float for value in scores.values())


def test_values_are_not_rounded_and_the_helper_rounds_to_four_decimals():
    scores = mosi_metrics([0.0, 0.0, 1.0], [0.0, 1.0, 1.0])
    assert scores["acc_7"] == 2 / 3
    rounded = round_metrics({**scores, "corr": math.nan, "confusion_matrix": [[1]]})
    assert rounded["acc_7"] == 0.6667
    assert math.isnan(rounded["corr"])
    assert rounded["confusion_matrix"] == [[1]]
    assert list(rounded)[:8] == list(scores)


@few
@given(pairs)
def test_mosi_metrics_equal_their_definition_written_with_scikit_learn(rows):
    predictions, labels = np.float32(rows).T
    scores = mosi_metrics(predictions, labels)
    assert scores["mae"] == pytest.approx(np.mean([abs(p - y) for p, y in rows]), abs=1e-6)
    assert scores["acc_2_has0"] == accuracy_score(labels >= 0, predictions >= 0)
    assert scores["f1_has0"] == pytest.approx(f1_score(labels >= 0, predictions >= 0, average="weighted"))
    for name, bound in (("acc_5", 2), ("acc_7", 3)):
        classes = [[round(max(-bound, min(bound, score))) for score in side] for side in (labels, predictions)]
        assert scores[name] == accuracy_score(*classes)
    kept = [(p > 0, y > 0) for p, y in rows if y != 0]
    if kept:
        kept_predictions, kept_labels = zip(*kept, strict=True)
        assert scores["acc_2_non0"] == accuracy_score(kept_labels, kept_predictions)
        assert scores["f1_non0"] == pytest.approx(f1_score(kept_labels, kept_predictions, average="weighted"))
    if len(set(predictions)) > 1 and len(set(labels)) > 1:
        assert scores["corr"] == pytest.approx(np.corrcoef(predictions, labels)[0, 1])


@few
@given(pairs)
def test_sims_metrics_equal_their_definition_written_with_scikit_learn(rows):
    # Fortieths: multiples of 1/40 around and on every bound, rounded to float32 as a corpus stores them.
    predictions, labels = np.clip(np.float32([[round(8 * p) / 40, round(8 * y) / 40] for p, y in rows]).T, -1, 1)
    scores = sims_metrics(predictions * 2, labels)

    def classes(values, bounds):
        return [sum(value > np.float32(bound) for bound in bounds) for value in values]

    predictions = np.clip(predictions * 2, -1, 1)
    assert scores["mae"] == pytest.approx(np.abs(predictions - labels).mean(dtype=np.float64), abs=1e-6)
    for name, bounds in (("acc_2", [0]), ("acc_3", [-0.1, 0.1]), ("acc_5", [-0.7, -0.1, 0.1, 0.7])):
        assert scores[name] == accuracy_score(classes(labels, bounds), classes(predictions, bounds))
    assert scores["f1"] == pytest.approx(f1_score(labels > 0, predictions > 0, average="weighted"))


# -------------------------------------------------------------------------------------------------------------- quirks


def test_mosi_mae_sees_predictions_outside_the_range_and_sims_mae_does_not():
    assert mosi_metrics([5.0, 0.0], [3.0, 0.0])["mae"] == 1.0
    assert sims_metrics([5.0, 0.0], [1.0, 0.0])["mae"] == 0.0


def test_mosi_correlation_sees_predictions_outside_the_range_and_sims_correlation_does_not():
    assert mosi_metrics([-9.0, 0.0, 1.0], [-1.0, 0.0, 1.0])["corr"] < 0.95
    assert sims_metrics([-9.0, 0.0, 1.0], [-1.0, 0.0, 1.0])["corr"] == pytest.approx(1.0)


def test_halves_round_to_even():
    assert mosi_metrics([0.5, 1.5, 2.5, -0.5], [0.0, 2.0, 2.0, 0.0])["acc_7"] == 1.0


def test_away_from_zero_bins_as_cmu_does_and_leaves_the_other_metrics_alone():
    predictions = [0.0, 0.01, 1.0, 1.01, 2.0, 2.01, -0.01, -1.0, -1.01, -2.0, -2.01, 9.0]
    labels = [0, 1, 1, 2, 2, 3, -1, -1, -2, -2, -3, 3]
    away = mosi_metrics(predictions, labels, acc_7_rounding="away_from_zero")
    rounded = mosi_metrics(predictions, labels)
    assert away.pop("acc_7") == 1.0
    assert rounded.pop("acc_7") == pytest.approx(6 / 12)
    assert away == rounded
    assert mosi_metrics([0.01], [0.0], acc_7_rounding="away_from_zero")["acc_7"] == 0.0


def test_five_classes_clip_before_they_round():
    scores = mosi_metrics([1.6, 3.0], [3.0, 2.0])
    assert scores["acc_5"] == 1.0
    assert scores["acc_7"] == 0.0


def test_a_prediction_of_zero_is_positive_for_has0_and_negative_for_non0():
    scores = mosi_metrics([0.0, 0.0], [1.0, -1.0])
    assert scores["acc_2_has0"] == 0.5
    assert scores["acc_2_non0"] == 0.5
    assert mosi_metrics([0.0], [1.0])["acc_2_has0"] == 1.0
    assert mosi_metrics([0.0], [1.0])["acc_2_non0"] == 0.0


def test_zero_is_negative_on_sims():
    assert sims_metrics([0.0, 0.0], [-1.0, 1.0])["acc_2"] == 0.5
    assert sims_metrics([0.0], [-1.0])["acc_2"] == 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_stored_tenth_lies_on_the_bound_in_either_precision(dtype):
    # In float64 a float32 0.1 is 0.1000000015, above the bound, and would be another class than 0.
    stored = np.float32([0.1, -0.1, 0.7, -0.7]).astype(dtype)
    assert sims_metrics(stored, [0.0, -0.2, 0.2, -1.0])["acc_5"] == 1.0


# --------------------------------------------------------------------------------------------------------- ill fortune


@REGRESSIONS
@pytest.mark.parametrize("constant", [0.1, 0.0, -1.0])
def test_correlation_of_constant_predictions_is_nan_without_a_warning(metrics, constant):
    labels = np.linspace(-1, 1, 11)
    assert math.isnan(metrics([constant] * 11, labels)["corr"])
    assert math.isnan(metrics(labels, [constant] * 11)["corr"])
    assert metrics([constant] * 11, labels)["mae"] > 0


@REGRESSIONS
def test_correlation_of_one_utterance_is_nan(metrics):
    assert math.isnan(metrics([0.5], [0.4])["corr"])


def test_non0_metrics_are_nan_where_every_label_is_zero():
    scores = mosi_metrics([0.3, -0.2, 0.1], [0.0, 0.0, 0.0])
    assert math.isnan(scores["acc_2_non0"])
    assert math.isnan(scores["f1_non0"])
    assert scores["acc_2_has0"] == pytest.approx(2 / 3)


def test_a_diverged_run_has_a_score_without_a_warning():
    scores = mosi_metrics([3e38, -3e38], [1.0, -1.0])
    assert scores["mae"] > 1e38
    assert scores["acc_7"] == 0.0
    assert mosi_metrics([3e38, 1.0], [-3e38, 1.0])["mae"] == math.inf


EVERY = pytest.mark.parametrize(
    "metrics", [mosi_metrics, sims_metrics, metrics_for(None, 3)], ids=["mosi", "sims", "classification"]
)


@EVERY
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_with_argument_and_row(metrics, bad):
    with pytest.raises(ValueError, match=r"predictions\[1\] is -?(nan|inf), expected a (finite number|class id)"):
        metrics([0, bad, 1], [0, 0, 1])
    with pytest.raises(ValueError, match=r"labels\[2\] is -?(nan|inf), expected a (finite number|class id)"):
        metrics([0, 0, 1], [0, 0, bad])


@REGRESSIONS
def test_a_number_too_large_for_float32_is_refused(metrics):
    with pytest.raises(ValueError, match=r"predictions\[0\] is inf"):
        metrics([1e300, 0.0], [1.0, 0.0])


@EVERY
def test_empty_input_is_refused(metrics):
    with pytest.raises(ValueError, match="predictions is empty"):
        metrics([], [])
    with pytest.raises(ValueError, match="labels is empty"):
        metrics([1], np.zeros((0, 1)))
    with pytest.raises(ValueError, match="predictions is empty"):
        metrics(np.zeros((0, 3)), [])


@EVERY
def test_unequal_lengths_are_refused_with_both_numbers(metrics):
    with pytest.raises(ValueError, match="got 3 predictions and 2 labels"):
        metrics([0, 0, 1], [0, 1])
    with pytest.raises(ValueError, match="got 1 predictions and 2 labels"):  # no broadcasting
        metrics([1], [0, 1])


@EVERY
@pytest.mark.parametrize("shape", [(), (1, 4), (4, 2), (2, 1, 2)])
def test_other_shapes_are_refused_with_the_argument(metrics, shape):
    with pytest.raises(ValueError, match=r"predictions must have shape \(N,\) or \(N, 1\)"):
        metrics(np.zeros(shape), [0, 0, 0, 1])
    with pytest.raises(ValueError, match=r"labels must have shape \(N,\) or \(N, 1\)"):
        metrics([0, 0, 0, 1], np.zeros(shape))


@EVERY
@pytest.mark.parametrize("bad", [["0", "1"], [None, 1], [[0], [1, 2]], [{}, {}], [1j, 2j]])
def test_what_is_not_a_number_is_refused_with_the_argument(metrics, bad):
    with pytest.raises(ValueError, match="predictions must"):
        metrics(bad, [0, 1])
    with pytest.raises(ValueError, match="labels must"):
        metrics([0, 1], bad)


def test_an_unknown_rounding_is_refused():
    with pytest.raises(ValueError, match=r"acc_7_rounding must be .* got 'up'"):
        mosi_metrics([1.0], [1.0], acc_7_rounding="up")


# ------------------------------------------------------------------------------------------------------ kinds of input


@REGRESSIONS
@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        lambda values: np.array(values),
        lambda values: np.array(values, dtype=np.float16),
        lambda values: np.array(values)[:, None],
        lambda values: np.array(values)[:, None, None],
        lambda values: torch.tensor(values),
        lambda values: torch.tensor(values, dtype=torch.float64)[:, None],
        lambda values: torch.tensor(values, dtype=torch.bfloat16),
        lambda values: torch.tensor(values, requires_grad=True),
        lambda values: list(torch.tensor(values)),
    ],
    ids=["list", "tuple", "array", "float16", "N1", "N11", "tensor", "float64_N1", "bfloat16", "grad", "tensor_list"],
)
def test_lists_arrays_and_tensors_give_the_same_scores(metrics, convert):
    predictions, labels = [0.5, -0.25, 1.0, 0.125, 0.75], [0.25, -1.0, 1.0, -0.5, 0.0]
    assert metrics(convert(predictions), convert(labels)) == metrics(predictions, labels)


def test_integer_labels_are_scores_too():
    assert mosi_metrics([1.0, -2.0], torch.tensor([1, -2]))["mae"] == 0.0


def test_the_arguments_are_left_as_they_were():
    predictions, labels = np.float32([2.0, -2.0]), np.float32([3.0, -3.0])
    sims_metrics(predictions, labels)
    assert predictions.tolist() == [2.0, -2.0]
    assert labels.tolist() == [3.0, -3.0]


def test_importing_the_metrics_does_not_import_torch_or_scikit_learn():
    # By path, so that the parent package has no say.
    code = (
        "import importlib.util, sys; spec = importlib.util.spec_from_file_location('metrics', sys.argv[1]); "
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); "
        "module.mosi_metrics([1.0, 2.0], [1.0, 3.0]); sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    path = sys.modules[mosi_metrics.__module__].__file__
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 0


# ------------------------------------------------------------------------------------------------------ classification


@few
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_classification_metrics_equal_scikit_learn(rows):
    predictions, labels = zip(*rows, strict=True)
    scores = classification_metrics(predictions, labels, 5)
    assert list(scores) == ["accuracy", "f1_weighted", "f1_macro", "confusion_matrix"]
    assert scores["accuracy"] == accuracy_score(labels, predictions)
    assert scores["f1_weighted"] == pytest.approx(f1_score(labels, predictions, average="weighted"))
    assert scores["f1_macro"] == pytest.approx(f1_score(labels, predictions, average="macro"))
    assert scores["confusion_matrix"] == confusion_matrix(labels, predictions, labels=range(5)).tolist()


def test_rows_of_the_confusion_matrix_are_true_and_columns_predicted():
    assert classification_metrics([2, 2, 1], [0, 2, 1], 3)["confusion_matrix"] == [[0, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_classification_scores_are_plain_python_that_json_can_write():
    scores = classification_metrics(np.array([0, 1]), torch.tensor([0, 1]), 2)
    assert json.loads(json.dumps(scores)) == scores
    assert all(type(scores[key]) is float for key in ("accuracy", "f1_weighted", "f1_macro"))


@pytest.mark.parametrize("convert", [list, np.array, torch.tensor])
def test_logits_and_the_ids_they_stand_for_score_the_same(convert):
    logits = [[0.1, 2.0, -1.0], [3.0, 0.0, 0.0], [-5.0, -4.0, -3.0], [1.0, 1.0, 0.0]]
    labels = [1, 2, 2, 0]
    expected = classification_metrics([1, 0, 2, 0], labels, 3)
    assert classification_metrics(convert(logits), convert(labels), 3) == expected


def test_class_ids_may_be_stored_as_floats_or_in_a_column():
    expected = classification_metrics([1, 0, 2], [1, 2, 2], 3)
    assert classification_metrics(np.float32([[1], [0], [2]]), torch.tensor([1.0, 2.0, 2.0]), 3) == expected


def test_ids_that_are_no_class_are_refused_with_argument_and_row():
    with pytest.raises(ValueError, match=r"labels\[1\] is -100, expected a class id from 0 to 2"):
        classification_metrics([0, 1], [0, -100], 3)
    with pytest.raises(ValueError, match=r"predictions\[0\] is 3, expected a class id from 0 to 2"):
        classification_metrics([3, 1], [0, 1], 3)
    with pytest.raises(ValueError, match=r"labels\[0\] is 0.5, expected a class id"):
        classification_metrics([0, 1], [0.5, 1.0], 3)


def test_logits_with_nan_or_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"predictions\[1\] holds NaN, expected 2 logits"):
        classification_metrics([[0.0, 1.0], [math.nan, 1.0]], [0, 1], 2)
    with pytest.raises(ValueError, match=r"or logits \(N, 4\), got \(2, 2\)"):
        classification_metrics([[0.0, 1.0], [0.0, 1.0]], [0, 1], 4)


def test_one_hot_labels_are_refused():
    with pytest.raises(ValueError, match="labels must have shape"):
        classification_metrics([0, 1], [[1, 0], [0, 1]], 2)


@pytest.mark.parametrize("num_labels", [1, 0, -3, 2.0, True, None])
def test_a_number_of_classes_below_two_is_refused(num_labels):
    with pytest.raises(ValueError, match="num_labels must be an integer of at least 2"):
        classification_metrics([0], [0], num_labels)


# ------------------------------------------------------------------------------------------------------------ choosing


def test_metrics_for_chooses_by_label_range_and_number_of_labels():
    assert metrics_for((-3, 3), 1) is mosi_metrics
    assert metrics_for([-3.0, 3.0], 1) is mosi_metrics
    assert metrics_for((-1, 1), 1) is sims_metrics
    classify = metrics_for(None, 3)
    assert classify([0, 1, 2], [0, 1, 1]) == classification_metrics([0, 1, 2], [0, 1, 1], 3)
    assert pickle.loads(pickle.dumps(classify))([0], [0]) == classify([0], [0])


@pytest.mark.parametrize("label_range", [None, (0, 5), (-3, 1), (-3,), (1, -1)])
def test_metrics_for_refuses_an_unknown_label_range(label_range):
    with pytest.raises(ValueError, match=r"label_range must be \(-3, 3\) .* or \(-1, 1\)"):
        metrics_for(label_range, 1)


@pytest.mark.parametrize("num_labels", [0, -1, 1.5, None])
def test_metrics_for_refuses_an_impossible_number_of_labels(num_labels):
    with pytest.raises(ValueError, match="num_labels must be an integer of at least 1"):
        metrics_for((-3, 3), num_labels)
