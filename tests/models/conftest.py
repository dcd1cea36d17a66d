import logging

import pytest
from tiny_tokenizers import FAMILIES

from hf_msa.models import MsaFeatureExtractor, PGFNetProcessor, processing_msa


@pytest.fixture(scope="session")
def make_processor():
    """Return a maker of processors for 3 audio and 2 visual columns; other keywords reach tokenizer and extractor."""

    def make(family="bert", tokenizer=None, alignment=None, max_text_length=None, **extractor):
        extractor = MsaFeatureExtractor(**({"audio_dim": 3, "visual_dim": 2} | extractor))
        return PGFNetProcessor(extractor, FAMILIES[family](**(tokenizer or {})), alignment, max_text_length)

    return make


@pytest.fixture
def warned():
    """Return the list that collects what the processor warns of; warnings that came once before may come again."""
    messages = []

    class Collector(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    logger, collector = processing_msa.logger, Collector()
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(collector)
    logging.Logger.warning_once.cache_clear()
    yield messages
    logging.Logger.warning_once.cache_clear()
    logger.removeHandler(collector)
    logger.propagate = propagated


@pytest.fixture(scope="module")
def processor(make_processor):
    return make_processor()


@pytest.fixture(scope="module")
def unaligned(make_processor):
    return make_processor(alignment="none", tokenizer={"model_max_length": 32})
