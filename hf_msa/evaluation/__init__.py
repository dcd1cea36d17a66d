"""Evaluation: metrics as the field computes them, results, comparison, and probes of a model's streams."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
