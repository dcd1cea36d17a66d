"""Tokenizers of every family, made in a blink from a few sentences; `FAMILIES` maps a name to its maker."""

import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import BertTokenizer, ElectraTokenizer, GPT2Tokenizer, RobertaTokenizer, XLMRobertaTokenizer

SENTENCES = [
    "i loved it",
    "i hated the movie, it was unbelievably boring!",
    "the acting was not bad at all... well-known actors don't care",
    "a really really wonderful film, and what a beautiful ending",
    "she said: it is 3 o'clock; we liked the caf\u00e9",
    "\u6211\u559c\u6b22\u8fd9\u90e8\u7535\u5f71",
    "\u6211\u4e0d\u559c\u6b22\u7535\u5f71\u9662",
    "\u7535\u5f71\u5f88\u597d\u770b",
]

# What WordPiece and Unigram know as a whole; longer words fall into these and into letters.
WORDS = ["i", "loved", "it", "the", "movie", "was", "un", "believ", "ably", "bor", "ing", "not", "bad"]

# Chinese words that the SentencePiece tokenizer merges into one token each.
MERGED = ("\u559c\u6b22", "\u7535\u5f71")


def bert(tokenizer_class=BertTokenizer, **kwargs):
    """WordPiece: lower case, one token per Chinese character, `##` inside of words."""
    letters = sorted(set("".join(SENTENCES).lower().replace("\u00e9", "e")) - {" "})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    pieces += [*WORDS, *(f"##{word}" for word in WORDS)]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return tokenizer_class(vocab=vocab, **({"model_max_length": 64} | kwargs))


def electra(**kwargs):
    """WordPiece under ELECTRA's name."""
    return bert(ElectraTokenizer, **kwargs)


def _byte_level(special_tokens):
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(SENTENCES, trainer)
    model = json.loads(trained.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(merge) for merge in model["merges"]]}


def roberta(**kwargs):
    """Byte-level BPE: cased, spaces belong to tokens, a Chinese character may be several tokens."""
    trained = _byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return RobertaTokenizer(**trained, **({"model_max_length": 64} | kwargs))


def gpt2(**kwargs):
    """The same, as a decoder has it: no special tokens around a text, and no padding token."""
    return GPT2Tokenizer(**_byte_level(["<|endoftext|>"]), **({"model_max_length": 64} | kwargs))


def xlm_roberta(**kwargs):
    """Unigram over SentencePiece's spaces: two Chinese characters may be one token."""
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    scored = [("\u2581", -4.0), *[(f"\u2581{word}", -6.0) for word in WORDS]]
    scored += [(word, -7.0) for word in [*WORDS, *MERGED]]
    scored += [(letter, -10.0) for letter in sorted(set("".join(SENTENCES)) - {" "} - {word for word, _ in scored})]
    vocab = [*special, *scored, ("<mask>", 0.0)]
    return XLMRobertaTokenizer(vocab=vocab, **({"model_max_length": 64} | kwargs))


FAMILIES = {"bert": bert, "electra": electra, "roberta": roberta, "xlm_roberta": xlm_roberta}
