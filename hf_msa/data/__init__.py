"""Corpora: read safely from the forms in which they are published, and kept as Parquet."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .corpus import convert_corpus, load_corpus
    from .rows import CorpusError
    from .safe_pickle import UnsafePickleError

__all__ = ["CorpusError", "UnsafePickleError", "convert_corpus", "load_corpus"]


def __getattr__(name: str) -> Any:
    # On first use: `datasets` takes a second to import, which `hf-msa predict` does not need.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import corpus, safe_pickle

    module = safe_pickle if name == "UnsafePickleError" else corpus
    return getattr(module, name)
