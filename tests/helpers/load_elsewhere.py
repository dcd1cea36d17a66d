"""Load repositories where hf_msa and peft cannot be imported, and predict; with `--train` fine-tune and push again.

Usage: python load_elsewhere.py FRESH_PROCESS ROWS.json [--train FOLDER] REPOSITORY@REVISION ...
"""

import argparse
import json
import os
import runpy
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("fresh_process")
parser.add_argument("rows", type=Path)
parser.add_argument("--train", type=Path)
parser.add_argument("repositories", nargs="+")
arguments = parser.parse_args()
runpy.run_path(arguments.fresh_process)["hide_package"]()

import torch  # noqa: E402
from transformers import (  # noqa: E402
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoProcessor,
    pipeline,
)

rows = json.loads(arguments.rows.read_text())


def load(repository, **options):
    """Return model and processor."""
    model = AutoModelForSequenceClassification.from_pretrained(repository, **options)
    return model, AutoProcessor.from_pretrained(repository, **options)


def logits_of(model, processor):
    """Return the scores of the rows."""
    with torch.no_grad():
        return model.eval().cpu()(**processor.collate(rows)).logits.double().tolist()


def predict(repository, **options):
    """Return logits, what was loaded, and how those are refused who may not read the repository."""
    model, processor = load(repository, **options)
    base = AutoModel.from_pretrained(repository, **options)
    pipe = pipeline("multimodal-sentiment-analysis", model=repository, **options)
    refused = []
    for token in (False, os.environ["STRANGERS_TOKEN"]):
        try:
            AutoConfig.from_pretrained(repository, token=token, cache_dir=arguments.rows.parent / "nobody", **options)
        except OSError as error:
            refused.append(str(error))
    return {
        "logits": logits_of(model, processor),
        "classes": [type(thing).__name__ for thing in (model, processor, base, base.config)],
        "scores": [result["score"] for result in pipe(rows)],
        "modules": [name for name in ("hf_msa", "peft") if name in sys.modules],
        "refused": refused,
    }


def train_on(repository, **options):
    """Return logits before and after some steps of a plain Trainer, which pushes the new state."""
    from transformers import Trainer, TrainingArguments

    model, processor = load(repository, **options)
    before = logits_of(model, processor)
    settings = TrainingArguments(
        output_dir=str(arguments.train / repository),
        push_to_hub=True,
        hub_model_id=repository,
        max_steps=2,
        learning_rate=1e-2,
        per_device_train_batch_size=4,
        save_strategy="no",
        logging_strategy="no",
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = Trainer(model, settings, data_collator=processor.collate, train_dataset=rows, processing_class=processor)
    trainer.train()
    trained = logits_of(model, processor)
    trainer.push_to_hub()
    return {"logits": before, "trained": trained}


result = {}
for name in arguments.repositories:
    repository, revision = name.split("@")
    step = train_on if arguments.train else predict
    result[repository] = step(repository, revision=revision, trust_remote_code=True)
sys.stdout.write("\nRESULT " + json.dumps(result) + "\n")
