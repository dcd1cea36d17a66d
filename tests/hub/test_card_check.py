"""A card has metadata and no open place, and the numbers of one that a user wrote are the run's or the paper's."""

import pytest

from hf_msa.hub.card_check import card_problems, number_problems

HEAD = "---\nlicense: mit\nlibrary_name: transformers\n---\n"
RUN = {
    "seconds": 1763.1,
    "recipe": {"learning_rate": 0.0003},
    "runs": [{"seed": 1111, "metrics": {"test": {"mae": 0.75412, "acc_7": 0.41873, "f1_non0": 0.8296}}}],
}
PAPER = {"mae": 0.691}


@pytest.mark.parametrize(
    "body",
    [
        "MAE 0.754, or 0.75, or 0.8; the paper has 0.691",
        "Acc-7 is 0.419, that is 41.9%, 41.87 % or 42%",
        "Acc-7 41.9, F1 83.0",
        "learning rate 0.0003, 1,763.1 seconds",
        "trained in 2025 on 2 GPUs, seeds 1111 and 1112, torch 2.13.0",
        "`--set a=0.999`, arXiv 2508.15852, arxiv:2510.01677, [x](https://a.b/0.999)",
        "```python\nthreshold = 0.123\n```",
    ],
)
def test_numbers_of_the_run_and_of_the_paper_may_stand_in_a_card(body):
    assert number_problems(HEAD + body, [RUN, PAPER]) == []


@pytest.mark.parametrize(
    ("body", "strange"),
    [
        ("MAE 0.764", "0.764"),
        ("MAE 0.7542", "0.7542"),  # 0.75412 is 0.7541
        ("an error of 75.4", "75.4"),  # an error is no percentage
        ("75.4% of all errors", "75.4%"),
        ("Acc-7 42.9", "42.9"),
        ("Acc-7 is 43%", "43%"),
        ("Acc-7 was good. The error was 41.9", "41.9"),
        ("a dropout of 0.1, a dropout of 0.1", "0.1"),
    ],
)
def test_any_other_number_is_strange(body, strange):
    expected = f"README.md: expected numbers that stand in results.json, got {strange}"
    assert number_problems(HEAD + body, [RUN, PAPER]) == [expected]


def test_without_results_no_number_with_decimals_may_stand_in_a_card():
    assert number_problems(HEAD + "MAE 0.754 on 686 utterances", []) != []


def test_a_card_without_readable_metadata_or_with_open_places_is_refused():
    assert "expected metadata that the Hub reads" in card_problems("---\nlicense: [\n---\n")[0]
    assert "expected a library_name" in card_problems("---\nlicense: mit\n---\n")[0]
    assert "got '[More Information Needed]'" in card_problems(HEAD + "[More Information Needed]")[0]
    assert not card_problems(HEAD + "# todo-list, para todo el mundo")
