"""Make a merged checkpoint of an adapter, for those who have neither peft nor hf_msa."""

from pathlib import Path

from transformers import AutoProcessor

from hf_msa.evaluation.results import RESULTS_FILE

from .adapters import load_adapter
from .checkpoint import save_checkpoint


def is_adapter(folder: str | Path) -> bool:
    """Return whether a folder holds the adapter-only form.

    Args:
        folder: Of a checkpoint.
    """
    return (Path(folder) / "adapter_config.json").is_file()


def merge_adapter(folder: str | Path, output: Path) -> Path:
    """Load an adapter onto its text model and write the merged checkpoint, with its results.

    Args:
        folder: What `save_adapter` wrote, with the processor.
        output: Is created.

    Returns:
        The output.

    Raises:
        ValueError: As `load_adapter`.
    """
    save_checkpoint(load_adapter(folder), AutoProcessor.from_pretrained(folder), output)
    results = Path(folder) / RESULTS_FILE
    if results.is_file():
        (output / RESULTS_FILE).write_bytes(results.read_bytes())
    return output


__all__ = ["is_adapter", "merge_adapter"]
