"""The cache of the text's keys and values reaches every block, whatever transformers calls it."""

import pytest
import torch
from tiny_models import DECODER_CONFIGS, tiny_batch, tiny_deepmlf
from torch import nn
from transformers import Cache, DynamicCache

from hf_msa.models import modeling_deepmlf
from hf_msa.models.decoder_deepmlf import cache_argument, language_model_layers


@pytest.fixture(scope="module", params=DECODER_CONFIGS)
def model(request):
    return tiny_deepmlf(request.param)


class Named(nn.Module):
    def forward(self, hidden, cache=None, **kwargs):
        return hidden


class NamedAsBefore(nn.Module):
    def forward(self, hidden, past_key_values=None, **kwargs):
        return hidden


class Swallowing(nn.Module):
    def forward(self, hidden, layer_past=None, **kwargs):
        return hidden


def of(block):
    """A language model whose blocks are of one class."""
    model = nn.Module()
    model.config, model.layers = DECODER_CONFIGS["llama"], nn.ModuleList([block()])
    return model


def scores(model):
    with torch.no_grad():
        return model(**tiny_batch()).logits


@pytest.mark.parametrize(("block", "name"), [(Named, "cache"), (NamedAsBefore, "past_key_values")])
def test_a_cache_goes_under_the_name_that_the_blocks_have_for_it(block, name):
    cache = DynamicCache()
    assert cache_argument(of(block), cache) == {name: cache}


def test_blocks_that_would_swallow_a_cache_are_refused_by_name():
    with pytest.raises(TypeError, match=r"Swallowing\.forward: expected the argument cache or past_key_values"):
        cache_argument(of(Swallowing), DynamicCache())


def test_every_block_that_runs_alone_fills_the_cache(model, monkeypatch):
    filled = []

    def watched(model, cache):
        filled.append(cache)
        return cache_argument(model, cache)

    monkeypatch.setattr(modeling_deepmlf, "cache_argument", watched)
    scores(model)
    cache = filled[0]
    assert all(other is cache for other in filled)
    # Seven tokens of text and three fusion tokens, in the blocks up to the first that fuses.
    assert [cache.get_seq_length(layer) for layer in range(2)] == [10, 10]


def test_a_cache_that_is_ignored_changes_the_scores(model, monkeypatch):
    """What `test_running_the_text_first_and_alone_changes_neither_score_nor_gradient` would notice."""
    expected = scores(model)

    def without_cache(forward):
        def run(*args, **kwargs):
            return forward(
                *args, **{key: None if isinstance(value, Cache) else value for key, value in kwargs.items()}
            )

        return run

    for layer in language_model_layers(model.text_model):
        monkeypatch.setattr(layer, "forward", without_cache(layer.forward))
    assert ((scores(model) - expected).abs() > 1e-3).all()
