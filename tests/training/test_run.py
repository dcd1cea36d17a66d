"""Training runs from recipe to results.json, on a tiny text model and a tiny corpus."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import disable_progress_bars, enable_progress_bars
from safetensors.torch import load_file
from tiny_run import SIZES, corpus_content, recipe_values, write_corpus, write_text_model
from transformers import TrainerCallback

from hf_msa.data import CorpusError, convert_corpus
from hf_msa.data.fingerprint import corpus_sha256
from hf_msa.data.named import open_corpus
from hf_msa.errors import MsaError, MsaWarning
from hf_msa.evaluation import evaluate_checkpoint, mosi_metrics
from hf_msa.evaluation.predictions import read_predictions
from hf_msa.evaluation.results import read_results
from hf_msa.pretrained.checkpoint import load_checkpoint
from hf_msa.training import build as build_module
from hf_msa.training import run as run_module
from hf_msa.training.build import Builder
from hf_msa.training.recipe import make_recipe
from hf_msa.training.run import train_recipe
from hf_msa.training.run_folder import last_checkpoint

SPLITS = ("train", "valid", "test")
MOSI = ["mae", "corr", "acc_2_has0", "f1_has0", "acc_2_non0", "f1_non0", "acc_5", "acc_7"]


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return write_text_model(tmp_path_factory.mktemp("text") / "model")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "tiny.pkl")


@pytest.fixture
def recipe(text_model, corpus):
    def make(**changes):
        return make_recipe(recipe_values(**({"text_model": text_model, "corpus": corpus} | changes)))

    return make


@pytest.fixture(scope="module")
def trained(tmp_path_factory, text_model, corpus):
    """Return a run of two seeds, the first with gates nobody needs, and the folder around it."""
    place = tmp_path_factory.mktemp("runs")
    made = make_recipe(recipe_values(text_model, corpus, seeds=[3, 4], learning_rates={"gate": "1e-3"}))
    results = train_recipe(made, place / "run", command="hf-msa train tiny.yaml")
    return SimpleNamespace(place=place, folder=place / "run", results=results, recipe=made)


@pytest.fixture(scope="module")
def text_only(tmp_path_factory, text_model, corpus):
    """Return a run on text alone and without LoRA."""
    place = tmp_path_factory.mktemp("text_only")
    made = make_recipe(recipe_values(text_model, corpus, streams=["text"], lora=None))
    results = train_recipe(made, place / "run")
    return SimpleNamespace(folder=place / "run", results=results)


def untouched(folder):
    """Return every file below a folder with its content."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Killed(BaseException):
    """What a process that is killed does not survive."""


def kill_while_training(monkeypatch, seed, after_epoch):
    """Let the training of a seed end with Killed once so many epochs were saved."""

    class Kill(TrainerCallback):
        def on_epoch_begin(self, args, state, control, **kwargs):
            if args.seed == seed and round(state.epoch) >= after_epoch:
                raise Killed

    class KilledTrainer(run_module.MsaTrainer):
        def __init__(self, *args, callbacks=(), **kwargs):
            super().__init__(*args, callbacks=[*callbacks, Kill()], **kwargs)

    monkeypatch.setattr(run_module, "MsaTrainer", KilledTrainer)


# What is written


def test_a_run_is_a_checkpoint_with_results_predictions_and_a_checkpoint_per_seed(trained):
    assert [path.name for path in trained.place.iterdir()] == ["run"]
    top = {path.name for path in trained.folder.iterdir()}
    of_a_seed = {path.name for path in (trained.folder / "seeds" / "3").iterdir()}
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json"} <= of_a_seed
    assert top == of_a_seed | {"results.json", "predictions.parquet", "seeds", "logs"}
    for folder in ("seeds", "logs"):
        assert sorted(path.name for path in (trained.folder / folder).iterdir()) == ["3", "4"]


def test_the_results_hold_every_metric_of_every_split_and_seed(trained):
    results = read_results(trained.folder)
    assert results == trained.results
    assert results.seeds == [3, 4]
    for one in results.runs:
        assert list(one.metrics) == list(SPLITS)
        assert all(list(metrics) == MOSI for metrics in one.metrics.values())
        assert one.checkpoint == f"seeds/{one.seed}"
        assert (trained.folder / one.checkpoint / "config.json").exists()
        assert (one.best_epoch, one.epochs) == (1, 1)
        assert 0 < one.seconds <= results.seconds


def test_the_results_say_what_it_takes_to_repeat_them(trained, corpus):
    results = trained.results
    assert results.name == "run"
    assert results.command == "hf-msa train tiny.yaml"
    assert results.corpus["sha256"] == corpus_sha256(corpus)
    assert results.corpus["rows"] == SIZES
    assert {"python", "hf_msa", "torch", "transformers", "peft", "numpy"} <= set(results.versions)
    assert {"system", "cores", "threads", "accelerator"} <= set(results.machine)
    assert results.recipe["learning_rates"] == {"gate": 1e-3}
    assert results.recipe["seeds"] == [3, 4]
    assert results.model["class"] == "PGFNetForSequenceClassification"
    assert 0 < results.model["trainable_parameters"] < results.model["parameters"]
    assert results.model["config"]["audio_dim"] == 3
    assert results.model["config"]["gate_rank"] == 2
    (names,) = results.model["learning_rates"].values()
    assert [name.rpartition("pgf_net.")[2] for name in names] == [
        f"fusion_layers.*.fusion.modules_to_save.default.gate.proj.*.{kind}" for kind in ("weight", "bias")
    ]


def test_the_results_are_strict_json_that_names_no_folder_of_this_machine(trained):
    text = (trained.folder / "results.json").read_text()
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert content["summary"]["test"]["mae"].keys() == {"mean", "std"}
    assert str(trained.place.parent) not in text
    assert make_recipe(content["recipe"]).to_dict() == content["recipe"]


def test_no_value_of_a_recipe_names_a_folder_of_this_machine(recipe):
    made = recipe(
        corpus="/home/me/data/mosi.pkl",
        corpus_options={"tokenizer": "/home/me/bert/base", "audio_rate": 3},
        lr_scheduler_kwargs={"places": ["/home/me/a/b", "user/name"]},
    )
    values = made.to_shareable_dict()
    assert "/home" not in json.dumps(values)
    assert values["corpus_options"] == {"tokenizer": "bert/base", "audio_rate": 3}
    assert values["lr_scheduler_kwargs"] == {"places": ["a/b", "user/name"]}
    assert made.corpus_options["tokenizer"] == "/home/me/bert/base"


def test_the_checkpoint_on_top_is_the_one_of_the_seed_with_the_lowest_validation_error(trained):
    errors = {one.seed: one.metrics["valid"]["mae"] for one in trained.results.runs}
    assert len(set(errors.values())) == 2
    assert trained.results.best_seed == min(errors, key=errors.get)
    top = load_file(trained.folder / "model.safetensors")
    for seed, best in ((seed, seed == trained.results.best_seed) for seed in errors):
        own = load_file(trained.folder / "seeds" / str(seed) / "model.safetensors")
        assert all(torch.equal(own[key], top[key]) for key in top) is best


def test_evaluating_a_saved_checkpoint_gives_the_very_numbers_of_the_results(trained, corpus):
    for one in trained.results.runs:
        for split in SPLITS:
            found = evaluate_checkpoint(str(trained.folder / one.checkpoint), str(corpus), split)
            assert found == one.metrics[split]
    best = next(one for one in trained.results.runs if one.seed == trained.results.best_seed)
    assert evaluate_checkpoint(str(trained.folder), str(corpus)) == best.metrics["test"]


def test_the_predictions_are_those_that_the_metrics_were_computed_from(trained):
    content = corpus_content()
    for split in SPLITS:
        found = read_predictions(trained.folder / "predictions.parquet", split)
        assert list(found) == [3, 4]
        for one in trained.results.runs:
            assert found[one.seed].ids == content[split]["id"]
            np.testing.assert_array_equal(found[one.seed].labels, content[split]["regression_labels"])
            assert mosi_metrics(found[one.seed].scores, found[one.seed].labels) == one.metrics[split]


def test_a_saved_checkpoint_has_no_lora_left_and_a_text_model_as_it_was(trained, text_model):
    weights = load_file(trained.folder / "model.safetensors")
    assert not [key for key in weights if "lora" in key]
    before = load_file(text_model / "model.safetensors")
    key = "encoder.layer.1.output.dense.weight"  # LoRA is on query and value alone
    (found,) = [value for name, value in weights.items() if name.endswith(f"text_encoder.{key}")] or [None]
    assert found is None or torch.equal(found, before[key])
    (query,) = [value for name, value in weights.items() if name.endswith("layer.1.attention.self.query.weight")]
    assert not torch.equal(query, before["encoder.layer.1.attention.self.query.weight"])


def test_the_processor_is_fitted_on_the_training_rows(trained):
    _, processor = load_checkpoint(str(trained.folder))
    audio = corpus_content()["train"]
    frames = np.concatenate([audio["audio"][i, : audio["audio_lengths"][i]] for i in range(SIZES["train"])])
    statistics = processor.feature_extractor.audio_statistics
    (mean,) = [value for key, value in statistics.items() if key == "mean"] or [statistics[""]["mean"]]
    np.testing.assert_allclose(mean, frames.mean(axis=0), atol=1e-5)


# The same again


def test_the_same_seed_gives_the_same_numbers_alone_or_after_another(trained, recipe, tmp_path, monkeypatch):
    build, made = Builder.build_model, []
    monkeypatch.setattr(Builder, "build_model", lambda self, seed: made.append(seed) or build(self, seed))
    alone = train_recipe(recipe(seeds=[4], learning_rates={"gate": 1e-3}), tmp_path / "run")
    assert made == [4]  # a large text model is loaded once for a seed, and never only to be described
    assert alone.model == trained.results.model
    assert alone.runs[0].metrics == trained.results.runs[1].metrics
    assert trained.results.runs[0].metrics != trained.results.runs[1].metrics


def test_a_corpus_in_parquet_gives_the_same_numbers(trained, recipe, corpus, tmp_path):
    folder = convert_corpus(corpus, tmp_path / "parquet")
    disable_progress_bars()
    try:
        results = train_recipe(
            recipe(
                corpus=folder,
                corpus_options={"cache_dir": str(tmp_path / "cache")},
                seeds=[3],
                learning_rates={"gate": 1e-3},
            ),
            tmp_path / "run",
        )
    finally:
        enable_progress_bars()
    assert results.runs[0].metrics == trained.results.runs[0].metrics
    assert results.corpus["rows"] == SIZES
    assert results.corpus["sha256"] != trained.results.corpus["sha256"]


# Other recipes


def test_a_run_on_text_alone_never_sees_the_other_streams(text_only, tmp_path):
    _, processor = load_checkpoint(str(text_only.folder))
    assert processor.streams == ["text"]
    content = corpus_content()
    for split in content.values():
        split["audio"] += 100
        split["vision"] -= 100
    other = write_corpus(tmp_path / "other.pkl", content)
    assert evaluate_checkpoint(str(text_only.folder), str(other)) == text_only.results.runs[0].metrics["test"]
    with pytest.raises(ValueError, match="audio: expected none, since this model was trained with text only"):
        processor(text=["good"], audio=[np.zeros((2, 3))])


def test_the_processor_of_a_run_knows_its_streams_and_only_their_statistics(recipe, tmp_path):
    made = recipe(streams=["visual"])
    processor = Builder(made, open_corpus(made.corpus)).processor
    assert processor.streams == ["visual"]
    assert processor.feature_extractor.visual_statistics["mean"] != [0, 0]
    assert processor.feature_extractor.audio_statistics == {"mean": [0] * 3, "std": [1] * 3}


def test_a_classifier_is_chosen_by_its_accuracy(recipe, tmp_path):
    classes = write_corpus(tmp_path / "classes.pkl", classes=True)
    made = recipe(corpus=classes, model={"num_labels": 3, "adapter_bottleneck": 4}, seeds=[1, 2])
    results = train_recipe(made, tmp_path / "run")
    accuracies = {one.seed: one.metrics["valid"]["accuracy"] for one in results.runs}
    assert accuracies[results.best_seed] == max(accuracies.values())
    assert np.sum(results.runs[0].metrics["test"]["confusion_matrix"]) == SIZES["test"]
    found = read_predictions(tmp_path / "run" / "predictions.parquet", "test")
    assert found[1].scores.shape == (SIZES["test"], 3)
    assert read_results(tmp_path / "run") == results
    for split in SPLITS:
        assert (
            evaluate_checkpoint(str(tmp_path / "run/seeds/2"), str(classes), split) == results.runs[1].metrics[split]
        )


def test_without_lora_the_text_model_stays_as_it_was(text_only, text_model):
    assert text_only.results.recipe["lora"] is None
    weights = load_file(text_only.folder / "model.safetensors")
    before = load_file(text_model / "model.safetensors")
    (query,) = [value for name, value in weights.items() if name.endswith("layer.1.attention.self.query.weight")]
    torch.testing.assert_close(query, before["encoder.layer.1.attention.self.query.weight"], rtol=0, atol=0)


def test_training_goes_on_from_a_checkpoint_and_needs_no_text_model(trained, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(build_module, "offline_text_model", lambda: pytest.fail("nobody needs it"))
    made = recipe(
        text_model="offline", initial_checkpoint=str(trained.folder), model={}, processor={}, learning_rate=0.0
    )
    results = train_recipe(made, tmp_path / "run")
    best = next(one for one in trained.results.runs if one.seed == trained.results.best_seed)
    assert results.runs[0].metrics == best.metrics  # nothing learned, nothing lost
    assert results.model["text_model"] == trained.results.model["text_model"]
    assert results.model["config"]["gate_rank"] == 2
    learned = train_recipe(
        recipe(initial_checkpoint=str(trained.folder), model={}, processor={}), tmp_path / "learned"
    )
    assert learned.runs[0].metrics != best.metrics


def test_a_checkpoint_to_start_from_brings_its_streams(trained, recipe, tmp_path):
    made = recipe(initial_checkpoint=str(trained.folder), model={}, processor={}, streams=["text"])
    with pytest.raises(
        ValueError, match="streams: expected those of the initial checkpoint, text, audio, visual, got"
    ):
        train_recipe(made, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_to_start_from_must_fit_all_splits_before_it_is_trained(trained, recipe, tmp_path):
    content = corpus_content()
    content["test"]["audio"] = np.zeros((SIZES["test"], 8, 4), np.float32)
    for split in ("train", "valid"):
        content[split]["audio"] = np.zeros((SIZES[split], 8, 4), np.float32)
    other = write_corpus(tmp_path / "other.pkl", content)
    made = recipe(initial_checkpoint=str(trained.folder), model={}, processor={}, corpus=other)
    with pytest.raises(ValueError, match=r"train: audio: expected config\.audio_dim 3 columns per frame, got 4"):
        train_recipe(made, tmp_path / "run")


def test_no_epochs_measure_the_untrained_model(recipe, tmp_path):
    results = train_recipe(recipe(num_train_epochs=0), tmp_path / "run")
    assert (results.runs[0].epochs, results.runs[0].best_epoch) == (0, 0)


def test_the_training_split_is_measured_only_where_wanted(recipe, tmp_path):
    found = train_recipe(recipe(seeds=[1111], num_train_epochs=0, measure_train=False), tmp_path / "run")
    assert list(found.runs[0].metrics) == ["valid", "test"]
    with pytest.raises(ValueError, match="expected the predictions of the train split, got none"):
        read_predictions(tmp_path / "run" / "predictions.parquet", "train")


def test_epochs_are_counted_as_they_were_trained(recipe, tmp_path):
    in_steps = {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 2, "save_steps": 2}
    made = recipe(num_train_epochs=5, max_steps=7, metric_for_best_model="loss", **in_steps)
    results = train_recipe(made, tmp_path / "run")
    assert results.runs[0].epochs == pytest.approx(7 / 3, abs=0.01)  # 12 rows are 3 batches of 4
    steps = results.runs[0].best_epoch * 3
    assert min(abs(steps - step) for step in (2, 4, 6)) < 0.05


# What is refused, before anything is written


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric_for_best_model": "mea"}, "metric_for_best_model: expected loss, mae, corr, .* got 'mea'"),
        ({"model": {"id2label": {"low": "bad"}}}, "invalid literal for int.* 'low'"),
        ({"model": {"num_labels": 2}}, "train: label: expected a class from 0 to 1, got"),
        ({"model": {"label_range": [-1, 1]}}, "train: label: expected a score from -1 to 1, got"),
        ({"model": {"audio_dim": 7}}, r"train: audio: expected config\.audio_dim 7 columns per frame, got 3"),
        ({"processor": {"alignment": "words"}}, "alignment: expected 'word' or 'none', got 'words'"),
        ({"corpus": "/nowhere/mosi.pkl"}, "corpus: expected a pickle or a folder, got nothing at /nowhere/mosi.pkl"),
        ({"corpus_options": {"label_range": 3}}, "label_range: expected the lowest and the highest label, got 3"),
        ({"corpus_options": {"audio_rate": "fast"}}, "audio_rate: expected frames per second, got 'fast'"),
        ({"corpus_options": {"rate": 3}}, "expected the options tokenizer, aligned, .* got 'rate'"),
        ({"corpus": "sample", "corpus_options": {"audio_rate": 3}}, "corpus_options: expected none for the sample"),
    ],
)
def test_a_recipe_that_does_not_fit_is_a_users_mistake_and_writes_nothing(recipe, tmp_path, changes, message):
    with pytest.raises(MsaError, match=message):
        train_recipe(recipe(**changes), tmp_path / "new" / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_refused_and_left_alone(recipe, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="output: expected a new or empty folder or an older checkpoint"):
        train_recipe(recipe(), tmp_path / "run")
    assert untouched(tmp_path) == {(tmp_path / "run/thesis.tex").relative_to(tmp_path): b"precious"}


def test_a_corpus_is_looked_for_where_the_environment_says(corpus, monkeypatch):
    monkeypatch.setenv("HF_MSA_CORPORA", str(corpus.parent))
    assert open_corpus("tiny.pkl").path == corpus
    monkeypatch.delenv("HF_MSA_CORPORA")
    with pytest.raises(CorpusError, match=r"got nothing at tiny\.pkl; HF_MSA_CORPORA may name the folder"):
        open_corpus("tiny.pkl")


@pytest.mark.parametrize("split", ["tests", "", "validation"])
def test_an_unknown_split_is_refused_before_anything_is_loaded(split):
    with pytest.raises(ValueError, match=f"split: expected train, valid, test, got '{split}'"):
        evaluate_checkpoint("nowhere", "nowhere", split)


# Older, killed and resumed runs


def test_an_older_run_stays_until_the_new_one_is_whole(trained, recipe, tmp_path, monkeypatch):
    folder = shutil.copytree(trained.folder, tmp_path / "run")
    before = untouched(folder)
    with monkeypatch.context() as patched:
        kill_while_training(patched, seed=7, after_epoch=0)
        with pytest.raises(Killed):
            train_recipe(recipe(seeds=[6, 7]), folder)
    assert untouched(folder) == before
    with pytest.raises(ValueError, match=r"output: an unfinished run lies in .*\.run\.unfinished; resume it"):
        train_recipe(recipe(seeds=[6, 7]), folder)
    assert untouched(folder) == before
    results = train_recipe(recipe(seeds=[6, 7]), folder, resume=True)
    assert read_results(folder) == results
    assert results.seeds == [6, 7]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert sorted(path.name for path in (folder / "seeds").iterdir()) == ["6", "7"]


def test_a_killed_run_that_is_resumed_ends_as_if_nothing_had_happened(recipe, tmp_path, monkeypatch):
    made = recipe(seeds=[3, 4], num_train_epochs=2)
    whole = train_recipe(made, tmp_path / "whole")
    with monkeypatch.context() as patched:
        kill_while_training(patched, seed=4, after_epoch=1)
        with pytest.raises(Killed):
            train_recipe(made, tmp_path / "killed")
    hidden = tmp_path / ".killed.unfinished"
    assert last_checkpoint(hidden / "training" / "4") is not None
    first = (hidden / "seeds" / "3" / "model.safetensors").stat().st_mtime_ns
    (hidden / "seeds" / ".4.half").mkdir()  # of a process that was killed while it saved
    # Another recipe or another corpus is not what was begun.
    before = untouched(hidden)
    with pytest.raises(
        ValueError, match="resume: expected the recipe of the unfinished run, got another learning_rate"
    ):
        train_recipe(recipe(seeds=[3, 4], num_train_epochs=2, learning_rate=1), tmp_path / "killed", resume=True)
    other = write_corpus(tmp_path / "tiny.pkl", seed=1)
    with pytest.raises(ValueError, match=r"resume: expected the (recipe|corpus) of the unfinished run, got another"):
        train_recipe(recipe(seeds=[3, 4], num_train_epochs=2, corpus=other), tmp_path / "killed", resume=True)
    assert untouched(hidden) == before
    with pytest.raises(ValueError, match="output: an unfinished run lies in"):
        train_recipe(made, tmp_path / "killed")
    assert not (tmp_path / "killed").exists()

    resumed = train_recipe(made, tmp_path / "killed", resume=True)
    assert [one.metrics for one in resumed.runs] == [one.metrics for one in whole.runs]
    assert [one.epochs for one in resumed.runs] == [2, 2]
    for history in (tmp_path / folder / "logs" / "4" / "history.jsonl" for folder in ("whole", "killed")):
        lines = [json.loads(line) for line in history.read_text().splitlines()]
        assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
        assert [line["step"] for line in lines if "eval_mae" in line] == [3, 6]
    assert resumed.model == whole.model
    assert (tmp_path / "killed/seeds/3/model.safetensors").stat().st_mtime_ns == first  # it was not trained again
    assert sorted(path.name for path in (tmp_path / "killed" / "seeds").iterdir()) == ["3", "4"]
    assert not hidden.exists()


def test_a_changed_corpus_of_the_same_name_is_not_resumed(recipe, tmp_path, monkeypatch):
    corpus = write_corpus(tmp_path / "own.pkl")
    with monkeypatch.context() as patched:
        kill_while_training(patched, seed=3, after_epoch=1)
        with pytest.raises(Killed):
            train_recipe(recipe(corpus=corpus, num_train_epochs=2), tmp_path / "run")
    write_corpus(corpus, seed=1)
    with pytest.raises(ValueError, match="resume: expected the corpus of the unfinished run, got another sha256"):
        train_recipe(recipe(corpus=corpus, num_train_epochs=2), tmp_path / "run", resume=True)


def test_resuming_what_was_never_begun_begins_and_says_how_far_it_is(recipe, tmp_path):
    steps = []
    results = train_recipe(recipe(num_train_epochs=0.3), tmp_path / "a" / "run", resume=True, report=steps.append)
    measured = [f"run, seed 3: measuring {split}" for split in SIZES]
    assert list(dict.fromkeys(step.task for step in steps)) == ["run, seed 3", *measured]
    assert {step.task: step.done for step in steps if step.is_done} == {
        "run, seed 3": 1,
        **dict(zip(measured, SIZES.values(), strict=True)),
    }
    assert results.seeds == [3]
    assert results.runs[0].epochs == pytest.approx(1 / 3, abs=0.01)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run"]


def test_half_a_checkpoint_of_a_trainer_is_passed_over(tmp_path):
    assert last_checkpoint(tmp_path / "nowhere") is None
    for step, state in ((9, "{}"), (10, '{"half'), (100, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-9")


def test_what_a_run_reports_to_goes_into_its_folder(recipe, tmp_path):
    train_recipe(recipe(report_to=["tensorboard"], num_train_epochs=0.3), tmp_path / "run")
    (events, history) = sorted((tmp_path / "run" / "logs" / "3").iterdir())
    assert events.name.startswith("events.out.tfevents.")
    assert history.name == "history.jsonl"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_run_that_fails_before_it_saved_anything_leaves_nothing(recipe, tmp_path, is_new):
    if not is_new:
        (tmp_path / "run").mkdir()
    with pytest.raises(ValueError, match="expected patterns of trained parameters, got 'nowhere'"):
        train_recipe(recipe(learning_rates={"nowhere": 1e-3}), tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ([] if is_new else ["run"])


def test_a_text_model_in_a_pickle_is_named_before_it_is_trained(recipe, text_model, tmp_path):
    folder = shutil.copytree(text_model, tmp_path / "text")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    made = recipe(text_model=folder)
    with pytest.warns(MsaWarning, match=r"text_model: the weights of .*text are a pickle \(\*\.bin\)"):
        Builder(made, open_corpus(made.corpus))
