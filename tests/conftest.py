import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Compute on one thread: on a busy machine the threads of tiny matrices wait for each other."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)
