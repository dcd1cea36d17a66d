"""DeepMLF's second stage on the run of its first: what it takes over, what it leaves alone, what it refuses."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_run import recipe_values, write_corpus, write_decoder
from typer.testing import CliRunner

from hf_msa.cli import app
from hf_msa.pretrained.checkpoint import load_checkpoint
from hf_msa.training import make_recipe, train_recipe

AV_SIZES = {
    "av_length": 4,
    "av_hidden_size": 6,
    "av_num_hidden_layers": 1,
    "av_num_attention_heads": 2,
    "av_intermediate_size": 12,
    "audio_batch_norm": True,
}
SIZES = {"fusion_layers": [1], "num_fusion_tokens": 2, "num_attention_heads": 2, "classifier_hidden_size": 8}
OF_THE_ENCODER = "av_encoder."


def recipe(text_model, corpus, stage_one=None, model=None, **changes):
    """Return the recipe of stage one, or with its run that of stage two."""
    values = recipe_values(text_model, corpus, lora=None, **changes)
    if stage_one is None:
        values |= {"model_type": "deepmlf_av", "streams": ["audio", "visual"], "model": AV_SIZES}
    else:
        fields = {"av_encoder_name_or_path": str(stage_one), "freeze_av_encoder": True} | (model or {})
        values |= {"model_type": "deepmlf", "model": AV_SIZES | SIZES | fields}
    return make_recipe(values)


def encoder_of(folder):
    """Return the saved weights and statistics of a checkpoint's audiovisual encoder."""
    saved = load_file(folder / "model.safetensors")
    return {key[key.index(OF_THE_ENCODER) :]: value for key, value in saved.items() if OF_THE_ENCODER in key}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a language model, two corpora that lie elsewhere, and a run of stage one on the first."""
    folder = tmp_path_factory.mktemp("stages")
    write_decoder(folder / "text")
    write_corpus(folder / "first.pkl")
    write_corpus(folder / "second.pkl", seed=1)
    train_recipe(recipe(folder / "text", folder / "first.pkl"), folder / "one")
    return folder


@pytest.fixture(scope="module")
def frozen(place):
    made = recipe(place / "text", place / "second.pkl", place / "one")
    return train_recipe(made, place / "frozen")


def test_a_frozen_encoder_keeps_its_trained_weights_and_statistics_bit_by_bit(place, frozen):
    trained, kept = encoder_of(place / "one"), encoder_of(place / "frozen")
    assert trained.keys() == kept.keys()
    assert any("running_mean" in name for name in trained)
    for name, value in trained.items():
        assert torch.equal(kept[name], value), name


def test_an_encoder_that_is_not_frozen_is_trained(place):
    made = recipe(place / "text", place / "second.pkl", place / "one", {"freeze_av_encoder": False})
    train_recipe(made, place / "trained")
    before, after = encoder_of(place / "one"), encoder_of(place / "trained")
    assert not torch.equal(after["av_encoder.fusion.weight"], before["av_encoder.fusion.weight"])
    assert not torch.equal(
        after["av_encoder.audio.batch_norm.running_mean"], before["av_encoder.audio.batch_norm.running_mean"]
    )


def test_a_frozen_encoder_stays_in_evaluation_mode_while_the_rest_trains(frozen, place):
    model, _ = load_checkpoint(str(place / "frozen"))
    model.train()
    assert model.training
    assert model.deepmlf.fusion_blocks.training
    assert not any(module.training for module in model.deepmlf.av_encoder.modules())
    model.deepmlf.av_encoder.requires_grad_(True)
    model.train()
    assert model.deepmlf.av_encoder.training


def test_a_fresh_model_with_a_frozen_encoder_is_in_evaluation_mode_there(place, frozen):
    from hf_msa.models import DeepMLFForSequenceClassification

    config = load_checkpoint(str(place / "frozen"))[0].config
    assert not DeepMLFForSequenceClassification(config).deepmlf.av_encoder.training


def test_stage_two_normalises_as_stage_one_did_whatever_its_corpus(place, frozen):
    first, second = (load_checkpoint(str(place / run))[1].feature_extractor for run in ("one", "frozen"))
    assert second.audio_statistics == first.audio_statistics
    assert second.visual_statistics == first.visual_statistics
    made = recipe(place / "text", place / "second.pkl", place / "one", {"av_encoder_name_or_path": None})
    train_recipe(made, place / "alone")
    alone = load_checkpoint(str(place / "alone"))[1].feature_extractor
    assert alone.audio_statistics != first.audio_statistics


def test_no_folder_of_the_machine_stands_in_the_results(place, frozen):
    text = (place / "frozen" / "results.json").read_text()
    assert str(place) not in text
    found = json.loads(text)
    short = f"{place.name}/one"
    assert found["recipe"]["model"]["av_encoder_name_or_path"] == short
    assert found["model"]["config"]["av_encoder_name_or_path"] == short


def test_features_of_another_size_are_refused_by_name(place):
    other = write_corpus(place / "other.pkl", audio_dim=4)
    with pytest.raises(ValueError, match=r"audio_dim: expected 3 as in stage one, .*one, got 4"):
        train_recipe(recipe(place / "text", other, place / "one"), place / "refused")
    assert not (place / "refused").exists()


def test_an_encoder_of_other_sizes_is_refused_by_name(place):
    made = recipe(place / "text", place / "first.pkl", place / "one", {"av_intermediate_size": 18})
    with pytest.raises(ValueError, match="av_encoder_name_or_path: expected the sizes of"):
        train_recipe(made, place / "refused")


def test_another_normalisation_is_refused_by_name(place):
    statistics = {"mean": [0.0] * 3, "std": [1.0] * 3}
    made = recipe(place / "text", place / "first.pkl", place / "one", processor={"audio_statistics": statistics})
    with pytest.raises(ValueError, match="audio_statistics: expected those in stage one"):
        train_recipe(made, place / "refused")
    with pytest.raises(ValueError, match="normalize_by: expected null"):
        recipe(place / "text", place / "first.pkl", place / "one", normalize_by="speaker")


def test_what_is_no_stage_one_is_refused_by_name(place, frozen):
    made = recipe(place / "text", place / "first.pkl", place / "frozen")
    with pytest.raises(ValueError, match="av_encoder_name_or_path: expected a deepmlf_av, got a deepmlf"):
        train_recipe(made, place / "refused")


def test_a_stream_that_stage_one_never_saw_is_refused_by_name(place):
    first = recipe(place / "text", place / "first.pkl")
    first.streams = ["audio"]
    train_recipe(first, place / "audio_alone")
    made = recipe(place / "text", place / "first.pkl", place / "audio_alone")
    with pytest.raises(ValueError, match=r"streams: expected .*, got visual too"):
        train_recipe(made, place / "refused")
    made.streams = ["text", "audio"]
    train_recipe(made, place / "fewer")


def test_the_command_says_that_stage_one_is_missing_and_leaves_it_out_on_one_flag(place, monkeypatch):
    monkeypatch.chdir(place)
    made = recipe(place / "text", place / "first.pkl", "runs/nowhere")
    (place / "two.yaml").write_text(json.dumps(made.to_dict()))  # JSON is YAML
    refused = CliRunner().invoke(app, ["train", "two.yaml"])
    assert refused.exit_code == 2
    message = (
        "av_encoder_name_or_path: expected a folder or a repository (user/name), got 'runs/nowhere'; it is a run of"
    )
    assert message in refused.stderr
    flag = ["--set", "model.av_encoder_name_or_path=null", "--set", "model.freeze_av_encoder=false"]
    done = CliRunner().invoke(app, ["train", "two.yaml", *flag, "--json"])
    assert done.exit_code == 0, done.stderr


def test_lora_on_the_language_model_is_refused(place):
    with pytest.raises(ValueError, match="lora: expected null for deepmlf_av"):
        make_recipe(recipe_values(place / "text", "sample", model_type="deepmlf_av", model={}, lora={"r": 2}))
    assert make_recipe({"model_type": "deepmlf"}).lora is None
