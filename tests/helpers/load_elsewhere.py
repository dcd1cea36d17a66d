"""Load a repository where hf_msa and peft cannot be imported, predict, and with `--train` fine-tune and push again.

Usage: python load_elsewhere.py FRESH_PROCESS REPOSITORY REVISION ROWS.json [--train FOLDER]
"""

import json
import os
import runpy
import sys
from pathlib import Path

runpy.run_path(sys.argv[1])["hide_package"]()

import torch  # noqa: E402
from transformers import (  # noqa: E402
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoProcessor,
    pipeline,
)

repository, revision, file, *train = sys.argv[2:]
rows = json.loads(Path(file).read_text())
options = {"revision": revision, "trust_remote_code": True}
model = AutoModelForSequenceClassification.from_pretrained(repository, **options).eval()
processor = AutoProcessor.from_pretrained(repository, **options)


def logits():
    """Return the scores of the rows."""
    with torch.no_grad():
        return model.eval().cpu()(**processor.collate(rows)).logits.double().tolist()


found = {
    "logits": logits(),
    "classes": [
        type(thing).__name__
        for thing in (
            model,
            processor,
            AutoModel.from_pretrained(repository, **options),
            AutoConfig.from_pretrained(repository, **options),
        )
    ],
    "scores": [
        result["score"] for result in pipeline("multimodal-sentiment-analysis", model=repository, **options)(rows)
    ],
    "modules": [name for name in ("hf_msa", "peft") if name in sys.modules],
}
found["refused"] = []
for token in (False, os.environ["STRANGERS_TOKEN"]):
    try:
        AutoConfig.from_pretrained(repository, token=token, cache_dir=Path(file).parent / "nobody", **options)
    except OSError as error:
        found["refused"].append(str(error))

if train:
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=train[1],
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
    trainer = Trainer(
        model, arguments, data_collator=processor.collate, train_dataset=rows, processing_class=processor
    )
    trainer.train()
    found["trained"] = logits()
    trainer.push_to_hub()
sys.stdout.write("\nRESULT " + json.dumps(found) + "\n")
