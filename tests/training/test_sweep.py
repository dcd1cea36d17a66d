"""A sweep trains every combination once and reports all of them, the best by validation."""

import json
import math
import shutil
from dataclasses import replace

import pytest
from tiny_run import write_corpus, write_recipe, write_text_model
from typer.testing import CliRunner

from hf_msa.cli import app
from hf_msa.evaluation.results import read_results
from hf_msa.hub.card import fill_card
from hf_msa.training import sweep as sweep_module
from hf_msa.training.recipe import first_seeds
from hf_msa.training.sweep import combination_name, read_grid, sweep_recipe

GRID = ["model.use_gate=true,false", "learning_rate=1e-2"]
NAMES = ["use_gate=true,learning_rate=0.01", "use_gate=false,learning_rate=0.01"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    text_model = write_text_model(folder / "text", num_hidden_layers=1)
    write_recipe(folder / "tiny.yaml", text_model, write_corpus(folder / "corpus.pkl"), seeds=[3, 4])
    return folder


@pytest.fixture(scope="module")
def swept(place):
    options = [part for entry in GRID for part in ("--grid", entry)]
    command = ["sweep", str(place / "tiny.yaml"), *options, "--seeds", "1", "--output", str(place / "out"), "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_every_combination_is_a_run_and_stands_in_the_file(place, swept):
    assert json.loads((place / "out" / "sweep.json").read_text()) == swept
    assert [run["name"] for run in swept["runs"]] == NAMES
    for run in swept["runs"]:
        results = read_results(place / "out" / run["name"])
        assert results.recipe["model"]["use_gate"] == run["set"]["model.use_gate"]
        assert run["seeds"] == results.seeds == [3]
        assert run["test"] == results.summary()["test"]
    assert str(place) not in json.dumps(swept)


def test_the_best_is_chosen_by_validation_alone(swept):
    best = min(swept["runs"], key=lambda run: run["valid"]["mae"]["mean"])
    assert (swept["metric"], swept["best"]) == ("mae", best["name"])


def test_finished_runs_are_not_trained_again(place, swept, monkeypatch):
    trained = []
    monkeypatch.setattr(sweep_module, "train_recipe", lambda recipe, output, **_: trained.append(output.name))
    again = sweep_recipe(place / "tiny.yaml", GRID, output=place / "out", seeds=1, command=swept["command"])
    assert again.to_dict() == swept
    assert (
        sweep_recipe(
            place / "tiny.yaml",
            ["model.use_gate=true,false", "learning_rate=1e-2,1e-3"],
            output=place / "out",
            seeds=1,
        )
        is None
    )
    assert trained == ["use_gate=true,learning_rate=0.001", "use_gate=false,learning_rate=0.001"]


def test_a_folder_with_runs_of_another_recipe_is_refused(place, swept):
    with pytest.raises(ValueError, match=r"output: expected a run of this recipe in .*, got another seeds"):
        sweep_recipe(place / "tiny.yaml", GRID, output=place / "out", seeds=2)


def test_a_card_shows_the_sweep(place, swept):
    card = fill_card("<!-- sweep: sweep.json -->\n<!-- end -->\n", place / "out")
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert "`model.use_gate`" in rows[0]
    best = next(run for run in swept["runs"] if run["name"] == swept["best"])
    assert [row.startswith("| **") for row in rows[2:]] == [run is best for run in swept["runs"]]
    assert f"{best['valid']['mae']['mean']:.3f}**" in card
    assert f"{swept['runs'][0]['trainable_parameters']:,}" in card


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (["model.use_gate"], "grid: expected key=value,value, got 'model.use_gate'"),
        (["model.use_gate="], "grid: expected key=value,value"),
        (["model.use_gate=true,true"], "grid: expected different values"),
        (["lora.r=1", "lora.r=2"], "grid: expected every key once"),
        (["lora.r=[1"], "grid: expected YAML values"),
        (["lora.rank=1,2"], "unknown key 'rank' in lora"),
    ],
)
def test_a_grid_that_is_none_ends_with_a_clear_line(grid, message, place):
    options = [part for entry in grid for part in ("--grid", entry)]
    done = CliRunner().invoke(app, ["sweep", str(place / "tiny.yaml"), *options, "--output", str(place / "no")])
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (place / "no").exists()


def test_values_of_a_grid_may_be_lists_and_names_stay_folders():
    assert read_grid(["model.fusion_layers=[29],[23,29]"]) == {"model.fusion_layers": [[29], [23, 29]]}
    assert (
        combination_name({"model.fusion_layers": [23, 29], "text_model": "a/b"})
        == "fusion_layers=23-29,text_model=a-b"
    )
    assert first_seeds([5], 3) == [5, 6, 7]


def test_a_run_whose_metric_is_no_number_is_never_the_best(place, swept, tmp_path, monkeypatch):
    output = shutil.copytree(place / "out", tmp_path / "out")
    finished = sweep_module._finished

    def spoil(names):
        def spoiled(folder, plan):
            results = finished(folder, plan)
            if folder.name not in names:
                return results
            (run,) = results.runs
            metrics = run.metrics | {"valid": run.metrics["valid"] | {"mae": math.nan}}
            return replace(results, runs=(replace(run, metrics=metrics),))

        monkeypatch.setattr(sweep_module, "_finished", spoiled)
        return sweep_recipe(place / "tiny.yaml", GRID, output=output, seeds=1)

    (other,) = {*NAMES} - {swept["best"]}
    assert spoil([swept["best"]]).best == other
    nobody = spoil(NAMES)
    assert nobody.best is None
    assert nobody.to_dict()["runs"][0]["valid"]["mae"]["mean"] is None
