"""Training: MsaTrainer, recipes, LoRA around the frozen text model, the demo."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
