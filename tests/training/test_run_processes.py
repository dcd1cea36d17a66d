"""`hf-msa train` as processes of their own: killed and resumed, or two at once, it ends in the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm_processes
from tiny_run import write_corpus, write_recipe, write_text_model

from hf_msa.evaluation.results import read_results
from hf_msa.training import read_recipe, train_recipe

PACKAGE = Path(__file__).parents[2]
# Dropout is drawn by each process for itself.
NO_DROPOUT = {"adapter_dropout": 0.0, "classifier_dropout": 0.0}
TEXT_WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.mark.slow
def test_a_command_that_was_killed_and_is_resumed_ends_in_the_same_metrics(tmp_path, tmp_path_factory):
    text_model, corpus = write_text_model(tmp_path / "text"), write_corpus(tmp_path / "tiny.pkl")
    settings = {"num_train_epochs": 20, "early_stopping_patience": None, "learning_rate": 1e-3}
    recipe = write_recipe(tmp_path / "tiny.yaml", text_model, corpus, **settings)
    whole = train_recipe(read_recipe(recipe), tmp_path / "whole")
    line = ["train", recipe, "--output", tmp_path / "killed"]
    process = warm_processes.start(warm_processes.command, *line)
    training = tmp_path / ".killed.unfinished" / "training" / "3"
    while not any(training.glob("checkpoint-*/trainer_state.json")) and process.is_alive():
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "results.json").exists()
    printed = tmp_path_factory.mktemp("printed") / "resumed"
    code = warm_processes.run(warm_processes.command, *line, "--resume", "--json", output=printed)
    assert code == 0, printed.with_suffix(".err").read_text()
    assert json.loads(printed.with_suffix(".out").read_text())["summary"] == whole.summary()
    resumed = read_results(tmp_path / "killed")
    assert [one.metrics for one in resumed.runs] == [one.metrics for one in whole.runs]
    assert resumed.model == whole.model
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "text", "tiny.pkl", "tiny.yaml", "whole"]


@pytest.mark.slow
def test_two_processes_train_a_recipe_as_one_and_one_of_them_writes(tmp_path):
    text_model = write_text_model(tmp_path / "text", **TEXT_WITHOUT_DROPOUT)
    corpus = write_corpus(tmp_path / "tiny.pkl")
    model = {"adapter_bottleneck": 4, "gate_rank": 2, "classifier_hidden_size": 8, **NO_DROPOUT}
    settings = {"model": model, "lora": {"r": 2, "lora_alpha": 2, "lora_dropout": 0.0}, "num_train_epochs": 2}
    one = write_recipe(tmp_path / "one.yaml", text_model, corpus, **settings)
    two = write_recipe(tmp_path / "two.yaml", text_model, corpus, **settings, per_device_train_batch_size=2)
    expected = train_recipe(read_recipe(one), tmp_path / "one")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "hf_msa"]
    done = subprocess.run(
        [*launch, "train", str(two), "--output", str(tmp_path / "two"), "--json"],
        env=os.environ | {"PYTHONPATH": str(PACKAGE), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.strip().splitlines()
    assert json.loads(line)["best_seed"] == 3
    found = read_results(tmp_path / "two")
    for split, metrics in expected.runs[0].metrics.items():
        assert found.runs[0].metrics[split] == pytest.approx(metrics, abs=1e-4), split
    assert found.model == expected.model
    names = ["one", "one.yaml", "text", "tiny.pkl", "two", "two.yaml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
