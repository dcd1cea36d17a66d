"""Tables of a card come from the files that runs wrote, and nothing else in the card changes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hf_msa.cli import app
from hf_msa.errors import MsaError
from hf_msa.evaluation.results import Results, SeedResult
from hf_msa.hub.card import KINDS, fill_card

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


def test_only_what_stands_between_the_marks_is_replaced(tmp_path):
    run().write(tmp_path)
    (tmp_path / "results.json").rename(tmp_path / "run.json")
    filled = fill_card(CARD, tmp_path)
    assert filled.startswith("# A model\n\n<!-- results: run.json -->\n| run |")
    assert filled.endswith("<!-- end -->\n\nThe end, 0.5.\n")
    assert "old" not in filled
    assert fill_card(filled, tmp_path) == filled


def test_every_kind_of_result_answers_as_a_card_asks():
    assert set(KINDS) == {"results", "comparison", "robustness", "tried", "sweep"}
    for result in KINDS.values():
        assert all(callable(getattr(result, name)) for name in ("from_dict", "to_dict", "to_markdown"))


def test_several_files_are_shown_together(tmp_path):
    gain = {"difference": 0.0412, "low": 0.0201, "high": 0.0623, "confidence": 0.95, "num_samples": 100}
    both = {"error": "mae", "names": ["text", "all"], "split": "test", "seeds": [5, 4], "gain": gain}
    (tmp_path / "a.json").write_text(json.dumps(both | {"metrics": [{}, {}]}))
    one, two = (
        fill_card(f"<!-- comparison: {names} -->\n<!-- end -->", tmp_path) for names in ("a.json", "a.json a.json")
    )
    assert [line.startswith("MAE of text") for line in one.splitlines()] == [False, True, False]
    assert [line.startswith("- MAE of text") for line in two.splitlines()] == [False, True, True, False]


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("# nothing\n", "expected a place for a table"),
        (CARD, r"run\.json: expected results that hf-msa wrote, got No such file"),
        ("<!-- tried: none.json -->\n<!-- end -->\n", r"none\.json: expected tried that hf-msa wrote, got No such"),
        (
            "<!-- sweep: other.json -->\n<!-- end -->\n",
            r"other\.json: expected sweep that hf-msa wrote, got another file",
        ),
        (
            "<!-- robustness: no.json -->\n<!-- end -->\n",
            r"no\.json: expected robustness that hf-msa wrote, got another",
        ),
    ],
)
def test_a_card_without_a_place_or_a_file_is_an_error_that_names_it(tmp_path, card, message):
    (tmp_path / "other.json").write_text('{"mood": "good"}')
    (tmp_path / "no.json").write_text("no JSON")
    with pytest.raises(MsaError, match=message):
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
    assert fill_card(text, CARDS / "results") == text
