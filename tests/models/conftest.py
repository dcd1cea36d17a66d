import logging

import pytest
import torch
from tiny_tokenizers import FAMILIES

from hf_msa.models import MsaFeatureExtractor, PGFNetProcessor, processing_msa


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Compute on one thread: on a busy machine the threads of tiny matrices wait for each other 200 times longer."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


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
