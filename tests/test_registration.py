"""`import hf_msa` is cheap, and transformers' Auto classes know the models whatever is imported first."""

import subprocess
import sys

import pytest

HEAVY = "{'torch', 'transformers', 'pandas', 'datasets', 'numpy', 'rich.progress', 'rich.table'}"
KNOWS = (
    "from transformers import AutoConfig; AutoConfig.for_model('pgf_net')\n"
    "from transformers.pipelines import PIPELINE_REGISTRY\n"
    "PIPELINE_REGISTRY.check_task('multimodal-sentiment-analysis')\n"
)


def run_fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_command_line_loads_nothing_heavy():
    run_fresh(f"import sys, hf_msa.cli\nassert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "before",
    [
        "import hf_msa.cli\n",
        "from transformers import AutoConfig; import hf_msa\n",
        # An import that fails after it has brought the Auto classes.
        "import hf_msa, pathlib, tempfile\n"
        "folder = tempfile.mkdtemp(); hf_msa.__path__.append(folder)\n"
        "pathlib.Path(folder, 'broken.py').write_text('from transformers import AutoConfig; 1 / 0')\n"
        "try: import hf_msa.broken\n"
        "except ZeroDivisionError: pass\n",
    ],
    ids=["command line first", "Auto classes first", "after a failed import"],
)
def test_the_models_are_known_in_any_order(before):
    run_fresh(before + KNOWS)


def test_the_package_loads_without_torch_and_transformers_and_breaks_neither():
    run_fresh(
        "import sys; sys.modules['torch'] = None\n"
        "import hf_msa, importlib.util\n"
        "assert importlib.util.find_spec('transformers').loader.is_package('transformers')\n"
        "from transformers import AutoConfig; AutoConfig.for_model('bert')\n"
        "import transformers.utils as module\n"
        "assert 'hf_msa' not in f'{module.__loader__} {module.__spec__}'\n"
    )
    run_fresh("import sys; sys.modules['transformers'] = sys.modules['torch'] = None; import hf_msa, hf_msa.cli")
