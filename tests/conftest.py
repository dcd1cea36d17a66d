import gc
from importlib.metadata import PackageNotFoundError, metadata, requires, version

import pytest
import torch
from packaging.requirements import Requirement

pytest_plugins = ["hub_fixtures"]


def pytest_addoption(parser):
    parser.addoption("--gate", action="store_true", help="fail on every warning, and on a skip that is not expected")


def pytest_configure(config):
    if config.getoption("gate"):
        # In front, where it is the weakest: what pyproject.toml ignores stays ignored.
        config.getini("filterwarnings").insert(0, "error")


def pytest_report_header(config):
    """Say in the gate which versions were resolved and which extras are there."""
    if not config.getoption("gate"):
        return []
    versions, extras = {}, set(metadata("hf_msa").get_all("Provides-Extra"))
    for requirement in map(Requirement, requires("hf_msa")):
        try:
            versions[requirement.name] = version(requirement.name)
        except PackageNotFoundError:
            extras -= {extra for extra in extras if requirement.marker.evaluate({"extra": extra})}
    listed = ", ".join(f"{name} {versions[name]}" for name in sorted(versions))
    return [f"versions: {listed}", f"extras: {', '.join(sorted(extras))}"]


def is_expected(reason):
    """Tell whether a skip is no fault of the environment that the gate made."""
    return reason.startswith("Skipped: needs a GPU") or "HF_MSA_CORPORA does not say" in reason


def fail_if_unexpected(report, config):
    """Turn a skip that is not expected into a failure."""
    if config.getoption("gate") and report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not is_expected(reason):
            report.outcome, report.longrepr = "failed", f"expected no skip in the gate, got {reason!r}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item):
    return fail_if_unexpected((yield), item.config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector):
    return fail_if_unexpected((yield), collector.config)


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


@pytest.fixture(scope="module", autouse=True)
def little_garbage():
    """Let the collections that end every training look at what a test left, and not at all of transformers."""
    gc.freeze()
    yield
    gc.unfreeze()
