"""A saved folder loads and scores where hf_msa and peft are not installed."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from tiny_models import TINY, processor_class, tiny_batch
from tiny_tokenizers import bert
from transformers import AutoModel, AutoModelForSequenceClassification, AutoProcessor, pipeline

from hf_msa import models
from hf_msa.models import MsaFeatureExtractor

SHARED_CODE = {
    "alignment_msa.py",
    "configuration_msa.py",
    "errors_msa.py",
    "frames_msa.py",
    "inputs_msa.py",
    "streams_msa.py",
    "feature_extraction_msa.py",
    "modeling_msa.py",
    "pipeline_msa.py",
    "processing_msa.py",
}
ROOM = Path(models.__file__).parent
AV_CODE = {"av_encoder_deepmlf.py", "configuration_deepmlf_av.py", "modeling_deepmlf_av.py", "processing_deepmlf.py"}
# The code of a model is the files that end with its name, but for DeepMLF, whose two stages share files.
OWN_CODE = {
    **{model_type: {path.name for path in ROOM.glob(f"*_{model_type}.py")} for model_type in TINY},
    "deepmlf": AV_CODE | {f"{kind}_deepmlf.py" for kind in ("configuration", "decoder", "layers", "modeling")},
    "deepmlf_av": AV_CODE,
}
UTTERANCE = {
    "text": "i loved it",
    "audio": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]],
    "words": [["i", 0.0, 0.4], ["loved", 0.4, 1.0], ["it", 1.0, 2.0]],
    "audio_rate": 1.0,
}
LOAD = """
import json, sys, torch
from pathlib import Path
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoProcessor, pipeline
inputs, again, *folders = sys.argv[1:]
batch, utterance = torch.load(inputs, weights_only=True), json.loads(sys.stdin.read())
results = {}
for folder in folders:
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    with torch.no_grad():
        logits = model(**batch).logits
    pipe = pipeline("multimodal-sentiment-analysis", model=folder, trust_remote_code=True)
    copied = Path(again) / Path(folder).name
    model.save_pretrained(copied)
    processor.save_pretrained(copied)
    reloaded = AutoModelForSequenceClassification.from_pretrained(copied, trust_remote_code=True).eval()
    with torch.no_grad():
        same = bool(torch.equal(reloaded(**batch).logits, logits))
    results[Path(folder).name] = {
        "logits": logits.double().tolist(),
        "same_after_saving_again": same,
        "classes": [type(model).__name__, type(processor).__name__, type(processor.feature_extractor).__name__,
                    type(AutoModel.from_pretrained(folder, trust_remote_code=True)).__name__,
                    type(AutoConfig.from_pretrained(folder, trust_remote_code=True)).__name__],
        "collated": processor.collate([utterance | {"label": 1.0}])["labels"].tolist(),
        "scored": pipe(utterance, explain=True),
        "modules": [name for name in ("hf_msa", "peft") if name in sys.modules],
    }
print("RESULT " + json.dumps(results))
"""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder of every kind of model."""
    folders = {name: tmp_path_factory.mktemp("exported") / f"{name}.tiny" for name in TINY}
    for name, folder in folders.items():
        TINY[name]().save_pretrained(folder)
        extractor = MsaFeatureExtractor(audio_dim=3, visual_dim=2)
        processor_class(name)(extractor, bert(model_max_length=32)).save_pretrained(folder)
    return folders


@pytest.fixture(scope="module", params=TINY)
def model_type(request):
    return request.param


@pytest.fixture(scope="module")
def checkpoint(checkpoints, model_type):
    return checkpoints[model_type]


def code(model_type):
    return SHARED_CODE | OWN_CODE[model_type]


def load_elsewhere(python, checkpoints, tmp_path):
    """Load every folder in one fresh process, whose start takes longer than all that it is asked."""
    torch.save(tiny_batch(), tmp_path / "batch.pt")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, "-c", LOAD, str(tmp_path / "batch.pt"), str(tmp_path / "again"), *map(str, checkpoints.values())],
        input=json.dumps(UTTERANCE),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def check(result, checkpoint, model_type):
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
    with torch.no_grad():
        assert result["logits"] == model(**tiny_batch()).logits.double().tolist()
    assert result["same_after_saving_again"]
    assert result["classes"] == [
        type(model).__name__,
        processor_class(model_type).__name__,
        "MsaFeatureExtractor",
        type(AutoModel.from_pretrained(checkpoint)).__name__,
        type(model.config).__name__,
    ]
    assert result["collated"] == [1.0]
    assert result["modules"] == []
    here = pipeline("multimodal-sentiment-analysis", model=str(checkpoint))(UTTERANCE, explain=True)
    assert result["scored"] == here


def test_a_folder_holds_weights_configuration_processor_and_all_code(checkpoint, model_type):
    names = {path.name for path in checkpoint.iterdir()}
    assert names - code(model_type) == {
        "config.json",
        "model.safetensors",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert names >= code(model_type)


def test_every_entry_of_the_configuration_points_to_code_that_is_there(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    entries = [*config["auto_map"].values(), config["custom_pipelines"]["multimodal-sentiment-analysis"]["impl"]]
    assert set(config["auto_map"]) == {
        "AutoConfig",
        "AutoModel",
        "AutoModelForSequenceClassification",
        "AutoProcessor",
    }
    for entry in entries:
        module, name = entry.split(".")
        assert f"\nclass {name}(" in (checkpoint / f"{module}.py").read_text()


def test_weights_alone_bring_all_code_too(model_type, tmp_path):
    TINY[model_type]().save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.glob("*.py")} == code(model_type)


def test_installed_users_need_no_permission_to_run_code(checkpoint, model_type):
    assert type(AutoModelForSequenceClassification.from_pretrained(checkpoint)) is type(TINY[model_type]())
    assert type(AutoProcessor.from_pretrained(checkpoint)) is processor_class(model_type)
    pipe = pipeline("multimodal-sentiment-analysis", model=str(checkpoint))
    assert pipe({"text": "i loved it"})["label"] in ("negative", "neutral", "positive")


def test_a_loaded_model_object_serves_a_pipeline_without_permission(checkpoint):
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    processor = AutoProcessor.from_pretrained(checkpoint)
    assert "score" in pipeline("multimodal-sentiment-analysis", model=model, processor=processor)({"text": "bad"})


@pytest.mark.slow
def test_folders_load_bit_equal_in_an_environment_with_only_torch_and_transformers(checkpoints, tmp_path):
    assert "HF_MSA_BARE_PYTHON" in os.environ, (
        "HF_MSA_BARE_PYTHON: expected a Python with torch and transformers alone"
    )
    results = load_elsewhere(os.environ["HF_MSA_BARE_PYTHON"], checkpoints, tmp_path)
    for model_type, checkpoint in checkpoints.items():
        check(results[checkpoint.name], checkpoint, model_type)
