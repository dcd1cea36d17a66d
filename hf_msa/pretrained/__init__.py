"""What is trained and ready: checkpoints, and text models for machines that reach no hub."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
