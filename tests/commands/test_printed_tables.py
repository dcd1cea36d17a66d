"""Tables on a terminal."""

import math

from hf_msa.commands.tables import print_metrics

ROWS = {
    "valid": {"mae": {"mean": 0.5, "std": 0.25}, "confusion_matrix": {"mean": [[1, 0], [0, 1]]}},
    "test": {"mae": {"mean": math.nan, "std": math.nan}, "confusion_matrix": {"mean": [[1, 0], [0, 1]]}},
}


def printed(capsys, **options):
    print_metrics("a run", ROWS, **options)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_split_is_a_row_and_what_is_no_number_a_dash(capsys):
    lines = printed(capsys)
    assert ["│", "valid", "│", "0.5000", "±", "0.2500", "│"] in lines
    assert ["│", "test", "│", "-", "│"] in lines
    assert not any("confusion_matrix" in line for line in lines)


def test_a_single_seed_shows_no_deviation(capsys):
    assert ["│", "valid", "│", "0.5000", "│"] in printed(capsys, with_std=False)
