"""Multimodal sentiment analysis on the Hugging Face Hub.

Its models read sentiment from what is said (text), how it sounds (audio) and how the speaker looks (visual). Importing
the package makes transformers' Auto classes know them. Nothing heavy is imported before it is used, neither here nor
there: see `registration.py`.
"""

import lazy_loader

from . import models
from ._version import __version__
from .registration import register_models

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"models": models.__all__, "training.adapters": ["load_adapter"]}
)
__all__ += ["__version__"]

register_models()
