"""Publishing: cards whose numbers come from results.json."""

from .card import comparison_table, fill_card, results_table, robustness_table, tried_table

__all__ = ["comparison_table", "fill_card", "results_table", "robustness_table", "tried_table"]
