"""What a training run needs, small enough to train in a second: a text model, a corpus, a recipe."""

import pickle

import numpy as np
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

VALUES = {"wonderful": 1.5, "good": 0.75, "the": 0.0, "movie": 0.0, "was": 0.0, "bad": -0.75, "awful": -1.5}
SIZES = {"train": 12, "valid": 6, "test": 7}


def write_text_model(folder, **sizes):
    """Save a BERT of 2 layers of width 24 that knows seven words."""
    torch.manual_seed(0)
    small = {"vocab_size": 16, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    small |= {"intermediate_size": 32, "max_position_embeddings": 32}
    BertModel(BertConfig(**small | sizes)).save_pretrained(folder)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *VALUES]
    BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=32).save_pretrained(folder)
    return folder


def write_decoder(folder, family="gpt2", num_layers=2):
    """Save a GPT-2 or Llama of width 16 that knows seven words, lower case, and has no padding token."""
    torch.manual_seed(0)
    special = {"bos_token_id": 0, "eos_token_id": 0}
    if family == "gpt2":
        sizes = {"vocab_size": 16, "n_embd": 16, "n_layer": num_layers, "n_head": 2, "n_positions": 128}
        model = GPT2LMHeadModel(GPT2Config(**sizes | special))
    else:
        sizes = {"vocab_size": 16, "hidden_size": 16, "num_hidden_layers": num_layers, "num_attention_heads": 2}
        sizes |= {"intermediate_size": 24, "max_position_embeddings": 128, "tie_word_embeddings": True}
        model = LlamaForCausalLM(LlamaConfig(**sizes | special))
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["<end>", "<unk>", *VALUES])}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"bos_token": "<end>", "eos_token": "<end>", "unk_token": "<unk>", "model_max_length": 128}
    PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(folder)
    return folder


def corpus_content(sizes=None, audio_dim=3, visual_dim=2, classes=False, seed=0):
    """Return an unaligned MMSA corpus whose labels are what its words say."""
    rng = np.random.default_rng(seed)
    content = {}
    for split, size in (sizes or SIZES).items():
        texts = [" ".join(rng.choice(list(VALUES), size=1 + i % 6)) for i in range(size)]
        labels = [float(np.clip(sum(VALUES[word] for word in text.split()), -3, 3)) for text in texts]
        if classes:
            labels = [float(np.sign(label) + 1) for label in labels]
        content[split] = {
            "raw_text": texts,
            "id": [f"{split}$_${i}" for i in range(size)],
            "audio": rng.standard_normal((size, 8, audio_dim)).astype(np.float32),
            "vision": rng.standard_normal((size, 5, visual_dim)).astype(np.float32),
            "audio_lengths": [4 + i % 5 for i in range(size)],
            "vision_lengths": [5 - i % 3 for i in range(size)],
            "regression_labels": np.array(labels, np.float32),
        }
    return content


def write_corpus(path, content=None, **options):
    """Save a corpus as MMSA does."""
    path.write_bytes(pickle.dumps(corpus_content(**options) if content is None else content, 4))
    return path


def recipe_values(text_model, corpus, **changes):
    """Return the keys of a recipe of one epoch; a key of None is kept."""
    values = {
        "text_model": str(text_model),
        "corpus": str(corpus),
        "model": {"adapter_bottleneck": 4, "gate_rank": 2, "classifier_hidden_size": 8},
        "processor": {"alignment": "none"},
        "lora": {"r": 2, "lora_alpha": 2},
        "seeds": [3],
        "num_train_epochs": 1,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
    }
    return values | changes


def write_recipe(path, *arguments, **changes):
    """Write `recipe_values` as YAML."""
    path.write_text(yaml.safe_dump(recipe_values(*arguments, **changes)), encoding="utf-8")
    return path
