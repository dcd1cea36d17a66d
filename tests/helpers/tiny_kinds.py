"""A small model of every kind, without anything random in its training, for what should not depend on the batches."""

import dataclasses
from unittest.mock import patch

import torch
from tiny_corpus import tiny_processor, tiny_trainer
from tiny_models import TINY, config_class, families, processor_class
from torch import nn

from hf_msa.models import MsaFeatureExtractor
from hf_msa.models.streams_msa import FRAME_STREAMS, STREAMS

KINDS = tuple(TINY)
# What a model draws in training beside dropout, and what makes its rows depend on each other: the mean over tokens of
# the language model's loss is not the mean of the means over batches.
ROWS_ALONE = {
    "deepmlf": {"stream_seqaug_rate": 0.0, "head_norm": "layer", "text_seqaug_apply": 0.0, "lm_loss_weight": 0.0},
    "deepmlf_av": {"stream_seqaug_rate": 0.0},
}


def model_of(kind, **fields):
    """Return a model whose rows do not depend on each other."""
    rates = {field.name: 0.0 for field in dataclasses.fields(config_class(kind)) if field.name.endswith("_dropout")}
    model = TINY[kind](**rates | ROWS_ALONE.get(kind, {}) | fields)
    for module in model.modules():  # those of the text model, too
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def processor_of(kind):
    """Return a processor that fits."""
    extractor = MsaFeatureExtractor(audio_dim=3, visual_dim=2)
    streams = STREAMS if families(kind) else FRAME_STREAMS
    return processor_class(kind)(extractor, tiny_processor().tokenizer, streams=streams)


def trainer_of(kind, folder, train=None, model=None, valid=None, **arguments):
    """Return a trainer of plain gradient descent, so that a wrong gradient shows and a tiny one does not."""
    descent = {"optim": "sgd", "learning_rate": 0.05, "max_grad_norm": 0.0, "load_best_model_at_end": False}
    return tiny_trainer(
        folder, model_of(kind, **model or {}), train, valid, processor=processor_of(kind), **descent | arguments
    )


def fixed_directions():
    """Let AGFN's adversary begin with one direction; what it draws would differ between batches and processes."""
    return patch.object(torch, "randn_like", torch.ones_like)
