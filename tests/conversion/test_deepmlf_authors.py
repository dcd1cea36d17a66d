"""The authors' checkpoints become ours: the same numbers, and no code in the file is run."""

import os

import pytest
import torch
import yaml
from golden_deepmlf import batch_of, deepmlf_fields, read_golden, text_config_of
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForSequenceClassification, AutoProcessor, GPT2Config, PreTrainedTokenizerFast
from typer.testing import CliRunner

from hf_msa.cli import app
from hf_msa.models import DeepMLFProcessor

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def write_language_model(folder, description):
    """Write what `text_model` names: a configuration and a tokenizer, no weights."""
    config = text_config_of(description)
    pieces = {"<eos>": 0} | {f"w{number}": number for number in range(1, config.vocab_size)}
    words = Tokenizer(models.WordLevel(pieces, unk_token="<eos>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    config.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>", unk_token="<eos>").save_pretrained(folder)


def write_recipe(path, description, **changes):
    """Write the recipe of a golden file: what its weights do not say."""
    fields = {
        key: value
        for key, value in deepmlf_fields(description).items()
        if key.endswith("_loss_weight") or key in ("av_length", "num_attention_heads", "lora_scale")
    }
    values = {
        "model_type": "deepmlf",
        "text_model": str(path.parent / "lm"),
        "model": fields,
        "processor": {"lowercase": True},
    }
    path.write_text(yaml.safe_dump(values | changes))
    return path


@pytest.fixture(params=["deepmlf_gpt2_mini", "deepmlf_llama_mini"])
def setting(request, tmp_path, monkeypatch):
    # These language models hold a dozen positions; a real one has room to spare for fusion tokens.
    monkeypatch.setattr(DeepMLFProcessor, "reserved_positions", 4)
    description, inputs, outputs, weights = read_golden(request.param)
    write_language_model(tmp_path / "lm", description)
    recipe = write_recipe(tmp_path / "recipe.yaml", description)
    return description, inputs, outputs, {f"Model.{name}": value for name, value in weights.items()}, recipe


def convert(checkpoint, output, recipe, *overrides):
    arguments = ["convert-deepmlf", checkpoint, output, "--recipe", recipe]
    arguments += [part for override in overrides for part in ("--set", override)]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def complaint(result):
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_a_converted_checkpoint_gives_the_authors_numbers(setting, form, tmp_path):
    description, inputs, outputs, weights, recipe = setting
    if form == "pth":
        torch.save(weights, tmp_path / "authors.pth")
    else:
        save_file({name: value.clone() for name, value in weights.items()}, tmp_path / "authors.safetensors")
    result = convert(tmp_path / f"authors.{form}", tmp_path / "ours", recipe)
    assert result.exit_code == 0, result.output
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        found = model(**batch_of(inputs, description))
    torch.testing.assert_close(found.logits, outputs["unpadded.prediction"], **CLOSE)
    processor = AutoProcessor.from_pretrained(tmp_path / "ours")
    assert processor.lowercase
    with torch.no_grad():
        assert model(**processor(text=["W3 w1"])).logits.isfinite().all()


def test_stage_one_of_a_stage_two_checkpoint_converts_as_the_encoder(setting, tmp_path):
    description, inputs, outputs, weights, _ = setting
    prefix = "Model.av_encoder."
    alone = {"Model." + name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    torch.save(alone, tmp_path / "stage_one.pth")
    length = {"av_length": description["av_encoder"]["maxlen"]}
    recipe = write_recipe(tmp_path / "av.yaml", description, model_type="deepmlf_av", model=length)
    result = convert(tmp_path / "stage_one.pth", tmp_path / "av", recipe, "streams=[audio, visual]")
    assert result.exit_code == 0, result.output
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "av").eval()
    with torch.no_grad():
        steps = model(**batch_of(inputs, description, masks=False), output_hidden_states=True).hidden_states[0]
    torch.testing.assert_close(steps, outputs["av.fused"], **CLOSE)


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_code_in_a_checkpoint_is_not_run(setting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"Model.LN.weight": _Evil()}, tmp_path / "evil.pth")
    said = complaint(convert(tmp_path / "evil.pth", tmp_path / "ours", setting[-1]))
    assert "evil.pth: expected weights alone" in said
    assert not (tmp_path / "ran").exists()


def damaged(kind, weights, folder):
    """Write a file that is no whole state dict of the authors."""
    path = folder / ("bad.safetensors" if kind == "no safetensors" else "bad.pth")
    if kind == "cut":
        torch.save(weights, path)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind in ("no safetensors", "noise"):
        path.write_bytes(bytes(range(256)) * 9)
    elif kind == "empty":
        path.touch()
    elif kind == "a list":
        torch.save([1, 2], path)
    elif kind == "a number":
        torch.save({"Model.LN.weight": 3}, path)
    elif kind == "another name":
        torch.save(weights | {"Model.more": torch.zeros(2)}, path)
    elif kind == "a tensor short":
        torch.save({name: value for name, value in weights.items() if name != "Model.LN.bias"}, path)
    elif kind == "other sizes":
        torch.save(weights | {"Model.W_text.weight": torch.zeros(1, 7)}, path)
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cut", "expected whole weights"),
        ("noise", "expected weights alone"),
        ("no safetensors", "expected weights alone"),
        ("empty", "expected whole weights"),
        ("a list", "expected tensors by name, got list"),
        ("a number", "expected tensors by name, got int for 'Model.LN.weight'"),
        ("another name", "expected the names of the authors' DeepMLF, got 'Model.more'"),
        ("a tensor short", "Missing key"),
        ("other sizes", "size mismatch"),
        ("missing", "No such file"),
    ],
)
@pytest.mark.parametrize("setting", ["deepmlf_gpt2_mini"], indirect=True)
def test_a_damaged_file_is_an_error_of_one_line_and_writes_nothing(setting, kind, said, tmp_path):
    path = damaged(kind, setting[3], tmp_path)
    assert said in complaint(convert(path, tmp_path / "ours", setting[-1]))
    assert not any((tmp_path / "ours").glob("*"))


@pytest.mark.parametrize("setting", ["deepmlf_gpt2_mini"], indirect=True)
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.num_fusion_tokens=5", "model.num_fusion_tokens: expected 3 as the weights have it, got 5"),
        ("model.fusion_layers=[0, 1]", "model.fusion_layers: expected [0, 2] as the weights have it"),
        ("model_type=deepmlf_av", "expected weights of deepmlf_av as in the recipe, got those of deepmlf"),
        ("model_type=pgf_net", "model_type: expected a recipe of deepmlf or deepmlf_av, got 'pgf_net'"),
    ],
)
def test_a_recipe_of_another_setting_is_refused(setting, override, said, tmp_path):
    torch.save(setting[3], tmp_path / "authors.pth")
    overrides = [override, "model={}"] if override.startswith("model_type") else [override]
    assert said in complaint(convert(tmp_path / "authors.pth", tmp_path / "ours", setting[-1], *overrides))


@pytest.mark.parametrize("setting", ["deepmlf_gpt2_mini"], indirect=True)
def test_another_language_model_is_refused(setting, tmp_path):
    torch.save(setting[3], tmp_path / "authors.pth")
    GPT2Config(vocab_size=60, n_embd=48, n_layer=3, n_head=4, bos_token_id=0, eos_token_id=0).save_pretrained(
        tmp_path / "lm"
    )
    said = complaint(convert(tmp_path / "authors.pth", tmp_path / "ours", setting[-1]))
    assert "expected the sizes of" in said


@pytest.mark.parametrize("setting", ["deepmlf_gpt2_mini"], indirect=True)
def test_without_a_loss_its_head_is_left_out(setting, tmp_path):
    torch.save(setting[3], tmp_path / "authors.pth")
    result = convert(tmp_path / "authors.pth", tmp_path / "ours", setting[-1], "model.av_loss_weight=0")
    assert result.exit_code == 0, result.output
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "ours").av_head is None
