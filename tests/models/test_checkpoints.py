"""What is saved loads again, bit for bit; what is damaged says so in one line."""

import json
import pickle
import shutil
from unittest import TestCase

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import SIZES, tiny_batch, tiny_config, tiny_model
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
)

from hf_msa.models import PGFNetForSequenceClassification, PGFNetModel


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def damaged(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "damaged")


def logits(model):
    with torch.no_grad():
        return model(**tiny_batch()).logits


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def test_a_saved_model_loads_bit_equal_through_the_auto_classes(model, checkpoint):
    loaded = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    assert type(loaded) is PGFNetForSequenceClassification
    assert torch.equal(logits(loaded), logits(model))
    assert isinstance(AutoModel.from_pretrained(checkpoint), PGFNetModel)


def test_loading_keeps_the_text_model_frozen(checkpoint):
    loaded = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    assert not any(parameter.requires_grad for parameter in loaded.text_model.parameters())
    assert all(parameter.requires_grad for parameter in loaded.classifier.parameters())


def test_shards_load_bit_equal(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    assert torch.equal(logits(PGFNetForSequenceClassification.from_pretrained(tmp_path)), logits(model))


def test_a_dtype_may_be_chosen_at_loading(checkpoint):
    loaded = PGFNetForSequenceClassification.from_pretrained(checkpoint, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert torch.isfinite(logits(loaded)).all()


@pytest.mark.parametrize(
    "device_map",
    [
        "auto",
        {"": "cpu"},
        {
            "pgf_net.text_encoder.embeddings": "cpu",
            "pgf_net.text_encoder.encoder.layer.0": "disk",
            "pgf_net.text_encoder.encoder.layer.1": "cpu",
            "pgf_net.bank": "disk",
            "pgf_net.fusion_layers.0": "cpu",
            "pgf_net.fusion_layers.1": "disk",
            "classifier": "cpu",
        },
    ],
    ids=["auto", "cpu", "partly on disk"],
)
def test_a_device_map_gives_the_same_scores(model, checkpoint, tmp_path, device_map):
    loaded = PGFNetForSequenceClassification.from_pretrained(
        checkpoint, device_map=device_map, offload_folder=str(tmp_path)
    )
    torch.testing.assert_close(logits(loaded), logits(model))


def test_an_attention_implementation_reaches_the_text_model(model, checkpoint):
    loaded = PGFNetForSequenceClassification.from_pretrained(checkpoint, attn_implementation="eager")
    assert loaded.text_model.config._attn_implementation == "eager"
    torch.testing.assert_close(logits(loaded), logits(model))


def test_a_head_is_fresh_when_a_base_model_is_loaded_into_a_class_with_one(tmp_path):
    base = tiny_model(model_class=PGFNetModel)
    base.save_pretrained(tmp_path)
    loaded = PGFNetForSequenceClassification.from_pretrained(tmp_path)
    assert (loaded.classifier.hidden_1.bias == 0).all()
    assert loaded.classifier.hidden_1.weight.std() > 0.1
    for name, value in base.state_dict().items():
        assert torch.equal(loaded.pgf_net.state_dict()[name], value)


def test_loading_information_is_handed_out_when_asked_for(checkpoint):
    loaded, info = PGFNetForSequenceClassification.from_pretrained(checkpoint, output_loading_info=True)
    assert isinstance(loaded, PGFNetForSequenceClassification)
    assert not info["missing_keys"]


def test_the_text_model_is_loaded_once_and_its_place_recorded(tmp_path):
    text_model = BertModel(BertConfig(**SIZES))
    text_model.save_pretrained(tmp_path)
    model = PGFNetForSequenceClassification.from_text_pretrained(str(tmp_path), audio_dim=3, visual_dim=2)
    for name, value in model.text_model.state_dict().items():
        assert torch.equal(value, text_model.state_dict()[name])
    assert model.config.text_model_name_or_path == str(tmp_path)
    assert model.classifier.hidden_1.weight.std() > 0
    assert not any(parameter.requires_grad for parameter in model.text_model.parameters())


def test_the_folder_of_the_text_model_is_recorded_only_where_its_place_is_said(tmp_path):
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path / "text")
    model = PGFNetForSequenceClassification.from_text_pretrained(
        str(tmp_path / "text"), text_model_name_or_path="somebody/their-model"
    )
    model.save_pretrained(tmp_path / "saved")
    assert str(tmp_path) not in (tmp_path / "saved" / "config.json").read_text()


def test_a_text_model_of_another_family_is_refused_by_name(tmp_path):
    GPT2Model(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=20)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="built on bert, roberta, xlm-roberta, electra, not on 'gpt2'"):
        PGFNetForSequenceClassification.from_text_pretrained(str(tmp_path))


def test_a_text_model_of_other_sizes_than_the_configuration_is_refused(tmp_path):
    BertModel(BertConfig(**(SIZES | {"hidden_size": 32}))).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="expected the weights that text_config describes, but not for embeddings"):
        PGFNetForSequenceClassification.from_text_pretrained(str(tmp_path), config=tiny_config())


def test_an_unknown_field_is_refused_when_building_from_a_text_model(tmp_path):
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"unknown key.*'audio_dims'"):
        PGFNetForSequenceClassification.from_text_pretrained(str(tmp_path), audio_dims=3)


def test_what_trainer_hangs_on_a_configuration_does_not_reach_the_file(model, tmp_path):
    config = tiny_config()
    config.use_cache = False
    config.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).to_dict().get("use_cache") is None


def test_a_truncated_weights_file_is_one_clear_error(damaged):
    path = damaged / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged: expected whole weights, got a damaged file"):
        AutoModelForSequenceClassification.from_pretrained(damaged)


def test_a_missing_weights_file_is_one_clear_error(damaged):
    (damaged / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        AutoModelForSequenceClassification.from_pretrained(damaged)


def test_missing_weights_are_an_error_and_not_random(damaged):
    edit_weights(damaged, lambda weights: weights.pop("pgf_net.text_encoder.encoder.layer.0.output.dense.weight"))
    with pytest.raises(ValueError, match=r"lacks 1 weights, among them pgf_net\.text_encoder"):
        AutoModelForSequenceClassification.from_pretrained(damaged)


def test_weights_without_a_place_are_an_error(damaged):
    edit_weights(damaged, lambda weights: weights.update(stray=torch.ones(2)))
    with pytest.raises(ValueError, match=r"beside what config\.json describes, 1 weights, among them stray"):
        AutoModelForSequenceClassification.from_pretrained(damaged)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"audio_dim": 4},
            r"expected pgf_net\.bank\.audio_proj\.weight of shape \(24, 4\) by config.json, got \(24, 3\)",
        ),
        ({"gate_type": "full"}, r"lacks 4 weights, among them pgf_net\.fusion_layers\.0\.fusion\.gate"),
        ({"use_adapter": False}, "beside what config.json describes, 14 weights"),
        ({"adapter_botleneck": 3}, "unknown key.*'adapter_botleneck'"),
        ({"audio_dim": "three"}, "audio_dim"),
        ({"fusion_start_layer": 9}, "fusion_start_layer: expected 0 to 1"),
    ],
)
def test_an_edited_configuration_is_one_clear_error(damaged, change, message):
    edit_config(damaged, **change)
    with pytest.raises(Exception, match=message):
        AutoModelForSequenceClassification.from_pretrained(damaged)


def test_a_checkpoint_of_another_model_type_is_refused(tmp_path):
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="expected a checkpoint of model type 'pgf_net', got one of 'bert'"):
        PGFNetForSequenceClassification.from_pretrained(tmp_path)


@pytest.mark.parametrize("num_labels", [1, 2, 3])
def test_any_number_of_unnamed_classes_loads_again(num_labels, tmp_path):
    tiny_model(num_labels=num_labels).save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert loaded.config.num_labels == num_labels
    assert logits(loaded).shape == (4, num_labels)


def test_a_text_model_stored_in_half_precision_gives_a_model_that_trains(tmp_path):
    BertModel(BertConfig(**SIZES)).half().save_pretrained(tmp_path)
    model = PGFNetForSequenceClassification.from_text_pretrained(str(tmp_path))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    half = PGFNetForSequenceClassification.from_text_pretrained(str(tmp_path), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}


def test_a_key_of_a_newer_transformers_is_left_alone_and_one_of_this_version_is_refused(damaged):
    edit_config(damaged, key_of_tomorrow=1, transformers_version="5.99.0")
    assert isinstance(AutoModelForSequenceClassification.from_pretrained(damaged), PGFNetForSequenceClassification)
    edit_config(damaged, transformers_version="5.20.0")
    with pytest.raises(ValueError, match=r"unknown key.*'key_of_tomorrow'"):
        AutoModelForSequenceClassification.from_pretrained(damaged)


@pytest.mark.parametrize("content", ["[1]", "{}"])
def test_a_configuration_without_a_model_type_says_so(damaged, content):
    (damaged / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"got no config\.json that names one"):
        PGFNetForSequenceClassification.from_pretrained(damaged)


PICKLES = ["pytorch_model.bin", "model.pt", "model.pth", "weights.ckpt", "pytorch_model-00001-of-00002.bin"]


def as_pickle(folder, name="pytorch_model.bin"):
    torch.save(load_file(folder / "model.safetensors"), folder / name)
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("name", PICKLES)
def test_weights_in_a_pickle_are_not_read(damaged, monkeypatch, name):
    as_pickle(damaged, name)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    with pytest.raises(ValueError, match=rf"expected weights as safetensors, got {name}, which was not read"):
        AutoModelForSequenceClassification.from_pretrained(damaged)


def test_shards_in_pickles_are_not_read(damaged, monkeypatch):
    as_pickle(damaged, "pytorch_model-00001-of-00001.bin")
    index = {"metadata": {}, "weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}
    (damaged / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    with pytest.raises(ValueError, match=r"got pytorch_model-00001-of-00001\.bin, which was not read"):
        PGFNetForSequenceClassification.from_pretrained(damaged)


def test_an_index_of_safetensors_that_names_a_pickle_does_not_have_it_read(damaged, monkeypatch):
    weights = load_file(damaged / "model.safetensors")
    (damaged / "model.safetensors").rename(damaged / "other.safetensors")
    torch.save(weights, damaged / "pytorch_model.bin")
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "pytorch_model.bin")}
    (damaged / "model.safetensors.index.json").write_text(json.dumps(index))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    with pytest.raises(ValueError, match=r"pytorch_model\.bin: expected weights as safetensors, got another file"):
        PGFNetForSequenceClassification.from_pretrained(damaged)


def test_a_pickle_beside_safetensors_is_left_alone(model, damaged, monkeypatch):
    torch.save({"a": torch.zeros(1)}, damaged / "pytorch_model.bin")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    assert torch.equal(logits(PGFNetForSequenceClassification.from_pretrained(damaged)), logits(model))


def test_the_pickle_of_an_adapter_inside_of_a_checkpoint_is_not_read(damaged, monkeypatch):
    adapter = {"peft_type": "LORA", "r": 1, "target_modules": ["query"], "base_model_name_or_path": "x"}
    (damaged / "adapter_config.json").write_text(json.dumps(adapter))
    torch.save({"a": torch.zeros(1)}, damaged / "adapter_model.bin")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    # transformers asks a newer peft than 0.18 for a module before it looks at the weights.
    with pytest.raises((ValueError, OSError, ImportError), match=r"adapter_model|transformers_weight_conversion"):
        AutoModelForSequenceClassification.from_pretrained(damaged)


def test_a_configuration_cannot_name_a_pickle_as_the_weights(damaged, monkeypatch):
    torch.save({"a": torch.zeros(1)}, damaged / "adapter_model.bin")
    edit_config(damaged, transformers_weights="adapter_model.bin")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    with pytest.raises(ValueError, match=r"adapter_model\.bin|transformers_weights"):
        AutoModelForSequenceClassification.from_pretrained(damaged)


def test_pickles_cannot_be_asked_for(damaged):
    with pytest.raises(ValueError, match="use_safetensors: expected True, got False"):
        PGFNetForSequenceClassification.from_pretrained(damaged, use_safetensors=False)


def test_a_text_model_in_a_pickle_is_read_by_its_tensors_alone_and_that_is_said(tmp_path):
    text = BertModel(BertConfig(**SIZES))
    text.save_pretrained(tmp_path)
    as_pickle(tmp_path)
    with TestCase().assertLogs("transformers", "WARNING") as logged:
        model = PGFNetForSequenceClassification.from_text_pretrained(str(tmp_path), audio_dim=3, visual_dim=2)
    assert torch.equal(model.text_model.embeddings.word_embeddings.weight, text.embeddings.word_embeddings.weight)
    assert "its weights are a pickle (*.bin), of which torch has read the tensors alone" in "".join(logged.output)


def test_a_text_model_whose_pickle_holds_code_is_refused(tmp_path):
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"a": Trap()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        PGFNetForSequenceClassification.from_text_pretrained(str(tmp_path), audio_dim=3, visual_dim=2)


class Trap:
    """Asks for a call when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("code of a pickle was run",)


@pytest.mark.parametrize("what", ["AutoConfig", "AutoModel"])
def test_code_that_comes_with_a_text_model_is_not_run_and_not_asked_for(tmp_path, monkeypatch, what):
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('code of a text model was run')")
    edit_config(tmp_path, model_type="stranger", auto_map={what: "evil.Evil", "AutoConfig": "evil.Evil"})
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    with pytest.raises(ValueError, match="got one with code of its own, which is never run"):
        PGFNetForSequenceClassification.from_text_pretrained(str(tmp_path), audio_dim=3, visual_dim=2)
