"""The demo: train PGF-Net on the sample corpus, compare it, save it, load it elsewhere, predict.

Everything a user does, in one short run on a CPU and without network. The corpus is made (see its README), so the
numbers say that the machinery works and nothing about real speech.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from hf_msa.data.sample_corpus import AUDIO_FEATURES, VISUAL_FEATURES, load_sample_corpus
from hf_msa.data.utterances import write_utterances
from hf_msa.evaluation import mosi_metrics
from hf_msa.models import PGFNetForSequenceClassification, PGFNetProcessor

from .adapters import add_lora, merge_lora
from .checkpoint import save_checkpoint
from .progress import ProgressBar
from .text_models import OFFLINE_TEXT_MODEL, offline_text_model

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


def run_demo(folder: Path, seed: int = 1111) -> DemoResult:
    """Run the whole demo.

    Args:
        folder: Where the checkpoint goes.
        seed: Of initial values and batches.

    Raises:
        ModuleNotFoundError: Without the `offline` extra, which brings the text model.
    """
    start = time.perf_counter()
    text_model = str(offline_text_model())
    corpus = load_sample_corpus()
    features: dict[str, Any] = {
        "audio_dim": len(AUDIO_FEATURES["columns"]),
        "visual_dim": len(VISUAL_FEATURES["columns"]),
        "audio_features": AUDIO_FEATURES,
        "visual_features": VISUAL_FEATURES,
    }
    processor = PGFNetProcessor.from_text_pretrained(text_model, **features).fit(corpus["train"])

    def fresh_model() -> PGFNetForSequenceClassification:
        set_seed(seed)
        return PGFNetForSequenceClassification.from_text_pretrained(
            text_model, text_model_name_or_path=OFFLINE_TEXT_MODEL, **features
        )

    def text_alone(rows: Sequence[Mapping[str, Any]]) -> Any:
        return processor.collate([{"text": row["text"], "label": row["label"]} for row in rows])

    labels = np.asarray(corpus["test"]["label"])
    majority = np.full_like(labels, np.median(corpus["train"]["label"]))
    metrics = {"majority": mosi_metrics(majority, labels)}
    model, metrics["text only"] = _train("text only", fresh_model(), text_alone, corpus, seed)
    model, metrics["text + audio + visual"] = _train(
        "text + audio + visual", fresh_model(), processor.collate, corpus, seed
    )
    save_checkpoint(model, processor, folder)

    rows = _three_utterances(corpus["test"])
    return DemoResult(
        metrics=metrics,
        predictions=_predict_in_fresh_process(folder, rows),
        labels=[float(row["label"]) for row in rows],
        folder=folder,
        seconds=time.perf_counter() - start,
    )


def _train(
    title: str,
    model: PGFNetForSequenceClassification,
    collate: Callable[[Sequence[Mapping[str, Any]]], Any],
    corpus: Mapping[str, Dataset],
    seed: int,
) -> tuple[Any, dict[str, float]]:
    """Train with LoRA, keep the best epoch by validation MAE, and return the merged model with its test metrics."""
    with tempfile.TemporaryDirectory() as runs:
        arguments = TrainingArguments(
            output_dir=runs,
            num_train_epochs=16,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=64,
            learning_rate=1e-3,
            weight_decay=1e-4,
            lr_scheduler_type="cosine",
            max_grad_norm=1.0,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            save_only_model=True,
            load_best_model_at_end=True,
            metric_for_best_model="mae",
            greater_is_better=False,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            logging_strategy="no",
            report_to="none",
            seed=seed,
        )
        trainer = Trainer(
            model=add_lora(model),
            args=arguments,
            data_collator=collate,
            train_dataset=corpus["train"],
            eval_dataset=corpus["valid"],
            compute_metrics=lambda p: mosi_metrics(p.predictions, p.label_ids),
            callbacks=[ProgressBar(title), EarlyStoppingCallback(early_stopping_patience=8)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        trainer.train()
        prediction = trainer.predict(corpus["test"])
        return merge_lora(trainer.model), mosi_metrics(prediction.predictions, prediction.label_ids)


def _three_utterances(test: Dataset) -> list[Mapping[str, Any]]:
    """Pick the first negative, neutral and positive utterance that has all streams."""
    found: dict[float, Mapping[str, Any]] = {}
    for row in test:
        if len(row["audio"]) and len(row["visual"]) and abs(row["label"]) != 0.2:
            found.setdefault(float(np.sign(np.round(row["label"] / 2))), row)
    return [found[sign] for sign in (-1.0, 0.0, 1.0)]


def _predict_in_fresh_process(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Load the saved folder with nothing but transformers and return its predictions."""
    with tempfile.TemporaryDirectory() as place:
        lines = write_utterances(rows, Path(place))
        command = [sys.executable, str(RELOAD_SCRIPT), str(folder), str(lines)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"loading {folder} in a fresh process failed:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
