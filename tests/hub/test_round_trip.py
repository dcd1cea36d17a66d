"""The whole path, each step in a process of its own: train, publish, load elsewhere, predict, train on, publish."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_server import Fault
from hub_store import STRANGER, WRITER
from tiny_models import DECODER_CONFIGS
from tiny_run import write_text_model
from tiny_tokenizers import gpt2
from transformers import AutoModelForSequenceClassification, AutoProcessor, GPT2LMHeadModel

from hf_msa.data.sample_corpus import load_sample_corpus

ROOT = Path(__file__).parents[2]
FRESH = ROOT / "hf_msa" / "hub" / "fresh_process.py"
ELSEWHERE = Path(__file__).parents[1] / "helpers" / "load_elsewhere.py"
CLASSES = {"pgf_net": "PGFNet", "agfn": "AGFN", "deepmlf": "DeepMLF"}
SMALLER = {
    "pgf_net": ["model.gate_rank=4", "model.adapter_bottleneck=4"],
    "agfn": ["model.hidden_size=16", "model.num_attention_heads=2"],
    "deepmlf": [
        "model.fusion_layers=[1, 2]",
        "model.num_attention_heads=2",
        "model.num_fusion_tokens=3",
        "model.lora_rank=2",
        "processor.max_text_length=30",
    ],
}


@pytest.fixture(params=CLASSES)
def model_type(request):
    return request.param


@pytest.fixture
def text_model(model_type, tmp_path):
    """Return a folder with a text model small enough to train in seconds."""
    folder = tmp_path / "text-model"
    if model_type != "deepmlf":
        return write_text_model(folder, max_position_embeddings=64)
    torch.manual_seed(0)
    GPT2LMHeadModel(DECODER_CONFIGS["gpt2"]).save_pretrained(folder)
    gpt2(model_max_length=40).save_pretrained(folder)
    return folder


@pytest.fixture
def command(hub, tmp_path):
    """Return a runner of Python in a process of its own that knows the server and, by default, the writer's token."""

    def run(*arguments, token=WRITER, python=sys.executable, path=str(ROOT)):
        environment = os.environ | hub.environment(token, tmp_path / "home") | {"PYTHONPATH": path}
        environment |= {"OMP_NUM_THREADS": "1", "STRANGERS_TOKEN": STRANGER}
        done = subprocess.run(
            [python, *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert WRITER not in done.stdout + done.stderr
        return done

    return run


def result(done):
    assert done.returncode == 0, done.stderr[-4000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def plain_rows(number):
    """Return rows of the sample corpus as JSON can hold them."""
    rows = [load_sample_corpus()["test"][i] for i in range(number)]
    return [
        {key: value.tolist() if key in ("audio", "visual") else value for key, value in row.items()} for row in rows
    ]


@pytest.mark.slow
def test_the_whole_path(model_type, text_model, command, hub, online, tmp_path):
    settings = ["num_train_epochs=1", "seeds=[1111]", f"text_model={text_model}", *SMALLER[model_type]]
    recipe = ROOT / "examples" / "configs" / f"{model_type}_sample.yaml"
    options = [part for setting in settings for part in ("--set", setting)]
    trained = command("-m", "hf_msa", "train", recipe, "--output", tmp_path / "run", *options)
    assert trained.returncode == 0, trained.stderr[-4000:]

    # Publish; the connection breaks once in the middle of the weights.
    hub.faults = [Fault("PUT /lfs", cut=1000)]
    if model_type == "pgf_net":
        done = command(ROOT / "examples" / "4_publish.py", tmp_path / "run", "user/model")
        assert "'score'" in done.stdout, done.stderr[-4000:]
        revision = hub.repository("user/model").at("main").sha
        done = command(ROOT / "examples" / "1_predict.py", "user/model", revision)
        assert done.stdout.count("shares:") == 2, done.stderr[-4000:]
    else:
        done = command("-m", "hf_msa", "publish", tmp_path / "run", "user/model", "--private", "--tag", "v1")
        revision = "v1"
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(hub.seen("PUT /lfs")) > 1
    repository = hub.repository("user/model")
    first = repository.at("main")
    assert repository.private
    assert not [name for name in first.files if name.startswith(("seeds", "predictions"))]

    # Load elsewhere; the download breaks once too.
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(plain_rows(6)))
    hub.faults = [Fault("GET .*model.safetensors", cut=1000)]
    python = os.environ.get("HF_MSA_BARE_PYTHON", sys.executable)
    found = result(command(ELSEWHERE, FRESH, "user/model", revision, rows, python=python, path=""))
    name = CLASSES[model_type]
    assert found["classes"] == [
        f"{name}ForSequenceClassification",
        f"{name}Processor",
        f"{name}Model",
        f"{name}Config",
    ]
    assert found["modules"] == []
    assert len(found["refused"]) == 2
    assert all("user/model" in error for error in found["refused"])
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run").eval()
    processor = AutoProcessor.from_pretrained(tmp_path / "run")
    with torch.no_grad():
        logits = model(**processor.collate(plain_rows(6))).logits
    torch.testing.assert_close(torch.tensor(found["logits"]).float(), logits)

    # Train on there with a plain Trainer, push again, and load both states here.
    trained = result(command(ELSEWHERE, FRESH, "user/model", revision, rows, "--train", tmp_path / "more", path=""))
    assert trained["trained"] != trained["logits"]
    assert {name for name in repository.at("main").changed if name.endswith(".safetensors")} == {"model.safetensors"}
    for at, expected in ((revision, found["logits"]), ("main", trained["trained"])):
        again = AutoModelForSequenceClassification.from_pretrained(
            "user/model", revision=at, cache_dir=tmp_path / "here"
        ).eval()
        with torch.no_grad():
            torch.testing.assert_close(
                again(**processor.collate(plain_rows(6))).logits, torch.tensor(expected).float()
            )
