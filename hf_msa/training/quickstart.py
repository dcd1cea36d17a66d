"""The demo: train PGF-Net on the sample corpus, compare it, save it, load it elsewhere, predict.

Everything a user does, in one short run on a CPU and without network. The corpus is made (see its README), so the
numbers say that the machinery works and nothing about real speech.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from hf_msa.data.sample_corpus import load_sample_corpus
from hf_msa.data.utterances import write_utterances
from hf_msa.evaluation import mosi_metrics
from hf_msa.evaluation.results import read_results
from hf_msa.progress import Report, ignore

from .recipe import make_recipe
from .run import train_recipe

# The same as examples/configs/pgf_net_sample.yaml.
DEMO_RECIPE: dict[str, Any] = {
    "model_type": "pgf_net",
    "text_model": "offline",
    "corpus": "sample",
    "num_train_epochs": 16,
    "per_device_train_batch_size": 16,
    "learning_rate": 1e-3,
    "learning_rates": {"gate": 1e-2},
    "weight_decay": 1e-4,
    "lr_scheduler_type": "cosine",
    "max_grad_norm": 1.0,
}
RELOAD_SCRIPT = Path(__file__).with_name("reload.py")


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Args:
        metrics: Test metrics by run: "majority", "text only", "text + audio + visual".
        predictions: What a fresh process predicted with the saved folder, three utterances.
        labels: Their true labels.
        folder: The saved checkpoint.
        seconds: Wall time of the whole demo.
    """

    metrics: dict[str, dict[str, float]]
    predictions: list[dict[str, Any]]
    labels: list[float]
    folder: Path
    seconds: float


def run_demo(folder: Path, seed: int = 1111, report: Report = ignore) -> DemoResult:
    """Run the whole demo.

    Args:
        folder: Where the run goes that reads all three streams.
        seed: Seed for initial values and batch order.
        report: Told how far the two trainings are.

    Raises:
        ModuleNotFoundError: Without the `offline` extra, which brings the text model.
    """
    start = time.perf_counter()
    corpus = load_sample_corpus()
    labels = np.asarray(corpus["test"]["label"])
    majority = np.full_like(labels, np.median(corpus["train"]["label"]))
    metrics = {"majority": mosi_metrics(majority, labels)}
    with tempfile.TemporaryDirectory() as elsewhere:
        for title, streams, output in (
            ("text only", ["text"], Path(elsewhere) / "text_only"),
            ("text + audio + visual", ["text", "audio", "visual"], folder),
        ):
            recipe = make_recipe(DEMO_RECIPE | {"streams": streams, "seeds": [seed]})
            train_recipe(recipe, output, title=title, report=report)
            metrics[title] = read_results(output).runs[0].metrics["test"]

    rows = _three_utterances(corpus["test"])
    return DemoResult(
        metrics=metrics,
        predictions=_predict_in_fresh_process(folder, rows),
        labels=[float(row["label"]) for row in rows],
        folder=folder,
        seconds=time.perf_counter() - start,
    )


def _three_utterances(test: Dataset) -> list[Mapping[str, Any]]:
    """Pick the first negative, neutral and positive utterance that has all streams."""
    first: dict[float, Mapping[str, Any]] = {}
    for row in test:
        if len(row["audio"]) and len(row["visual"]) and abs(row["label"]) != 0.2:
            first.setdefault(float(np.sign(np.round(row["label"] / 2))), row)
    return [first[sign] for sign in (-1.0, 0.0, 1.0)]


def _predict_in_fresh_process(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Load the saved folder with nothing but transformers and return its predictions."""
    with tempfile.TemporaryDirectory() as temporary:
        lines = write_utterances(rows, Path(temporary))
        command = [sys.executable, str(RELOAD_SCRIPT), str(folder), str(lines)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"loading {folder} in a fresh process failed:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
