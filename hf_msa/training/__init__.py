"""Training: LoRA around the frozen text model, and the demo."""

from .adapters import add_lora, load_adapter, merge_lora, save_adapter

__all__ = ["add_lora", "load_adapter", "merge_lora", "save_adapter"]
