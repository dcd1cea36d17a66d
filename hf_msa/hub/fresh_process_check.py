"""Whether a checkpoint loads, with the same logits, where neither hf_msa nor peft is installed."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

_SCRIPT = Path(__file__).with_name("fresh_process.py")


def probe(config: Any, processor: Any) -> dict[str, Any]:
    """Return two utterances as arguments of a processor, in plain lists: one whole, one with a single stream.

    Args:
        config: Says how many columns a frame has.
        processor: Says which streams the model reads.
    """
    generator = np.random.default_rng(0)
    columns: dict[str, Any] = {}
    if "text" in processor.streams:
        words = [("i", 0.0, 0.2), ("loved", 0.2, 0.7), ("it", 0.7, 0.9)]
        columns |= {"text": ["i loved it", "what a waste"], "words": [words, None]}
    for stream, dim, rate in (("audio", config.audio_dim, 20.0), ("visual", config.visual_dim, 10.0)):
        if stream in processor.streams:
            recorded = (getattr(processor.feature_extractor, f"{stream}_features") or {}).get("rate")
            frames = generator.normal(size=(round(0.9 * rate), dim)).round(4).tolist()
            columns |= {stream: [frames, None if len(columns) else frames], f"{stream}_rate": recorded or rate}
    return columns


def reload_problems(folder: Path, model: Any, processor: Any) -> list[str]:
    """Return how a folder fails to load, or to give the same logits, where hf_msa and peft cannot be imported.

    Args:
        folder: A merged checkpoint.
        model: What was saved there, in evaluation mode.
        processor: The same.
    """
    columns = probe(model.config, processor)
    with torch.no_grad():
        logits = model.cpu()(**processor(**columns)).logits
    (loaded,) = load_in_fresh_process([folder], columns)
    return loaded_problems(loaded, logits)


def load_in_fresh_process(folders: Sequence[Path], columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Return `logits` and the pipeline's `scores`, or the `error`, of each folder where the package is not installed.

    Args:
        folders: Merged checkpoints.
        columns: Utterances, as arguments of a processor.
    """
    with tempfile.TemporaryDirectory() as scratch:
        utterances = Path(scratch) / "probe.json"
        utterances.write_text(json.dumps(columns), encoding="utf-8")
        # Nothing of this machine's settings, and no token for code that is looked at for the first time.
        hidden = ("PYTHONPATH", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
        environment = {key: value for key, value in os.environ.items() if key not in hidden}
        environment |= {"HF_HOME": scratch, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, str(_SCRIPT), str(utterances), *map(str, folders)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=scratch)
    if done.returncode:  # killed, say for lack of memory
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [{"error": reason}] * len(folders)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def loaded_problems(loaded: dict[str, Any], logits: torch.Tensor) -> list[str]:
    """Return what is wrong with what a fresh process found.

    Args:
        loaded: As `load_in_fresh_process` gives it for a folder.
        logits: What the model gave before it was saved.
    """
    if "error" in loaded:
        return [f"checkpoint: expected one that loads without hf_msa and peft, got {loaded['error']}"]
    again = torch.tensor(loaded["logits"], dtype=torch.float64)
    try:
        # As exact as the dtype is; another number of threads adds up in another order.
        torch.testing.assert_close(again.to(logits.dtype), logits)
    except AssertionError:
        difference = (again - logits.double()).abs().max().item()
        return [f"checkpoint: expected the same logits in a fresh process, got others by {difference:.3g}"]
    if not all(math.isfinite(score) for score in loaded["scores"]):
        return [f"checkpoint: expected finite scores from its pipeline, got {loaded['scores']}"]
    return []


__all__ = ["load_in_fresh_process", "loaded_problems", "probe", "reload_problems"]
