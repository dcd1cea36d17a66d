"""A small model of every kind, without anything random in its training, for what should not depend on the batches."""

from unittest.mock import patch

import torch
from tiny_corpus import tiny_model, tiny_processor, tiny_trainer
from tiny_models import tiny_agfn, tiny_deepmlf, tiny_deepmlf_av
from torch import nn

from hf_msa.models import DeepMLFProcessor, MsaFeatureExtractor

NOT_RANDOM = {"av_dropout": 0.0, "stream_seqaug_rate": 0.0}
# The mean over tokens of the language model's loss is not the mean of the means over batches.
ROWS_ALONE = {"head_norm": "layer", "fusion_dropout": 0.0, "text_seqaug_apply": 0.0, "lm_loss_weight": 0.0}
KINDS = ("pgf_net", "agfn", "deepmlf_av", "deepmlf")


def model_of(kind, **fields):
    """Return a model whose rows do not depend on each other."""
    if kind == "pgf_net":
        model = tiny_model(**fields)
    elif kind == "agfn":
        rates = dict.fromkeys(("encoder_dropout", "attention_dropout", "classifier_dropout"), 0.0)
        model = tiny_agfn(**rates | fields)
    elif kind == "deepmlf_av":
        model = tiny_deepmlf_av(**NOT_RANDOM | fields)
    else:
        model = tiny_deepmlf(**NOT_RANDOM | ROWS_ALONE | fields)
    for module in model.modules():  # those of the text model, too
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def processor_of(kind):
    """Return a processor that fits."""
    if kind in ("pgf_net", "agfn"):
        return tiny_processor("word" if kind == "pgf_net" else "none")
    extractor = MsaFeatureExtractor(audio_dim=3, visual_dim=2)
    streams = ("audio", "visual") if kind == "deepmlf_av" else ("text", "audio", "visual")
    return DeepMLFProcessor(extractor, tiny_processor().tokenizer, streams=streams)


def trainer_of(kind, folder, train=None, model=None, valid=None, **arguments):
    """Return a trainer of plain gradient descent, so that a wrong gradient shows and a tiny one does not."""
    descent = {"optim": "sgd", "learning_rate": 0.05, "max_grad_norm": 0.0, "load_best_model_at_end": False}
    return tiny_trainer(
        folder, model_of(kind, **model or {}), train, valid, processor=processor_of(kind), **descent | arguments
    )


def fixed_directions():
    """Let AGFN's adversary begin with one direction; what it draws would differ between batches and processes."""
    return patch.object(torch, "randn_like", torch.ones_like)
