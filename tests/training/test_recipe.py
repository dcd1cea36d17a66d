"""Recipes: every value of the type of its field, and every mistake refused by name before anything is loaded."""

import json
from pathlib import Path

import pytest
import yaml
from transformers import HfArgumentParser

from hf_msa.models import MODELS
from hf_msa.training import MsaTrainingArguments
from hf_msa.training.recipe import Recipe, make_recipe, read_recipe
from hf_msa.training.yaml_values import cast_value, read_options

CONFIGS = sorted((Path(__file__).parents[2] / "examples" / "configs").glob("*.yaml"))


def read(folder, text, *overrides):
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, overrides)


# Types


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("learning_rate: 1e-3", 1e-3),
        ("learning_rate: '0.5'", 0.5),
        ("learning_rate: 1", 1.0),
        ("num_train_epochs: 0.5", 0.5),
        ("per_device_train_batch_size: 16", 16),
        ("per_device_train_batch_size: 1.6e1", 16),
        ("max_steps: 1e2", 100),
        ("early_stopping_patience: null", None),
        ("early_stopping_patience: 3", 3),
        ("load_best_model_at_end: false", False),
        ("greater_is_better: true", True),
        ("lr_scheduler_type: cosine", "cosine"),
        ("learning_rates: {gate: 1e-2, 'encoder.layer.0': 3}", {"gate": 1e-2, "encoder.layer.0": 3.0}),
        ("learning_rates: null", None),
        (
            "lr_scheduler_kwargs: {min_lr: 1e-6, nested: {eta: [1e+2, 2]}, name: e5}",
            {"min_lr": 1e-6, "nested": {"eta": [100.0, 2]}, "name": "e5"},
        ),
    ],
)
def test_training_values_take_the_type_of_their_field(tmp_path, line, expected):
    key = line.partition(":")[0]
    found = read(tmp_path, line).training[key]
    assert found == expected
    assert type(found) is type(expected)
    made = MsaTrainingArguments(output_dir=str(tmp_path), **{key: found})
    if key != "lr_scheduler_type":
        assert getattr(made, key) == expected


def test_a_strategy_may_be_no_which_yaml_takes_for_false(tmp_path):
    text = "eval_strategy: no\nsave_strategy: No\nlogging_strategy: off\nload_best_model_at_end: no"
    found = read(tmp_path, text).training
    assert found == {
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_strategy": "no",
        "load_best_model_at_end": False,
    }
    assert read(tmp_path, "seeds: [1]", "eval_strategy=no").training == {"eval_strategy": "no"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gate_init_bias: 1e-1", 0.1),
        ("gate_init_bias: -2", -2),
        ("adapter_bottleneck: 8", 8),
        ("adapter_bottleneck: [8, 0, 1.6e1]", [8, 0, 16]),
        ("use_gate: false", False),
        ("fusion_attention_heads: null", None),
        ("label_range: [-1, 1]", [-1, 1]),
        ("gate_type: full", "full"),
        ("num_labels: 3", 3),
    ],
)
def test_fields_of_the_model_take_their_own_type(tmp_path, text, expected):
    key = text.partition(":")[0]
    found = read(tmp_path, f"model: {{{text}}}").model[key]
    assert found == expected
    assert json.dumps(found) == json.dumps(expected)  # 8 and not 8.0


def test_arguments_of_processor_and_lora_take_their_own_type(tmp_path):
    recipe = read(tmp_path, "processor: {max_text_length: '50', alignment: none}\nlora: {r: 8, lora_dropout: 1e-1}")
    assert recipe.processor == {"max_text_length": 50, "alignment": "none"}
    assert recipe.lora == {"r": 8, "lora_dropout": 0.1}


def test_whole_numbers_are_kept_to_the_last_digit():
    assert cast_value(2**60 + 1, int, "n") == 2**60 + 1


def test_no_lora_stays_no_lora_however_often_a_recipe_is_read(tmp_path):
    for _ in range(3):  # HfArgumentParser takes the None out of the types of the fields
        recipe = read(tmp_path, "lora: null\nnormalize_by: null\nearly_stopping_patience: null")
        assert recipe.lora is None
        assert recipe.training["early_stopping_patience"] is None
        HfArgumentParser((Recipe, MsaTrainingArguments))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate: fast", "learning_rate: expected float, got 'fast'"),
        ("learning_rate: true", "learning_rate: expected float, got True"),
        ("learning_rate: [1]", r"learning_rate: expected float, got \[1\]"),
        ("learning_rate: .nan", "learning_rate: expected float, got nan"),
        ("per_device_train_batch_size: 1.5", "per_device_train_batch_size: expected int, got 1.5"),
        ("per_device_train_batch_size: .inf", "per_device_train_batch_size: expected int, got inf"),
        ("per_device_train_batch_size: many", "per_device_train_batch_size: expected int, got 'many'"),
        (f"learning_rate: 1{'0' * 400}", "learning_rate: expected float, got 1000"),
        ("load_best_model_at_end: 1", "load_best_model_at_end: expected bool, got 1"),
        ("eval_strategy: yes", "eval_strategy: expected str, got True"),
        ("text_model: 7", "text_model: expected str, got 7"),
        ("text_model: null", "text_model: expected str, got None"),
        ("normalize_by: clip", "normalize_by: expected null or 'speaker', got 'clip'"),
        ("learning_rates: 1e-3", "learning_rates: expected a mapping, got '1e-3'"),
        ("learning_rates: {gate: slow}", "learning_rates.gate: expected float, got 'slow'"),
        ("learning_rates: {gate: -1}", "learning_rates: expected rates of 0 or more, got -1.0 for 'gate'"),
        ("early_stopping_patience: 0", "early_stopping_patience: expected at least 1 or None, got 0"),
        ("lr_scheduler_type: cosin", "cosin"),
        ("report_to: wandb", r"report_to: expected none, all, or installed ones of .*wandb.*, got wandb"),
        ("report_to: [wandb, wand]", r"report_to: expected none, all, or installed ones of .*, got wandb, wand"),
        ("streams: text", "streams: expected a list, got 'text'"),
        ("streams: [gaze]", r"streams: expected some of text, audio, visual, got \['gaze'\]"),
        ("streams: []", "streams: expected some of"),
        ("model_type: bert", f"model_type: expected one of {', '.join(MODELS)}, got 'bert'"),
        ("model: [use_gate]", r"model: expected a mapping, got \['use_gate'\]"),
        ("model: {use_gate: 1}", "model.use_gate: expected bool, got 1"),
        ("model: {gate_type: wide}", "model.gate_type: expected 'low_rank' or 'full', got 'wide'"),
        ("model: {adapter_bottleneck: [8, x]}", r"model.adapter_bottleneck: expected int or list, got \[8, 'x'\]"),
        ("model: {num_labels: three}", "model.num_labels: expected int, got 'three'"),
        ("processor: {max_text_length: long}", "processor.max_text_length: expected int, got 'long'"),
        ("lora: {r: x}", "lora.r: expected int, got 'x'"),
        ("lora: {target_modules: query}", "lora.target_modules: expected a list, got 'query'"),
        ("lora: {r: 0}", "lora.r: expected a rank of LoRA from 1 to 1024, got 0"),
        ("lora: {lora_dropout: 1}", r"lora.lora_dropout: expected a rate in \[0, 1\), got 1"),
        ("lora: {target_modules: []}", "lora.target_modules: expected at least one name of a linear layer, got none"),
        ("lora: true", "lora: expected a mapping, got True"),
        ("initial_checkpoint: runs/a\nmodel: {use_gate: true}", "initial_checkpoint: expected model, processor and"),
        ("initial_checkpoint: runs/a\nnormalize_by: speaker", "initial_checkpoint: expected model, processor and"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "recipe.yaml"))


# Keys


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1", "unknown key 'learning_rat' in recipe; did you mean 'learning_rate'?"),
        ("stream: [text]", "unknown key 'stream' in recipe; did you mean 'streams'?"),
        (
            "xyzzy: 1",
            r"unknown key 'xyzzy' in recipe; expected one as \w+, \w+, \w+$",
        ),
        ("training: {learning_rate: 1}", "unknown key 'training' in recipe"),
        ("model: {use_gates: false}", "unknown key 'use_gates' in model; did you mean 'use_gate'?"),
        ("model: {text_config: {}}", "unknown key 'text_config' in model"),
        ("processor: {alignement: none}", "unknown key 'alignement' in processor; did you mean 'alignment'?"),
        ("processor: {streams: [text]}", "unknown key 'streams' in processor"),
        ("lora: {rank: 8}", "'rank' in lora; expected one as lora_alpha, lora_dropout, r, target_modules$"),
        ("lora: {model: 8}", "unknown key 'model' in lora"),
        ("output_dir: here", "output_dir: expected no such key in a recipe; .*--output"),
        ("seed: 3", "seed: expected no such key in a recipe; see seeds"),
    ],
)
def test_an_unknown_key_is_refused_with_the_one_that_may_be_meant(tmp_path, text, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "learning_rate: 1e-3\nlearning_rate: 1e-4",
        "model: {use_gate: true, use_gate: false}",
        "learning_rates:\n  gate: 1\n  'gate': 2",
    ],
)
def test_a_key_that_stands_there_twice_is_refused_with_its_line(tmp_path, text):
    with pytest.raises(ValueError, match=r"a second time in .*, line \d") as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_a_key_may_be_merged_in_and_replaced(tmp_path):
    text = "learning_rates: &rates {a: 1, b: 2}\nlr_scheduler_kwargs: {<<: *rates, b: 3, c: 4}"
    assert read(tmp_path, text).training["lr_scheduler_kwargs"] == {"a": 1, "b": 3, "c": 4}


# Files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected keys with values, got an empty file"),
        ("# nothing but a remark", "expected keys with values, got an empty file"),
        ("- streams", "expected keys with values, got list"),
        ("just words", "expected keys with values, got str"),
        ("1: one", "expected keys with values, got dict"),
        ("model: {use_gate: true", "expected YAML, got"),
        ("a: b: c", "expected YAML, got"),
        ("model: !!python/object/apply:os.getcwd []", "expected YAML, got could not determine a constructor"),
        (f"model: {'[' * 500}{']' * 500}", "expected YAML, got values in more than 20 others"),
        (f"model: {'[' * 100}{']' * 100}", "expected YAML, got values in more than 20 others"),
        ("corpus_options: &a {inner: *a}", "expected YAML, got values in more than 20 others"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_on_one_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, text)
    assert str(tmp_path / "recipe.yaml") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"corpus: caf\xe9")
    with pytest.raises(ValueError, match=r"recipe\.yaml: expected a recipe, a YAML file in UTF-8"):
        read_recipe(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(OSError, match=r"nowhere\.yaml: expected a recipe, a YAML file: No such file"):
        read_recipe(tmp_path / "nowhere.yaml")
    with pytest.raises(OSError, match="expected a recipe, a YAML file: Is a directory"):
        read_recipe(tmp_path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_example_reads_and_makes_arguments_and_a_configuration(path, tmp_path):
    from transformers import CONFIG_MAPPING

    recipe = read_recipe(path)
    MsaTrainingArguments(output_dir=str(tmp_path), **recipe.training)
    # As deep as the deepest language model of a recipe, since fusion layers are counted in it.
    deep = {"text_config": {"model_type": "gpt2", "n_layer": 36}} if recipe.model_type == "deepmlf" else {}
    CONFIG_MAPPING[recipe.model_type](**recipe.model | deep)


def test_there_are_examples():
    assert "pgf_net_sample" in [path.stem for path in CONFIGS]


# Settings of the command line


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("model.use_gate=false", lambda recipe: recipe.model == {"gate_rank": 4, "use_gate": False}),
        ("model.gate_rank=8", lambda recipe: recipe.model == {"gate_rank": 8}),
        ("model={}", lambda recipe: recipe.model == {}),
        ("streams=[visual, text]", lambda recipe: recipe.streams == ["text", "visual"]),
        ("lora=null", lambda recipe: recipe.lora is None),
        ("lora=", lambda recipe: recipe.lora is None),
        ("lora.r=8", lambda recipe: recipe.lora == {"r": 8}),
        ("processor.alignment=none", lambda recipe: recipe.processor == {"alignment": "none"}),
        ("corpus_options.label_range=[-1, 1]", lambda recipe: recipe.corpus_options == {"label_range": [-1, 1]}),
        ('corpus="a: b, c=d"', lambda recipe: recipe.corpus == "a: b, c=d"),
        ("corpus=x=y", lambda recipe: recipe.corpus == "x=y"),
        ("learning_rate=1e-5", lambda recipe: recipe.training["learning_rate"] == 1e-5),
        ("learning_rates.gate=1e-5", lambda recipe: recipe.training["learning_rates"] == {"gate": 1e-5}),
        ("seeds=[1]", lambda recipe: recipe.seeds == [1]),
    ],
)
def test_a_setting_takes_the_place_of_what_the_file_says(tmp_path, override, found):
    assert found(read(tmp_path, "model: {gate_rank: 4}\nlearning_rate: 1", override))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("use_gate", "set: expected key=value, got 'use_gate'"),
        ("=1", "set: expected key=value, got '=1'"),
        ("", "set: expected key=value, got ''"),
        ("streams=[text", r"set: expected a YAML value, got 'streams=\[text'"),
        ("model={a: 1, a: 2}", "set: expected a YAML value"),
        (f"model={'[' * 500}", "set: expected a YAML value"),
        ("model.use_gat=false", "unknown key 'use_gat' in model"),
        ("model.=1", "unknown key '' in model"),
        ("learning_rate.x=1", "learning_rate: expected float"),
        ("modle.use_gate=1", "unknown key 'modle.use_gate' in recipe"),
        ("seed=3", "seed: expected no such key"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(tmp_path, override, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, "learning_rate: 1", override)


def test_settings_leave_the_values_that_they_were_made_from_alone():
    values = {"model": {"gate_rank": 4}}
    recipe = make_recipe(values)
    recipe.model["gate_rank"] = 5
    assert values == {"model": {"gate_rank": 4}}


def test_options_are_yaml_and_may_reach_inside():
    assert read_options(["label_range=[-1, 1]", "audio_rate=10", "name=x"]) == {
        "label_range": [-1, 1],
        "audio_rate": 10,
        "name": "x",
    }
    with pytest.raises(ValueError, match="expected key=value"):
        read_options(["audio_rate"])


# Seeds


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [2**32], [1, 2, 1]])
def test_seeds_are_different_numbers_that_every_generator_takes(seeds):
    with pytest.raises(ValueError, match=r"seeds: expected different numbers from 0 to 2\*\*32 - 1"):
        make_recipe({"seeds": seeds})


@pytest.mark.parametrize("seeds", [3, "3", ["a"], [1.5], [True], [None]])
def test_seeds_are_whole_numbers(seeds):
    with pytest.raises(ValueError, match="seeds: expected"):
        make_recipe({"seeds": seeds})


# There and back


def test_a_recipe_comes_back_from_its_dict_and_from_yaml():
    values = {
        "streams": ["text", "audio"],
        "model": {"adapter_bottleneck": [4, 0], "gate_init_bias": 0.5},
        "lora": None,
        "seeds": [5],
        "learning_rates": {"gate": 1e-2},
        "learning_rate": 1e-3,
    }
    recipe = make_recipe(values)
    written = recipe.to_dict()
    assert "training" not in written
    assert {key: written[key] for key in values} == values
    assert make_recipe(written) == recipe
    assert make_recipe(yaml.safe_load(yaml.safe_dump(written))) == recipe
    assert make_recipe(json.loads(json.dumps(written))).to_dict() == written


def test_the_defaults_are_a_recipe():
    assert make_recipe({}) == make_recipe(make_recipe({}).to_dict())
    assert make_recipe({}).training == {}
