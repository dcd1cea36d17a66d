"""Train PGF-Net on the sample corpus with a plain transformers.Trainer.

    pip install -e ".[offline]" && python examples/2_train.py runs/trained

Runs as it is in several processes too: `torchrun --nproc_per_node 2 examples/2_train.py`.
"""

import sys

import torch
from transformers import Trainer, TrainingArguments, set_seed

from hf_msa import PGFNetForSequenceClassification, PGFNetProcessor
from hf_msa.data.sample_corpus import AUDIO_FEATURES, VISUAL_FEATURES, load_sample_corpus
from hf_msa.evaluation import mosi_metrics
from hf_msa.pretrained import offline_text_model
from hf_msa.training import add_lora, merge_lora

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/trained"
epochs = float(sys.argv[2]) if len(sys.argv) > 2 else 8
features = {"audio_dim": 25, "visual_dim": 17, "audio_features": AUDIO_FEATURES, "visual_features": VISUAL_FEATURES}

set_seed(1111)
corpus = load_sample_corpus()
text_model = str(offline_text_model())
processor = PGFNetProcessor.from_text_pretrained(text_model, **features).fit(corpus["train"])
model = PGFNetForSequenceClassification.from_text_pretrained(text_model, **features)

trainer = Trainer(
    model=add_lora(model),
    args=TrainingArguments(
        output_dir=folder,
        num_train_epochs=epochs,
        per_device_train_batch_size=16,
        learning_rate=1e-3,
        eval_strategy="epoch",
        save_strategy="no",
        remove_unused_columns=False,  # the collator needs text, words and raw streams
        report_to="none",
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),  # without it, processes on CPUs would each train alone
    ),
    data_collator=processor.collate,
    train_dataset=corpus["train"],
    eval_dataset=corpus["valid"],
    compute_metrics=lambda p: mosi_metrics(p.predictions, p.label_ids),
)
trainer.train()
print(trainer.evaluate(corpus["test"], metric_key_prefix="test"))
if trainer.is_world_process_zero():
    merge_lora(trainer.accelerator.unwrap_model(trainer.model)).save_pretrained(folder)
    processor.save_pretrained(folder)
