"""train, evaluate and compare as a user runs them; every mistake is one line and exit code 2, and writes nothing."""

import json
import math
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from tiny_run import SIZES, corpus_content, recipe_values, write_corpus, write_recipe, write_text_model
from typer.testing import CliRunner

from hf_msa import __version__
from hf_msa.cli import app
from hf_msa.evaluation.results import read_results
from hf_msa.models import MODELS


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_refused(result, *parts):
    """Check that a command ended with exit code 2 and one line that holds these parts."""
    assert result.exit_code == 2, (result.output, result.exception)
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("hf-msa: ")
    for part in map(str, parts):
        assert part in line
    assert result.stdout == ""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a text model, a corpus, a recipe, and a run of one seed."""
    folder = tmp_path_factory.mktemp("place")
    text_model, corpus = write_text_model(folder / "text"), write_corpus(folder / "tiny.pkl")
    recipe = write_recipe(folder / "tiny.yaml", text_model, corpus, seeds=[5, 3])
    result = run("train", recipe, "--output", folder / "runs" / "tiny", "--seeds", 1, "--json")
    assert result.exit_code == 0, result.output
    paths = {"text": text_model, "corpus": corpus, "recipe": recipe, "run": folder / "runs" / "tiny"}
    return SimpleNamespace(folder=folder, printed=result.stdout, **paths)


@pytest.fixture
def refuse(place, tmp_path):
    """Train with changed recipe, corpus or arguments; check that it is refused and that nothing was written."""

    def refused(*parts, arguments=(), content=None, recipe=None, **changes):
        corpus = place.corpus if content is None else write_corpus(tmp_path / "bad.pkl", content)
        values = recipe_values(**({"text_model": place.text, "corpus": corpus} | changes))
        path = tmp_path / "recipe.yaml"
        path.write_text(json.dumps(values) if recipe is None else recipe)  # JSON is YAML
        before = sorted(tmp_path.rglob("*"))
        result = run("train", path, "--output", tmp_path / "new", *arguments)
        assert_refused(result, *parts)
        assert sorted(tmp_path.rglob("*")) == before

    return refused


# What works


@pytest.mark.parametrize("command", ["train", "evaluate", "compare"])
def test_the_help_shows_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: hf-msa {command}" in " ".join(result.output.split())


def test_train_prints_the_summary_as_json_and_writes_the_run(place):
    printed = json.loads(place.printed)
    results = read_results(place.run)
    assert printed == {"folder": str(place.run), "best_seed": 5, "summary": results.summary()}
    assert results.seeds == [5]
    assert results.name == "tiny"
    assert results.command == "hf-msa train tiny.yaml --seeds 1"
    assert [path.name for path in place.run.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_evaluate_repeats_the_numbers_of_the_results(place, split):
    result = run("evaluate", place.run, "--corpus", place.corpus, "--split", split, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == read_results(place.run).runs[0].metrics[split]


def test_evaluate_and_compare_print_tables(place):
    result = run("evaluate", place.run, "--corpus", place.corpus)
    assert result.exit_code == 0, result.output
    assert f"{read_results(place.run).runs[0].metrics['test']['mae']:.4f}" in result.stdout
    result = run("compare", place.run, place.run)
    assert result.exit_code == 0, result.output
    assert "mae of tiny (1) minus tiny (2) on test: +0.0000" in result.stdout
    assert json.loads(run("compare", place.run, place.run, "--json").stdout)["gain"]["difference"] == 0


def test_measuring_draws_a_bar_on_standard_error_but_not_for_machines(place):
    terminal = CliRunner(env={"FORCE_COLOR": "1", "TERM": "xterm"})
    command = ["evaluate", str(place.run), "--corpus", str(place.corpus)]
    shown = terminal.invoke(app, command)
    assert "measuring" in shown.stderr
    assert f"{SIZES['test']}/{SIZES['test']}" in shown.stderr
    assert "measuring" not in shown.stdout
    assert terminal.invoke(app, [*command, "--json"]).stderr == ""


def test_the_command_is_recorded_without_the_folders_of_this_machine(place, monkeypatch):
    from hf_msa.training import run as run_module

    commands = []
    monkeypatch.setattr(run_module, "train_recipe", lambda *args, command, **kwargs: commands.append(command))
    settings = [
        "corpus=/home/me/data/mosi.pkl",
        "corpus_options={tokenizer: /home/me/bert/base}",
        "learning_rate=1e-3",
    ]
    assert run("train", place.recipe, *(part for value in settings for part in ("--set", value))).exit_code == 0
    assert commands == [
        "hf-msa train tiny.yaml --set 'corpus=\"data/mosi.pkl\"' "
        '--set \'corpus_options={"tokenizer": "bert/base"}\' --set learning_rate=1e-3'
    ]


def test_more_seeds_than_the_recipe_has_are_new_ones(place, monkeypatch):
    from hf_msa.training import run as run_module

    plans = []
    monkeypatch.setattr(run_module, "train_recipe", lambda plan, *args, **kwargs: plans.append(plan))
    for seeds in (1, 2, 4):
        assert run("train", place.recipe, "--seeds", seeds).exit_code == 0
    assert [plan.seeds for plan in plans] == [[5], [5, 3], [5, 3, 6, 7]]


def test_settings_reach_the_recipe_and_a_corpus_may_have_any_name(place, monkeypatch):
    from hf_msa.training import run as run_module

    plans = []
    monkeypatch.setattr(run_module, "train_recipe", lambda plan, *args, **kwargs: plans.append(plan))
    name = "a: [b] #c 'd' \"e\" \U0001f600.pkl"
    arguments = ("--set", "model.use_gate=false", "--set", "lora=null", "--corpus", name)
    assert run("train", place.recipe, *arguments).exit_code == 0
    assert plans[0].corpus == name
    assert plans[0].lora is None
    assert plans[0].model["use_gate"] is False
    assert plans[0].model["gate_rank"] == 2


def test_metrics_that_are_no_numbers_are_null_for_machines(place, tmp_path):
    content = corpus_content()
    content["test"]["regression_labels"] = np.zeros(SIZES["test"], np.float32)
    corpus = write_corpus(tmp_path / "neutral.pkl", content)
    result = run("evaluate", place.run, "--corpus", corpus, "--json")
    found = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["corr"] is None
    assert found["f1_non0"] is None
    assert math.isfinite(found["mae"])
    assert "│    - │" in run("evaluate", place.run, "--corpus", corpus).stdout


# train: the recipe


def test_a_missing_recipe_is_named(tmp_path):
    assert_refused(
        run("train", tmp_path / "nowhere.yaml"), tmp_path / "nowhere.yaml", "expected a recipe, a YAML file"
    )
    assert_refused(run("train", tmp_path), tmp_path, "expected a recipe, a YAML file: Is a directory")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_is_named_with_the_one_that_may_be_meant(refuse):
    refuse("recipe.yaml", "unknown key 'learning_rat' in recipe; did you mean 'learning_rate'?", learning_rat=1)
    refuse("unknown key 'rank' in lora", lora={"rank": 3})
    refuse("unknown key 'use_gates' in model; did you mean 'use_gate'?", model={"use_gates": True})


@pytest.mark.parametrize("text", ["", "[1", "corpus: a\ncorpus: b", "a: b: c", "\t- x"])
def test_a_recipe_that_is_no_recipe_is_one_line(refuse, text):
    refuse("recipe.yaml: expected", recipe=text)


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("use_gate", ["set: expected key=value, got 'use_gate'"]),
        ("model.gate_rank=many", ["model.gate_rank: expected int, got 'many'"]),
        ("model.gate_rank=0", ["model.gate_rank: expected at least 1, got 0"]),
        (
            "model.adapter_bottleneck=[1, 2, 3]",
            ["model.adapter_bottleneck: expected one size for each of the 2 fused layers"],
        ),
        ("streams=[gaze]", ["streams: expected some of text, audio, visual, got ['gaze']"]),
        ("seeds=[]", ["seeds: expected different numbers"]),
        ("seed=3", ["seed: expected no such key", "see seeds"]),
        ("output_dir=x", ["output_dir: expected no such key", "--output"]),
        ("metric_for_best_model=mea", ["metric_for_best_model: expected loss, mae", "got 'mea'"]),
        ("processor.alignment=word", ["audio_rate: expected frames per second, got None"]),
        ("lora.r=0", ["lora.r: expected a rank of LoRA from 1 to 1024, got 0"]),
        ("lora.target_modules=[query, ky]", ["lora.target_modules: expected linear layers", "key, query", "got 'ky'"]),
        ("processor.max_text_length=0", ["processor.max_text_length: expected more than the 2 special tokens, got 0"]),
        ("report_to=wandb", ["report_to: expected none, all, or installed ones of", "got wandb"]),
        ("corpus_options={rate: 3}", ["expected the options tokenizer, aligned", "got 'rate'"]),
        ("initial_checkpoint=nowhere", ["initial_checkpoint: expected model, processor and normalize_by to be empty"]),
    ],
)
def test_a_setting_that_cannot_be_meant_is_one_line(refuse, setting, parts):
    refuse(*parts, arguments=("--set", setting))


def test_a_text_model_that_is_nowhere_is_one_line(refuse, tmp_path):
    refuse(tmp_path / "nowhere", text_model=tmp_path / "nowhere")


# train: the corpus


def test_a_corpus_that_is_nowhere_is_named(refuse, tmp_path):
    refuse("corpus: expected a pickle or a folder, got nothing at", tmp_path / "no.pkl", corpus=tmp_path / "no.pkl")
    refuse("corpus: expected a pickle or a folder", "nowhere.pkl", arguments=("--corpus", "nowhere.pkl"))


def test_a_corpus_without_a_split_is_named(refuse):
    content = corpus_content()
    del content["valid"]
    refuse(
        "bad.pkl", "expected the splits train, valid and test, got no valid, but ['test', 'train']", content=content
    )


def test_an_empty_split_is_named(refuse):
    refuse("bad.pkl", "valid", "got none", content=corpus_content({**SIZES, "valid": 0}))


@pytest.mark.parametrize(("label", "shown"), [(math.nan, "nan"), (math.inf, "inf"), (3.5, "3.5"), (-4, "-4")], ids=str)
def test_a_label_that_is_none_is_named_with_its_row(refuse, label, shown):
    content = corpus_content()
    content["test"]["regression_labels"][2] = label
    refuse("bad.pkl: test: label: expected a number in [-3, 3]", f"got {shown}", "'test$_$2'", content=content)


def test_a_label_that_is_no_class_is_named_with_its_row(refuse):
    refuse("label: expected a class from 0 to 2, got", "in row 'train$_$", model={"num_labels": 3})


def test_ids_that_occur_twice_are_named(refuse):
    content = corpus_content()
    content["test"]["id"][3] = "train$_$1"
    refuse("bad.pkl: test: id: expected every id once, got 'train$_$1' in train and test", content=content)


def test_feature_sizes_that_differ_between_the_splits_are_refused(refuse):
    content = corpus_content()
    content["valid"]["audio"] = np.zeros((SIZES["valid"], 8, 4), np.float32)
    refuse("bad.pkl", "valid", "audio", "4", content=content)


def test_a_file_that_is_no_corpus_is_one_line(refuse, tmp_path):
    (tmp_path / "song.mp3").write_bytes(b"ID3\x04\x00")
    refuse(tmp_path / "song.mp3", corpus=tmp_path / "song.mp3")


# train: the output


def test_an_output_with_other_things_is_left_alone(place, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    assert_refused(
        run("train", place.recipe, "--output", tmp_path), "output: expected a new or empty folder", tmp_path
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    file = tmp_path / "thesis.tex"
    assert_refused(run("train", place.recipe, "--output", file), "output: expected a new or empty folder", file)
    assert file.read_text() == "precious"


# evaluate


def test_evaluate_refuses_what_does_not_exist(place, tmp_path):
    assert_refused(
        run("evaluate", place.run, "--corpus", place.corpus, "--split", "tests"),
        "split: expected train, valid, test, got 'tests'",
    )
    assert_refused(
        run("evaluate", place.run, "--corpus", tmp_path / "no.pkl"), "corpus: expected", tmp_path / "no.pkl"
    )
    assert_refused(run("evaluate", tmp_path / "no", "--corpus", place.corpus), "model: expected", tmp_path / "no")
    assert run("evaluate", place.run).exit_code == 2  # without a corpus


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"audio_dim": 4}, "test: audio: expected config.audio_dim 3 columns per frame, got 4"),
        ({"visual_dim": 9}, "test: visual: expected config.visual_dim 2 columns per frame, got 9"),
    ],
)
def test_evaluate_refuses_other_features_than_the_models(place, tmp_path, sizes, message):
    corpus = write_corpus(tmp_path / "other.pkl", **sizes)
    assert_refused(run("evaluate", place.run, "--corpus", corpus), message)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("audio_rate=fast", "audio_rate: expected frames per second, got 'fast'"),
        ("audio_rate", "set: expected key=value, got 'audio_rate'"),
        ("label_range=wide", "label_range: expected the lowest and the highest label, got 'wide'"),
        ("label_range=[-1, 1]", "label: expected a number in [-1, 1]"),
        ("rate=3", "got 'rate'"),
    ],
)
def test_evaluate_refuses_options_that_cannot_be_meant(place, option, message):
    assert_refused(run("evaluate", place.run, "--corpus", place.corpus, "--set", option), message)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("command", ["evaluate", "robustness"])
def test_a_corpus_in_a_language_that_the_model_does_not_know_is_one_line(place, tmp_path, command):
    content = corpus_content()
    content["test"]["raw_text"] = ["\u7535\u5f71"] * SIZES["test"]
    corpus = write_corpus(tmp_path / "foreign.pkl", content)
    result = run(command, place.run, "--corpus", corpus, *(["--strength", 1] if command == "robustness" else []))
    assert result.exit_code == 0
    lines = [line for line in result.stderr.splitlines() if "tokenizer" in line]
    assert lines == [
        "hf-msa: warning: test: text: expected words that the text model's tokenizer knows, got 100% of 14 tokens "
        "that it does not ([UNK]); take a text model of this language and script"
    ]


def test_evaluate_reads_options_as_yaml(place):
    result = run("evaluate", place.run, "--corpus", place.corpus, "--set", "label_range=[-3, 3]", "--json")
    assert json.loads(result.stdout) == read_results(place.run).runs[0].metrics["test"]


def test_evaluate_refuses_a_text_model(place):
    result = run("evaluate", place.text, "--corpus", place.corpus)
    assert_refused(result, f"model: expected one of type {', '.join(MODELS)}, got", "'bert'")


# compare


def test_compare_refuses_what_is_no_run(place, tmp_path):
    assert_refused(run("compare", place.run, tmp_path), tmp_path, "expected the results of hf-msa train")
    assert_refused(run("compare", tmp_path / "no", place.run), tmp_path / "no", "expected the results of hf-msa train")
    assert_refused(run("compare", place.run, place.text), place.text, "expected the results of hf-msa train")
    assert_refused(
        run("compare", place.run, place.run, "--split", "tests"),
        "expected the predictions of the tests split, got none",
    )


def test_compare_refuses_a_run_that_lost_a_file(place, tmp_path):
    broken = shutil.copytree(place.run, tmp_path / "broken")
    (broken / "predictions.parquet").write_bytes(b"PAR1 and then nothing")
    assert_refused(run("compare", place.run, broken), broken / "predictions.parquet", "as hf-msa train writes them")
    (broken / "predictions.parquet").unlink()
    assert_refused(run("compare", place.run, broken), broken / "predictions.parquet", "got none")
    (broken / "results.json").write_text("{}")
    assert_refused(run("compare", place.run, broken), broken / "results.json", "got another file")


def test_compare_refuses_runs_on_different_corpora(place, tmp_path):
    other = shutil.copytree(place.run, tmp_path / "other")
    table = pq.read_table(other / "predictions.parquet")
    renamed = pa.array(table.column("id").to_pylist()[::-1])
    table = table.set_column(table.schema.get_field_index("id"), "id", renamed)
    pq.write_table(table, other / "predictions.parquet")
    assert_refused(run("compare", place.run, other), other, f"the utterances of {place.run}, got others")


def test_a_token_in_a_recipe_is_refused_and_not_repeated(place, tmp_path):
    result = run("train", place.recipe, "--set", "hub_token=hf_secret", "--output", tmp_path / "out")
    assert_refused(result, "hub_token: expected no such key in a recipe")
    assert "hf_secret" not in result.stderr


def test_a_second_training_is_kept_out_of_a_folder(place, tmp_path):
    with FileLock(tmp_path / ".out.lock"):
        result = run("train", place.recipe, "--output", tmp_path / "out")
    assert_refused(result, "output: expected a folder of its own, another training works in")
    assert not (tmp_path / "out").exists()


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "hf_msa", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__
