import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Compute on one thread: on a busy machine threads with little work wait for each other 200 times as long."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)
