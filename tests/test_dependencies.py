"""What the package needs is declared, and what it declares is tested: the lowest versions as well as the newest."""

import ast
import sys
import tomllib
import warnings
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hf_msa.errors import MsaWarning

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def by_name(lines):
    requirements = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements}


def declared():
    """Return the versions of all that users may install with the package, extras and tests included."""
    extras = [line for extra, lines in PROJECT["optional-dependencies"].items() if extra != "dev" for line in lines]
    found = by_name([*PROJECT["dependencies"], *extras])
    del found["hf-msa"]  # an extra of its own
    return found


def test_every_floor_is_pinned_in_the_lowest_environment_of_the_gate():
    pins = by_name((ROOT / ".ci" / "lowest.txt").read_text().splitlines())
    assert pins.keys() == declared().keys()
    for name, versions in declared().items():
        (floor,) = [one.version for one in versions if one.operator == ">="]
        (pin,) = pins[name]
        assert pin.operator == "=="
        assert floor in pins[name], f"{name}: expected the floor {floor}, got {pin.version}"


def test_every_import_of_the_package_is_of_a_declared_dependency():
    imported = set()
    for path in (ROOT / "hf_msa").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split(".")[0])
    distributions = packages_distributions()
    for name in imported - {"hf_msa", *sys.stdlib_module_names}:
        assert {canonicalize_name(one) for one in distributions[name]} <= declared().keys(), name


@pytest.mark.parametrize("category", [MsaWarning, FutureWarning, UserWarning])
def test_our_warnings_are_errors_here_and_those_of_others_only_in_the_gate(category, pytestconfig):
    with warnings.catch_warnings(record=True) as recorded:
        if category is MsaWarning or pytestconfig.getoption("gate"):
            with pytest.raises(category, match="renamed"):
                warnings.warn("renamed", category, stacklevel=1)
            assert recorded == []
        else:
            warnings.warn("renamed", category, stacklevel=1)
            assert len(recorded) == 1
