"""Training: MsaTrainer, recipes, LoRA around the frozen text model, text models without network, the demo."""

from typing import TYPE_CHECKING, Any

from .adapters import add_lora, load_adapter, merge_lora, save_adapter
from .text_models import OFFLINE_TEXT_MODEL, offline_text_model

if TYPE_CHECKING:
    from .arguments import MsaTrainingArguments
    from .recipe import Recipe, make_recipe, read_recipe
    from .run import evaluate_checkpoint, train_recipe
    from .trainer import MsaTrainer

__all__ = [
    "OFFLINE_TEXT_MODEL",
    "MsaTrainer",
    "MsaTrainingArguments",
    "Recipe",
    "add_lora",
    "evaluate_checkpoint",
    "load_adapter",
    "make_recipe",
    "merge_lora",
    "offline_text_model",
    "read_recipe",
    "save_adapter",
    "train_recipe",
]

# On first use: with Trainer come accelerate, datasets and seconds of imports that loading an adapter does not need.
_PLACES = {
    "MsaTrainer": "trainer",
    "MsaTrainingArguments": "arguments",
    "Recipe": "recipe",
    "evaluate_checkpoint": "run",
    "make_recipe": "recipe",
    "read_recipe": "recipe",
    "train_recipe": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
