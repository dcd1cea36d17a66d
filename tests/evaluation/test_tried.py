"""The list of what was tried."""

from hf_msa.evaluation.tried import Tried

FILE = [
    {"name": "as the authors", "set": "", "seeds": [1111, 1112], "valid_mae": 0.75},
    {"name": "a lower rate", "set": "learning_rate=1e-4", "seeds": [1111], "valid_mae": 0.7},
]


def test_every_configuration_is_a_row_with_what_was_set():
    lines = Tried.from_dict(FILE).to_markdown().splitlines()
    assert lines[0] == "| tried | what was set | seeds | valid MAE |"
    assert lines[2:] == [
        "| as the authors | - | 1111, 1112 | 0.750 |",
        "| a lower rate | `learning_rate=1e-4` | 1111 | 0.700 |",
    ]


def test_it_is_written_as_it_was_read():
    assert Tried.from_dict(FILE).to_dict() == [entry | {"seeds": tuple(entry["seeds"])} for entry in FILE]


def test_several_lists_are_several_tables():
    tried = Tried.from_dict(FILE)
    assert tried.to_markdown(tried) == f"{tried.to_markdown()}\n\n{tried.to_markdown()}"
