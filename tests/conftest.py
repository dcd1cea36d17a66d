import pytest
import torch

pytest_plugins = ["hub_fixtures"]


@pytest.fixture(scope="module", autouse=True)
def verbosity_of_its_own():
    """Let the commands, which silence transformers for their process, silence no other file's tests."""
    from transformers.utils import logging

    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    yield
    logging.set_verbosity(verbosity)
    (logging.enable_progress_bar if has_bars else logging.disable_progress_bar)()


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Compute on one thread: on a busy machine threads with little work wait for each other 200 times as long."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)
