"""Publishing: checkpoints that load anywhere, and cards whose numbers come from results.json."""

from typing import TYPE_CHECKING, Any

from .card import checkpoint_table, comparison_table, fill_card, results_table, robustness_table, tried_table

if TYPE_CHECKING:
    from .corpus import publish_corpus
    from .publication import Publication, PublishError, publish

__all__ = [
    "Publication",
    "PublishError",
    "checkpoint_table",
    "comparison_table",
    "fill_card",
    "publish",
    "publish_corpus",
    "results_table",
    "robustness_table",
    "tried_table",
]

# On first use: the tables of a card need neither transformers' Auto classes nor the Hub's client.
_PLACES = {
    "Publication": "publication",
    "PublishError": "publication",
    "publish": "publication",
    "publish_corpus": "corpus",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
