"""Corpora: read safely from the forms in which they are published, and kept as Parquet."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
