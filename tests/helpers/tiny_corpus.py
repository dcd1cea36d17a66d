"""Made rows, and a tokenizer, a processor, a model and a trainer small enough for them."""

import uuid

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset, DatasetInfo
from transformers import BertConfig, BertTokenizer

from hf_msa import PGFNetConfig, PGFNetForSequenceClassification, PGFNetProcessor
from hf_msa.data.rows import OpenCorpus, RowCheck
from hf_msa.models import MsaFeatureExtractor
from hf_msa.models.streams_msa import FRAME_STREAMS
from hf_msa.training import MsaTrainer, MsaTrainingArguments

VALUES = {"wonderful": 1.5, "good": 0.75, "the": 0.0, "movie": 0.0, "was": 0.0, "bad": -0.75, "awful": -1.5}
AUDIO_RATE, VISUAL_RATE = 10.0, 5.0


def tiny_rows(number, seed=0, audio_dim=3, visual_dim=2):
    """Yield rows of 1 to 12 words whose labels are what the words say; every fifth lacks a stream."""
    rng = np.random.default_rng(seed)
    for row in range(number):
        words = [str(word) for word in rng.choice(list(VALUES), size=rng.integers(1, 13))]
        seconds = 0.3 * len(words)
        shapes = {
            "audio": (round(AUDIO_RATE * seconds), audio_dim),
            "visual": (round(VISUAL_RATE * seconds), visual_dim),
        }
        label = float(np.clip(sum(VALUES[word] for word in words), -3, 3))
        streams = {name: label / 3 + rng.normal(size=shape) for name, shape in shapes.items()}
        if row % 5 == 4:
            missing = FRAME_STREAMS[row % 2]
            streams[missing] = np.zeros((0, shapes[missing][1]))
        times = [{"word": word, "start": 0.3 * i, "end": 0.3 * (i + 1)} for i, word in enumerate(words)]
        yield {
            "id": f"{seed}-{row}",
            "text": " ".join(words),
            "words": times,
            **{name: array.astype(np.float32) for name, array in streams.items()},
            "audio_rate": AUDIO_RATE,
            "visual_rate": VISUAL_RATE,
            "label": label,
        }


def tiny_dataset(number, seed=0, **dims):
    """Return rows as `load_corpus` gives them."""
    sizes = {"audio": dims.get("audio_dim", 3), "visual": dims.get("visual_dim", 2)}
    opened = OpenCorpus("tiny", {"train": number}, lambda _: tiny_rows(number, seed, **dims), sizes)
    table = pa.concat_tables(opened.tables("train", RowCheck("tiny", opened.label_range)))
    dataset = Dataset(table, info=DatasetInfo(features=opened.features), fingerprint=uuid.uuid4().hex[:16])
    return dataset.with_format("numpy", columns=list(FRAME_STREAMS), output_all_columns=True)


def with_labels(dataset, labels):
    """Return the dataset with other labels."""
    return dataset.remove_columns("label").add_column("label", labels)


def tiny_processor(alignment=None):
    """Return a processor whose tokenizer knows the words of the corpus."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *VALUES]
    tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=32)
    return PGFNetProcessor(MsaFeatureExtractor(audio_dim=3, visual_dim=2), tokenizer, alignment)


def tiny_model(seed=0, dropout=0.0, **fields):
    """Return a PGF-Net with random weights, and with one dropout rate everywhere."""
    torch.manual_seed(seed)
    text_config = BertConfig(
        vocab_size=16,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    sizes = {"audio_dim": 3, "visual_dim": 2, "adapter_bottleneck": 4, "gate_rank": 4, "classifier_hidden_size": 8}
    rates = {"adapter_dropout": dropout, "classifier_dropout": dropout}
    model = PGFNetForSequenceClassification(
        PGFNetConfig(text_config=text_config.to_dict(), **(sizes | rates | fields))
    )
    with torch.no_grad():
        for parameter in model.parameters():  # large enough for every part to matter
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def tiny_arguments(folder, **arguments):
    """Return arguments of a quiet run."""
    quiet = {"disable_tqdm": True, "logging_strategy": "no", "report_to": "none", "use_cpu": True}
    settings = {"learning_rate": 0.01, "per_device_train_batch_size": 8, "num_train_epochs": 2}
    return MsaTrainingArguments(output_dir=str(folder), **(quiet | settings | arguments))


def tiny_trainer(folder, model=None, train=None, valid=None, processor=None, callbacks=(), **arguments):
    """Return a trainer of 32 rows with 16 to choose the best epoch by."""
    return MsaTrainer(
        tiny_model() if model is None else model,
        tiny_arguments(folder, **arguments),
        processing_class=tiny_processor() if processor is None else processor,
        train_dataset=tiny_dataset(32) if train is None else train,
        eval_dataset=tiny_dataset(16, seed=1) if valid is None else valid,
        callbacks=callbacks,
    )


def weights(model):
    """Return a copy of all weights by name."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
