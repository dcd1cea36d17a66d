"""Tiny models around every family of text models, and batches for them; `TINY` has a maker of every model type."""

from functools import partial

import torch
from transformers import (
    BertConfig,
    ElectraConfig,
    GPT2Config,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    XLMRobertaConfig,
)

from hf_msa import models
from hf_msa.models import (
    MODELS,
    AGFNConfig,
    AGFNForSequenceClassification,
    DeepMLFAudioVisualConfig,
    DeepMLFAudioVisualEncoder,
    DeepMLFConfig,
    DeepMLFForSequenceClassification,
    LateFusionConfig,
    LateFusionForSequenceClassification,
    PGFNetConfig,
    PGFNetForSequenceClassification,
)

SIZES = {
    "vocab_size": 400,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}
TEXT_CONFIGS = {
    "bert": BertConfig(**SIZES),
    "roberta": RobertaConfig(**SIZES, type_vocab_size=1),
    "xlm-roberta": XLMRobertaConfig(**SIZES, type_vocab_size=1),
    "electra": ElectraConfig(**SIZES, embedding_size=16),
}

DECODER_SIZES = SIZES | {"num_hidden_layers": 3, "pad_token_id": None, "bos_token_id": 0, "eos_token_id": 2}
LLAMA_SIZES = DECODER_SIZES | {"num_key_value_heads": 2, "head_dim": 6, "tie_word_embeddings": True}
DECODER_CONFIGS = {
    "gpt2": GPT2Config(
        vocab_size=400, n_embd=24, n_layer=3, n_head=4, n_inner=40, n_positions=40, bos_token_id=0, eos_token_id=2
    ),
    "llama": LlamaConfig(**LLAMA_SIZES),
    "qwen2": Qwen2Config(**LLAMA_SIZES),
    "qwen3": Qwen3Config(**LLAMA_SIZES),
}


def tiny_config(family="bert", **fields):
    """Return a configuration with 3 audio and 2 visual columns."""
    sizes = {"audio_dim": 3, "visual_dim": 2, "adapter_bottleneck": 8, "gate_rank": 4, "classifier_hidden_size": 8}
    return PGFNetConfig(text_config=TEXT_CONFIGS[family].to_dict(), **(sizes | fields))


def tiny_model(family="bert", seed=0, model_class=PGFNetForSequenceClassification, **fields):
    """Return a model in evaluation mode with large enough weights for every part to matter."""
    torch.manual_seed(seed)
    model = model_class(tiny_config(family, **fields)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "text_encoder" not in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def tiny_agfn_config(family="bert", **fields):
    """Return a configuration with 3 audio and 2 visual columns."""
    sizes = {"audio_dim": 3, "visual_dim": 2, "hidden_size": 8, "num_attention_heads": 2, "num_encoder_layers": 2}
    return AGFNConfig(text_config=TEXT_CONFIGS[family].to_dict(), **(sizes | fields))


def tiny_agfn(family="bert", seed=0, model_class=AGFNForSequenceClassification, **fields):
    """Return an AGFN in evaluation mode with large enough weights for every part to matter."""
    torch.manual_seed(seed)
    model = model_class(tiny_agfn_config(family, **fields)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


AV_SIZES = {
    "audio_dim": 3,
    "visual_dim": 2,
    "av_length": 4,
    "av_hidden_size": 6,
    "av_num_hidden_layers": 1,
    "av_num_attention_heads": 2,
    "av_intermediate_size": 12,
}


def tiny_deepmlf_config(family="gpt2", **fields):
    """Return a configuration with MM blocks behind the second and the third of three blocks."""
    sizes = {"fusion_layers": [1, 2], "num_fusion_tokens": 3, "num_attention_heads": 2, "classifier_hidden_size": 8}
    text_config = {"text_config": DECODER_CONFIGS[family].to_dict()}
    return DeepMLFConfig(**(text_config | AV_SIZES | sizes | fields))


def _randomised(model, std):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(std * torch.randn_like(parameter))
    return model.eval()


def tiny_deepmlf(family="gpt2", seed=0, model_class=DeepMLFForSequenceClassification, **fields):
    """Return a DeepMLF in evaluation mode with large enough weights for every part to matter."""
    torch.manual_seed(seed)
    return _randomised(model_class(tiny_deepmlf_config(family, **fields)), 0.2)


# No chance and no rows that depend on each other.
UNDROPPED = {
    "head_norm": "layer",
    "av_dropout": 0.0,
    "fusion_dropout": 0.0,
    "stream_seqaug_rate": 0.0,
    "text_seqaug_apply": 0.0,
}


def undropped_deepmlf(family="gpt2", **fields):
    """Return a model whose training mode draws no numbers, the language model included."""
    config = tiny_deepmlf_config(family, **UNDROPPED | fields)
    if family == "gpt2":
        config.text_config.attn_pdrop = config.text_config.embd_pdrop = config.text_config.resid_pdrop = 0.0
    model = tiny_deepmlf(family, **UNDROPPED | fields | {"text_config": config.text_config.to_dict()})
    return model.train()


def tiny_deepmlf_av(seed=0, **fields):
    """Return a DeepMLF audiovisual encoder in evaluation mode."""
    torch.manual_seed(seed)
    return _randomised(DeepMLFAudioVisualEncoder(DeepMLFAudioVisualConfig(**(AV_SIZES | fields))), 0.1)


def tiny_late_fusion_config(family="bert", **fields):
    """Return a configuration with 3 audio and 2 visual columns."""
    sizes = {"audio_dim": 3, "visual_dim": 2, "classifier_hidden_size": 8}
    return LateFusionConfig(text_config=TEXT_CONFIGS[family].to_dict(), **(sizes | fields))


def tiny_late_fusion(family="bert", seed=0, model_class=LateFusionForSequenceClassification, **fields):
    """Return a late fusion in evaluation mode with large enough weights for every part to matter."""
    torch.manual_seed(seed)
    return _randomised(model_class(tiny_late_fusion_config(family, **fields)), 0.2)


# A maker of every model type, each of which takes `seed` and fields of the configuration, and `family` where the model
# has a text model. The tests that all models share read it.
TINY = {
    "agfn": tiny_agfn,
    "deepmlf": tiny_deepmlf,
    "deepmlf_av": tiny_deepmlf_av,
    "late_fusion": tiny_late_fusion,
    "pgf_net": tiny_model,
}


def config_class(model_type):
    return getattr(models, MODELS[model_type][0])


def processor_class(model_type):
    return getattr(models, MODELS[model_type][3])


def families(model_type):
    """Return the families of text models that a model is built on, none for a model without one."""
    return config_class(model_type).supported_text_models


def is_encoder(model_type):
    """Say whether the text model is an encoder, of whose families BERT is always one."""
    return "bert" in families(model_type)


WITH_TEXT = [model_type for model_type in TINY if families(model_type)]
ENCODERS = [model_type for model_type in TINY if is_encoder(model_type)]
# By the names of tests: every model type with every family that it may be built on.
OF_EVERY_FAMILY = {
    f"{model_type}-{family}": partial(TINY[model_type], family)
    for model_type in WITH_TEXT
    for family in families(model_type)
}


def tiny_batch(batch_size=4, text_length=7, audio_length=5, visual_length=6, seed=0, **fields):
    """Return a batch whose rows have every length from the whole down."""
    generator = torch.Generator().manual_seed(seed)

    def mask(length):
        lengths = [max(1, length - row) for row in range(batch_size)]
        return (torch.arange(length) < torch.tensor(lengths)[:, None]).long()

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    input_ids = torch.randint(5, 60, (batch_size, text_length), generator=generator)
    return {
        "input_ids": input_ids.masked_fill(mask(text_length) == 0, 1),
        "attention_mask": mask(text_length),
        "audio_values": random(batch_size, audio_length, 3),
        "audio_attention_mask": mask(audio_length),
        "visual_values": random(batch_size, visual_length, 2),
        "visual_attention_mask": mask(visual_length),
    } | fields
