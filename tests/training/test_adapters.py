"""LoRA around PGF-Net: what trains, what is saved, what comes back."""

import pytest
import torch
from transformers import BertConfig, BertModel, Trainer, TrainingArguments

from hf_msa import load_adapter
from hf_msa.models import PGFNetConfig, PGFNetForSequenceClassification
from hf_msa.training import add_lora, merge_lora, save_adapter

# Parameters on BERT-base (D = 768, 12 layers), counted by hand.
LORA = 12 * 2 * 2 * 32 * 768  # query and value of each layer, A and B of rank 32
BANK = (5 + 1 + 20 + 1) * 768
ADAPTER = 2 * 768 + (768 * 64 + 64) + (64 * 768 + 768) + 1
GATE = (2 * 768 * 20 + 20) + (20 * 768 + 768)
FULL_GATE = 2 * 768 * 768 + 768
MULTIHEAD = 4 * (768 * 768 + 768)
HEAD = (768 * 128 + 128) + (128 * 128 + 128) + (128 + 1)
TEXT = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 32,
}


def trainable(model):
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def batch(size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "input_ids": torch.randint(5, 50, (size, 6), generator=generator),
        "attention_mask": torch.ones(size, 6, dtype=torch.long),
        "audio_values": torch.randn(size, 6, 3, generator=generator),
        "audio_attention_mask": torch.ones(size, 6, dtype=torch.long),
        "visual_values": torch.randn(size, 5, 2, generator=generator),
        "visual_attention_mask": torch.ones(size, 5, dtype=torch.long),
        "labels": torch.randn(size, generator=generator),
    }


def logits(model):
    with torch.no_grad():
        return model(**{key: value for key, value in batch().items() if key != "labels"}).logits


@pytest.fixture
def text_model(tmp_path):
    torch.manual_seed(3)
    folder = tmp_path / "text_model"
    BertModel(BertConfig(**TEXT)).save_pretrained(folder)
    return folder


@pytest.fixture
def model(text_model):
    torch.manual_seed(0)
    return PGFNetForSequenceClassification.from_text_pretrained(
        str(text_model), audio_dim=3, visual_dim=2, adapter_bottleneck=6, gate_rank=4, classifier_hidden_size=8
    )


def train(model, steps=3, learning_rate=0.05):
    """Take some plain steps and return the names of the parameters that never had a gradient."""
    optimizer = torch.optim.AdamW(trainable(model).values(), lr=learning_rate)
    never = set(trainable(model))
    for step in range(steps):
        model.train()
        model(**batch(seed=step)).loss.backward()
        never -= {name for name, p in trainable(model).items() if p.grad is not None and p.grad.abs().sum() > 0}
        optimizer.step()
        optimizer.zero_grad()
    return never


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 3_085_949),
        ({"use_gate": False}, 3_085_949 - 12 * GATE),
        ({"use_adapter": False}, 1_877_873),
        ({"use_cross_attention": False}, 3_085_949),
        ({"fusion_start_layer": 6}, LORA + BANK + 6 * (GATE + ADAPTER) + HEAD),
        ({"adapter_bottleneck": 32}, 3_085_949 - 12 * 32 * (2 * 768 + 1)),
        ({"adapter_bottleneck": [64] * 6 + [0] * 6}, 3_085_949 - 6 * ADAPTER),
        ({"gate_type": "full"}, 3_085_949 + 12 * (FULL_GATE - GATE)),
        ({"cross_attention_type": "multihead"}, 3_085_949 + 12 * MULTIHEAD),
        ({"fusion_placement": "after_ffn"}, 3_085_949),
        ({"attention_scale": "model_width"}, 3_085_949),
        ({"audio_dim": 74, "visual_dim": 35}, 3_085_949 + (69 + 15) * 768),
        ({"num_labels": 7}, 3_085_949 + 6 * 129),
    ],
    ids=lambda value: str(value)[:40],
)
def test_trainable_parameters_of_every_variant_on_bert_base(fields, expected):
    with torch.device("meta"):
        model = add_lora(PGFNetForSequenceClassification(PGFNetConfig(**fields)))
    assert sum(parameter.numel() for parameter in trainable(model).values()) == expected
    assert LORA + BANK + 12 * (ADAPTER + GATE) + HEAD == 3_085_949


def test_lora_leaves_the_text_model_frozen_and_trains_all_that_is_fresh(model):
    fresh = {name for name, parameter in model.named_parameters() if ".text_encoder." not in name}
    wrapped = add_lora(model)
    names = {
        name.removeprefix("base_model.model.").replace("modules_to_save.default.", "") for name in trainable(wrapped)
    }
    assert {name for name in names if ".text_encoder." not in name} == fresh
    assert {name.split(".")[-3] for name in names if ".text_encoder." in name} == {"lora_A", "lora_B"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"gate_type": "full", "cross_attention_type": "multihead", "fusion_placement": "after_ffn"},
        {"use_gate": False, "use_cross_attention": False},
    ],
    ids=["default", "largest", "ablated"],
)
def test_every_trainable_tensor_has_a_gradient_within_three_steps(text_model, fields):
    torch.manual_seed(0)
    model = PGFNetForSequenceClassification.from_text_pretrained(
        str(text_model), audio_dim=3, visual_dim=2, adapter_bottleneck=6, gate_rank=4, **fields
    )
    # A softmax does not see what all its scores share: biases of keys never have a gradient beyond rounding.
    assert {name for name in train(add_lora(model)) if not name.endswith("key.bias")} == set()


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("r", 0, "from 1 to 1024"),
        ("r", -1, "from 1 to 1024"),
        ("r", 10**9, "from 1 to 1024"),
        ("lora_alpha", 0, "a finite number above 0"),
        ("lora_alpha", -32, "a finite number above 0"),
        ("lora_dropout", 1.0, r"a rate in \[0, 1\)"),
        ("lora_dropout", -0.1, r"a rate in \[0, 1\)"),
        ("lora_dropout", float("nan"), r"a rate in \[0, 1\)"),
        ("target_modules", (), "at least one name of a linear layer"),
    ],
)
def test_an_argument_of_lora_out_of_range_is_named(model, argument, value, expected):
    with pytest.raises(ValueError, match=f"^{argument}: expected .*{expected}, got"):
        add_lora(model, **{argument: value})


def test_a_layer_may_be_named_by_how_its_name_ends(model):
    names = {name for name in trainable(add_lora(model, target_modules=("self.query",))) if "lora_A" in name}
    assert names
    assert all(".self.query." in name for name in names)


@pytest.mark.parametrize("name", ["nope", "elf.query", "attention"])
def test_a_layer_that_there_is_not_is_named(model, name):
    with pytest.raises(ValueError, match=rf"^target_modules: expected linear layers .*query.*, got '{name}'"):
        add_lora(model, target_modules=("query", name))


def test_gates_move_in_training(model):
    before = torch.stack(model(**batch(), output_gates=True).gates)
    train(add_lora(model), steps=5)
    after = torch.stack(model(**batch(), output_gates=True).gates)
    assert (after - before).abs().max() > 0.01


def test_a_merged_model_is_plain_and_scores_the_same(model):
    wrapped = add_lora(model)
    train(wrapped)
    wrapped.eval()
    expected = logits(wrapped)
    merged = merge_lora(wrapped)
    assert type(merged) is PGFNetForSequenceClassification
    assert not [name for name, _ in merged.named_parameters() if "lora" in name or "modules_to_save" in name]
    torch.testing.assert_close(logits(merged), expected, atol=1e-6, rtol=1e-6)
    assert not any(parameter.requires_grad for parameter in merged.text_model.parameters())


def test_a_merged_checkpoint_loads_without_peft_bit_equal(model, tmp_path):
    wrapped = add_lora(model)
    train(wrapped)
    merged = merge_lora(wrapped).eval()
    merged.save_pretrained(tmp_path / "merged")
    loaded = PGFNetForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    assert torch.equal(logits(loaded), logits(merged))


def test_an_adapter_folder_holds_what_trained_and_comes_back_bit_equal(model, tmp_path):
    wrapped = add_lora(model)
    train(wrapped)
    wrapped.eval()
    expected, num_trained = logits(wrapped), sum(p.numel() for p in trainable(wrapped).values())
    save_adapter(wrapped, tmp_path / "adapter")
    assert not list((tmp_path / "adapter").glob("model*.safetensors"))
    size = (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    assert 4 * num_trained <= size < 4 * num_trained + 20_000
    back = load_adapter(tmp_path / "adapter", merge=False).eval()
    assert torch.equal(logits(back), expected)
    merged = load_adapter(tmp_path / "adapter")
    assert type(merged) is PGFNetForSequenceClassification
    torch.testing.assert_close(logits(merged), expected, atol=1e-6, rtol=1e-6)


def test_an_adapter_can_be_trained_further(model, tmp_path):
    wrapped = add_lora(model)
    save_adapter(wrapped, tmp_path / "adapter")
    again = load_adapter(tmp_path / "adapter", merge=False)
    assert set(trainable(again)) == set(trainable(wrapped))
    assert train(again) == set()


def test_an_adapter_takes_its_text_model_from_where_it_is_told(model, text_model, tmp_path):
    save_adapter(add_lora(model), tmp_path / "adapter")
    moved = text_model.rename(tmp_path / "moved")
    assert logits(load_adapter(tmp_path / "adapter", text_model_name_or_path=str(moved))).shape == (8, 1)


def test_an_adapter_that_records_no_text_model_says_so(tmp_path):
    config = PGFNetConfig(text_config=BertConfig(**TEXT).to_dict())
    save_adapter(add_lora(PGFNetForSequenceClassification(config)), tmp_path)
    with pytest.raises(ValueError, match="text_model_name_or_path: expected a repository or folder"):
        load_adapter(tmp_path)


def test_another_model_is_no_adapter(text_model):
    with pytest.raises(ValueError, match=r"expected an adapter, got no adapter_config\.json"):
        load_adapter(text_model)
    (text_model / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"model: expected one of type .* of type 'bert'"):
        load_adapter(text_model)


def plain_trainer(model, folder, **arguments):
    settings = {"learning_rate": 0.01, "max_grad_norm": 0.0, "lr_scheduler_type": "constant", "weight_decay": 0.0}
    rows = [{key: value[i] for key, value in batch(16).items()} for i in range(16)]
    return Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=2,
            remove_unused_columns=False,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            save_strategy="no",
            **(settings | arguments),
        ),
        train_dataset=rows,
        eval_dataset=rows,
    )


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.text_model.config.attention_probs_dropout_prob = 0.0
    for layer in model.text_model.encoder.layer:
        layer.attention.self.dropout.p = 0.0
    return model


def test_accumulated_batches_train_as_one_large_batch(text_model, tmp_path):
    trained = []
    for size, accumulation in ((8, 1), (2, 4)):
        torch.manual_seed(0)
        model = PGFNetForSequenceClassification.from_text_pretrained(str(text_model), audio_dim=3, visual_dim=2)
        trainer = plain_trainer(
            add_lora(without_dropout(model), lora_dropout=0.0),
            tmp_path,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
            optim="sgd",
        )
        trainer.train()
        trained.append({name: p.detach().clone() for name, p in trainable(trainer.model).items()})
    for name, value in trained[0].items():
        torch.testing.assert_close(trained[1][name], value, atol=1e-6, rtol=1e-5, msg=name)


def test_a_plain_trainer_gets_scores_and_no_gates_as_predictions(model, tmp_path):
    prediction = plain_trainer(model, tmp_path).predict(plain_trainer(model, tmp_path).eval_dataset)
    assert prediction.predictions.shape == (16, 1)
    assert prediction.label_ids.shape == (16,)


@pytest.mark.parametrize("name", ["adapter_model.bin", "adapter_model.pt"])
def test_an_adapter_in_a_pickle_is_not_read(model, tmp_path, monkeypatch, name):
    save_adapter(add_lora(model), tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    torch.save({"a": torch.zeros(1)}, tmp_path / "adapter" / name)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    with pytest.raises(ValueError, match=r"expected weights as adapter_model\.safetensors, got none; pickles"):
        load_adapter(tmp_path / "adapter")
