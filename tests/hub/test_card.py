"""Tables of a card come from the files that runs wrote, and nothing else in the card changes."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hf_msa.cli import app
from hf_msa.evaluation.results import Results, SeedResult
from hf_msa.hub.card import comparison_table, fill_card, results_table, robustness_table, tried_table

CARDS = Path(__file__).parents[2] / "modeling_cards"
CARD = "# A model\n\n<!-- results: run.json -->\nold | 0.1\n<!-- end -->\n\nThe end, 0.5.\n"


def run(name="all three", maes=(0.75, 0.77)):
    return Results(
        name=name,
        recipe={},
        corpus={"name": "composite/aligned_50.pkl", "sha256": "ab" * 32, "rows": {"test": 686}, "mended": {}},
        model={"text_model": "a-text-model", "trainable_parameters": 1234567},
        versions={"torch": "2.13.0", "transformers": "5.23.0"},
        machine={"accelerator": None, "processor": "x86_64", "cores": 2},
        seconds=1260.0,
        best_seed=1111,
        runs=tuple(
            SeedResult(1111 + i, f"seeds/{1111 + i}", 3, 8, 60.0, {"test": {"mae": mae, "corr": 0.7, "acc_7": 0.4}})
            for i, mae in enumerate(maes)
        ),
        command="hf-msa train recipe.yaml",
    )


def test_a_run_is_a_row_of_mean_and_deviation_with_the_command_that_made_it():
    lines = results_table([run(), run("text only", (0.8,))]).splitlines()
    assert lines[0] == "| run | seeds | MAE | corr | Acc-7 |"
    assert lines[2] == "| all three | 2 | 0.760 ± 0.010 | 0.700 ± 0.000 | 0.400 ± 0.000 |"
    assert lines[3].startswith("| text only | 1 | 0.800 |")
    assert "Test split of `composite/aligned_50.pkl`, 686 utterances" in lines[5]
    assert (
        "`hf-msa train recipe.yaml`; a-text-model, 1,234,567 trainable parameters, seeds 1111, 1112; 21 minutes"
        in lines[6]
    )


def test_runs_on_different_corpora_never_share_a_table():
    other = replace(run(), corpus=run().corpus | {"sha256": "cd" * 32, "name": "mosi"})
    with pytest.raises(ValueError, match=r"expected one corpus, got composite/aligned_50.pkl, mosi"):
        results_table([run(), other])


def test_only_what_stands_between_the_marks_is_replaced(tmp_path):
    run().write(tmp_path)
    (tmp_path / "results.json").rename(tmp_path / "run.json")
    filled = fill_card(CARD, tmp_path)
    assert filled.startswith("# A model\n\n<!-- results: run.json -->\n| run |")
    assert filled.endswith("<!-- end -->\n\nThe end, 0.5.\n")
    assert "old" not in filled
    assert fill_card(filled, tmp_path) == filled


def test_a_comparison_becomes_a_sentence_and_trials_a_table():
    gain = {"difference": 0.0412, "low": 0.0201, "high": 0.0623, "confidence": 0.95}
    found = comparison_table(
        {"error": "mae", "names": ["text", "all"], "split": "test", "seeds": [5, 4], "gain": gain, "metrics": []}
    )
    assert found.startswith("MAE of text minus all on test: +0.041, 95% interval +0.020 to +0.062")
    rows = tried_table([{"name": "a", "set": "", "seeds": [1], "valid_mae": 0.75}]).splitlines()
    assert rows[2] == "| a | - | 1 | 0.750 |"


def test_several_comparisons_become_a_list(tmp_path):
    gain = {"difference": 0.0412, "low": 0.0201, "high": 0.0623, "confidence": 0.95}
    found = {"error": "mae", "names": ["text", "all"], "split": "test", "seeds": [5, 4], "gain": gain}
    (tmp_path / "a.json").write_text(json.dumps(found))
    one, two = (
        fill_card(f"<!-- comparison: {names} -->\n<!-- end -->", tmp_path) for names in ("a.json", "a.json a.json")
    )
    assert [line.startswith("MAE of text") for line in one.splitlines()] == [False, True, False]
    assert [line.startswith("- MAE of text") for line in two.splitlines()] == [False, True, True, False]


def test_robustness_becomes_a_row_per_run_and_differing_settings_no_table():
    rise = {"difference": 0.1, "low": 0.05, "high": 0.15}
    run = {
        "name": "both",
        "split": "test",
        "stream": "visual",
        "seeds": [1, 2],
        "error": 0.75,
        "rises": [{"strength": 2.0, "rise": rise}],
        "gates": [{"rank_correlation": -0.5, "falling": 0.8}, {"rank_correlation": -0.7, "falling": 0.9}],
        "spaces": [],
    }
    lines = robustness_table([run, run | {"name": "concat", "gates": []}]).splitlines()
    heads = "run | seeds | error | rise at 2 sd | gate response | rows that turn away | PSC | PSC, turned at will"
    assert lines[0] == f"| {heads} |"
    gates = "-0.600 ± 0.100 | 0.850 ± 0.050"
    assert lines[2] == f"| both | 2 | 0.750 | +0.100 (+0.050 to +0.150) | {gates} | - | - |"
    assert lines[3].split(" | ")[4] == "-"
    with pytest.raises(ValueError, match="expected the same stream, split and strengths"):
        robustness_table([run, run | {"stream": "audio"}])


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("# nothing\n", "expected a place for a table"),
        (CARD, r"run\.json: expected the results of hf-msa train"),
        ("<!-- tried: none.json -->\n<!-- end -->\n", r"none\.json: expected JSON that hf-msa wrote"),
    ],
)
def test_a_card_without_a_place_or_a_file_is_an_error_that_names_it(tmp_path, card, message):
    with pytest.raises(ValueError, match=message):
        fill_card(card, tmp_path)


def test_the_command_writes_a_card_and_can_check_it(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "tried.json").write_text(
        json.dumps([{"name": "a", "set": "", "seeds": [1], "valid_mae": 1}])
    )
    card = tmp_path / "card.md"
    card.write_text("<!-- tried: tried.json -->\nold\n<!-- end -->\n")
    outdated = CliRunner().invoke(app, ["card", str(card), "--check"])
    assert outdated.exit_code == 2
    assert "old" in card.read_text()
    assert CliRunner().invoke(app, ["card", str(card)]).exit_code == 0
    assert "| a | - | 1 | 1.000 |" in card.read_text()
    assert CliRunner().invoke(app, ["card", str(card), "--check"]).exit_code == 0


@pytest.mark.parametrize("card", sorted(CARDS.glob("[!_]*.md")), ids=lambda card: card.stem)
def test_every_table_of_the_published_cards_is_what_its_results_give(card):
    text = card.read_text()
    if re.search(r"<!-- (results|comparison|tried):", text):
        assert fill_card(text, CARDS / "results") == text
