import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def little_garbage():
    """Let the collections that end every training look at what the training left, not at all of transformers."""
    gc.freeze()
    yield
    gc.unfreeze()
