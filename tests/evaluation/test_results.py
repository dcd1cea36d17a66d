"""results.json: MMSA's mean and deviation, strict JSON, and every damaged file refused by name."""

import dataclasses
import json
import math

import numpy as np
import pytest

from hf_msa.evaluation.results import (
    Results,
    SeedResult,
    best_seed,
    installed_versions,
    read_results,
    strict_json,
    this_machine,
)
from hf_msa.evaluation.selection import Selection


def one(seed, mae=1.0, corr=0.5, **more):
    metrics = {"mae": mae, "corr": corr, **more}
    return SeedResult(seed, f"seeds/{seed}", 2.0, 3.0, 1.5, {split: dict(metrics) for split in ("valid", "test")})


def results(*runs, **changes):
    fields = {
        "name": "tiny",
        "recipe": {"corpus": "sample"},
        "corpus": {"sha256": "0" * 64},
        "model": {"config": {}},
        "versions": {"python": "3"},
        "machine": {"cores": 2},
        "seconds": 3.0,
        "best_seed": runs[0].seed,
        "runs": runs,
        "command": "hf-msa train tiny.yaml",
    }
    return Results(**fields | changes)


def strict(text):
    """Read JSON as most languages do."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_results_come_back_from_their_file(tmp_path):
    whole = results(one(1, 1.23456789), one(2, 1 / 3), best_seed=2)
    whole.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert read_results(tmp_path) == whole
    assert read_results(str(tmp_path / "results.json")) == whole


def test_the_summary_is_rounded_per_seed_as_mmsa_does_it():
    values = [0.73144, 0.73146, 0.98765]
    found = results(*(one(seed, value) for seed, value in enumerate(values))).summary()["test"]["mae"]
    rounded = np.array([0.7314, 0.7315, 0.9877])
    assert found == {"mean": rounded.mean(), "std": rounded.std(ddof=0)}
    assert found["std"] != pytest.approx(rounded.std(ddof=1))
    assert found["mean"] != pytest.approx(np.mean(values), abs=1e-6)


def test_a_single_seed_has_no_deviation():
    assert results(one(1, 0.5)).mean_and_std("valid", "mae") == {"mean": 0.5, "std": 0.0}


def test_the_summary_leaves_confusion_matrices_out():
    assert set(results(one(1, confusion_matrix=[[1, 0], [0, 1]])).summary()["test"]) == {"mae", "corr"}


def test_a_correlation_of_constants_is_null_in_the_file_and_nan_again(tmp_path):
    results(one(1, corr=math.nan), one(2)).write(tmp_path)
    content = strict((tmp_path / "results.json").read_text())
    assert content["runs"][0]["metrics"]["test"]["corr"] is None
    assert content["summary"]["test"]["corr"] == {"mean": None, "std": None}
    read = read_results(tmp_path)
    assert math.isnan(read.runs[0].metrics["test"]["corr"])
    assert read.runs[1].metrics["test"]["corr"] == 0.5
    assert math.isnan(read.summary()["test"]["corr"]["mean"])
    assert read.summary()["test"]["mae"] == {"mean": 1.0, "std": 0.0}
    read.write(tmp_path)
    assert strict((tmp_path / "results.json").read_text()) == content


def test_a_file_of_an_older_version_with_nan_reads_as_well(tmp_path):
    content = json.dumps(dataclasses.asdict(results(one(1, corr=math.nan))) | {"summary": {}})
    assert "NaN" in content
    (tmp_path / "results.json").write_text(content)
    assert math.isnan(read_results(tmp_path).runs[0].metrics["test"]["corr"])


def test_an_infinite_error_has_a_summary_without_a_warning(tmp_path):
    diverged = results(one(1, mae=math.inf), one(2))
    assert diverged.summary()["test"]["mae"]["mean"] == math.inf
    diverged.write(tmp_path)
    strict((tmp_path / "results.json").read_text())


def test_strict_json_changes_only_what_is_not_finite():
    value = {"a": [1.5, math.nan, (math.inf, "NaN", None, True)], "b": np.float64("nan"), "c": 3}
    assert strict_json(value) == {"a": [1.5, None, [None, "NaN", None, True]], "b": None, "c": 3}


def test_an_older_file_stays_when_the_new_one_cannot_be_written(tmp_path):
    results(one(1)).write(tmp_path)
    before = (tmp_path / "results.json").read_text()
    with pytest.raises(TypeError):
        results(one(1), machine={"cores": object()}).write(tmp_path)
    assert (tmp_path / "results.json").read_text() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: "", "another file"),
        (lambda content: "{", "another file"),
        (lambda content: "[]", "another file"),
        (lambda content: "{}", "another file"),
        (lambda content: json.dumps(content | {"runs": []}), "no runs"),
        (lambda content: json.dumps(content | {"runs": [1]}), "another file"),
        (lambda content: json.dumps(content | {"runs": [{"seed": 1}]}), "another file"),
        (lambda content: json.dumps(content | {"runs": [content["runs"][0] | {"metrics": [1]}]}), "another file"),
        (lambda content: json.dumps(content | {"mood": "good"}), "mood"),
        (lambda content: json.dumps({key: content[key] for key in content if key != "recipe"}), "recipe"),
        (lambda content: "\xff", "another file"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, change, message):
    results(one(1)).write(tmp_path)
    path = tmp_path / "results.json"
    path.write_text(change(json.loads(path.read_text())), encoding="latin-1")
    with pytest.raises(ValueError, match=rf"results\.json: expected the results of hf-msa train, got .*{message}"):
        read_results(tmp_path)


def test_a_folder_without_results_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"results\.json: expected the results of hf-msa train, got No such file"):
        read_results(tmp_path)
    with pytest.raises(ValueError, match="nowhere: expected the results of hf-msa train, got No such file"):
        read_results(tmp_path / "nowhere")


def test_the_best_seed_is_chosen_on_the_validation_split():
    runs = [one(1, 0.9, corr=0.2), one(2, 0.7, corr=math.nan), one(3, 0.8, corr=0.3)]
    runs[0].metrics["test"]["mae"] = 0.0  # which nobody looks at
    assert best_seed(runs, Selection("mae", greater_is_better=False)) == 2
    assert best_seed(runs, Selection("corr", greater_is_better=True)) == 3


def test_versions_and_machine_are_plain_values():
    assert all(isinstance(value, str) for value in installed_versions().values())
    assert strict(json.dumps(this_machine())) == this_machine()
