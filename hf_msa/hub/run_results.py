"""The results of the run that a checkpoint comes from: read, complete, and of this checkpoint."""

from pathlib import Path
from typing import Any

from hf_msa.errors import MsaError
from hf_msa.evaluation.results import RESULTS_FILE, Results, read_results
from hf_msa.pretrained.weights import weights_sha256
from hf_msa.training.adapters import is_adapter

# What a card says of a run, and a file that was changed by hand may lack.
_NEEDED = {
    "recipe": {"model_type"},
    "corpus": {"name", "sha256", "rows"},
    "model": {"text_model", "trainable_parameters"},
    "versions": {"torch", "transformers"},
    "machine": {"accelerator", "processor", "cores"},
}


def read_run(checkpoint: Path) -> Results | None:
    """Return the results beside a checkpoint, None where there are none.

    Args:
        checkpoint: Folder of the checkpoint.

    Raises:
        MsaError: When they lack what a card says.
    """
    if not (checkpoint / RESULTS_FILE).is_file():
        return None
    results = read_results(checkpoint)
    if missing := _missing(results):
        raise MsaError(f"{RESULTS_FILE}: expected what hf-msa train wrote, got one without {missing}")
    return results


def _missing(results: Results) -> str | None:
    for name, keys in _NEEDED.items():
        value = vars(results)[name]
        if not isinstance(value, dict) or not keys <= value.keys():
            return f"all of {name}"
    if results.best_seed not in results.seeds:
        return f"a run of the best seed, {results.best_seed}"
    splits = (results.corpus["rows"], *(run.metrics for run in results.runs))
    return None if all("test" in split for split in splits) else "a test split"


def foreign_results(results: Results | None, config: Any, checkpoint: Path) -> list[str]:
    """Return a line when results are those of another checkpoint.

    Args:
        results: As `read_run` gave them.
        config: Configuration of the checkpoint.
        checkpoint: Folder of the checkpoint; unless it is an adapter its weights are compared, where the run recorded
            `weights_sha256` in `model`.
    """
    if results is None:
        return []
    model_type, sha256 = results.recipe["model_type"], results.model.get("weights_sha256")
    if model_type != config.model_type:
        return [f"{RESULTS_FILE}: expected a run of {config.model_type}, got one of {model_type}"]
    if sha256 is not None and not is_adapter(checkpoint) and sha256 != weights_sha256(checkpoint):
        return [f"{RESULTS_FILE}: expected the run of these weights, got one whose weights are others ({sha256[:16]})"]
    return []


__all__ = ["foreign_results", "read_run"]
