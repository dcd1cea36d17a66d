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
from tiny_models import DECODER_CONFIGS, WITH_TEXT, is_encoder
from tiny_run import write_text_model
from tiny_tokenizers import gpt2
from transformers import AutoModelForSequenceClassification, AutoProcessor, GPT2LMHeadModel

from hf_msa.data.sample_corpus import load_sample_corpus
from hf_msa.models import MODELS

ROOT = Path(__file__).parents[2]
FRESH = ROOT / "hf_msa" / "hub" / "fresh_process.py"
ELSEWHERE = ROOT / "tests" / "helpers" / "load_elsewhere.py"
COMMANDS = ROOT / "tests" / "helpers" / "run_commands.py"
CLASSES = {model_type: MODELS[model_type][1].removesuffix("Model") for model_type in WITH_TEXT}
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


@pytest.fixture
def text_models(tmp_path):
    """Return folders of text models small enough to train in seconds, by model type."""
    encoder = write_text_model(tmp_path / "encoder", max_position_embeddings=64)
    decoder = tmp_path / "decoder"
    torch.manual_seed(0)
    GPT2LMHeadModel(DECODER_CONFIGS["gpt2"]).save_pretrained(decoder)
    gpt2(model_max_length=40).save_pretrained(decoder)
    return {model_type: encoder if is_encoder(model_type) else decoder for model_type in CLASSES}


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


@pytest.fixture
def commands(command, tmp_path):
    """Return a runner of several commands of hf-msa and scripts in one process, which returns what they print."""

    def run(*lines):
        file = tmp_path / "commands.json"
        file.write_text(json.dumps([list(map(str, line)) for line in lines]))
        return output_of(command(COMMANDS, file))

    return run


def output_of(done):
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def result(done):
    lines = output_of(done).splitlines()
    return json.loads(next(line for line in lines if line.startswith("RESULT ")).removeprefix("RESULT "))


def logits_here(name_or_path, processor, **options):
    model = AutoModelForSequenceClassification.from_pretrained(name_or_path, **options).eval()
    with torch.no_grad():
        return model(**processor.collate(plain_rows(6))).logits


def plain_rows(number):
    """Return rows of the sample corpus as JSON can hold them."""
    rows = [load_sample_corpus()["test"][i] for i in range(number)]
    return [
        {key: value.tolist() if key in ("audio", "visual") else value for key, value in row.items()} for row in rows
    ]


@pytest.mark.parametrize(
    ("by_example", "by_command"),
    [
        pytest.param("pgf_net", ["deepmlf"], marks=pytest.mark.slow),
        pytest.param("late_fusion", ["agfn"], marks=pytest.mark.release),
    ],
)
def test_the_whole_path(by_example, by_command, text_models, command, commands, hub, online, tmp_path):
    def training(model_type):
        recipe = ROOT / "examples" / "configs" / f"{model_type}_sample.yaml"
        settings = ["max_steps=3", "measure_train=false", "seeds=[1111]", f"text_model={text_models[model_type]}"]
        options = [part for setting in [*settings, *SMALLER.get(model_type, [])] for part in ("--set", setting)]
        return ["train", recipe, "--output", tmp_path / model_type, *options]

    # Train and publish, one by an example and the others by the command; the connection breaks once amid the weights.
    model_types = [by_example, *by_command]
    hub.faults = [Fault("PUT /lfs", cut=1000)]
    printed = commands(
        *map(training, model_types),
        [ROOT / "examples" / "4_publish.py", tmp_path / by_example, f"user/{by_example}"],
        *(["publish", tmp_path / name, f"user/{name}", "--private", "--tag", "v1"] for name in by_command),
        [ROOT / "examples" / "1_predict.py", f"user/{by_example}", "main"],
    )
    assert "'score'" in printed
    assert printed.count("shares:") == 2
    assert len(hub.seen("PUT /lfs")) > len(model_types)  # one of them twice
    revisions = {by_example: hub.repository(f"user/{by_example}").at("main").sha} | dict.fromkeys(by_command, "v1")
    published = [f"user/{name}@{revision}" for name, revision in revisions.items()]

    # Load elsewhere; the download breaks once too.
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(plain_rows(6)))
    hub.faults = [Fault("GET .*model.safetensors", cut=1000)]
    python = os.environ.get("HF_MSA_BARE_PYTHON", sys.executable)
    loaded = result(command(ELSEWHERE, FRESH, rows, *published, python=python, path=""))
    # Train on there with a plain Trainer, and push again.
    trained = result(command(ELSEWHERE, FRESH, rows, "--train", tmp_path / "more", *published, path=""))

    for model_type in model_types:
        repository = f"user/{model_type}"
        first, *_, last = hub.repository(repository).history()[1:]
        assert hub.repository(repository).private
        assert not [name for name in first.files if name.startswith(("seeds", "predictions"))]
        there, after = loaded[repository], trained[repository]
        classes = ("ForSequenceClassification", "Processor", "Model", "Config")
        assert there["classes"] == [f"{CLASSES[model_type]}{part}" for part in classes]
        assert there["modules"] == []
        assert len(there["refused"]) == 2
        assert all(repository in error for error in there["refused"])
        processor = AutoProcessor.from_pretrained(tmp_path / model_type)
        here = logits_here(tmp_path / model_type, processor)
        torch.testing.assert_close(torch.tensor(there["logits"]).float(), here)

        # Both states load here.
        assert after["trained"] != after["logits"]
        assert {name for name in last.changed if name.endswith(".safetensors")} == {"model.safetensors"}
        for revision, expected in ((revisions[model_type], there["logits"]), ("main", after["trained"])):
            again = logits_here(repository, processor, revision=revision, cache_dir=tmp_path / "here")
            torch.testing.assert_close(again, torch.tensor(expected).float())
