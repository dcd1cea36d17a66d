"""A Hub on loopback for the tests that push and pull, and a client that talks to it."""

import pytest
import transformers.utils.hub
from hub_server import HubServer
from hub_store import READER, STRANGER, WRITER, User
from huggingface_hub import HfApi, close_session, constants, hf_api


@pytest.fixture(scope="session")
def hub_server():
    """Return the one server of all tests."""
    with HubServer() as server:
        yield server


@pytest.fixture
def hub(hub_server):
    """Return a server that knows three users and nothing else."""
    hub_server.forget()
    hub_server.store.users |= {
        WRITER: User("user", ("lab",)),
        READER: User("user", can_write=False),
        STRANGER: User("stranger"),
    }
    return hub_server


@pytest.fixture
def online(hub, monkeypatch, tmp_path):
    """Point the client of this process at the server, with the writer's token."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    # The client's and transformers' own objects, made before; older versions of transformers use the first.
    monkeypatch.setattr(hf_api.api, "endpoint", hub.url)
    monkeypatch.setattr(transformers.utils.hub, "_hf_api", None, raising=False)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield hub
    close_session()


@pytest.fixture
def api(online):
    return HfApi()
