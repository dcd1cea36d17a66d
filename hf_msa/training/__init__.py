"""Training: LoRA around the frozen text model, text models without network, and the demo."""

from .adapters import add_lora, load_adapter, merge_lora, save_adapter
from .text_models import OFFLINE_TEXT_MODEL, offline_text_model

__all__ = ["OFFLINE_TEXT_MODEL", "add_lora", "load_adapter", "merge_lora", "offline_text_model", "save_adapter"]
