"""DeepMLF in training: what learns and what stays frozen, its losses, its random numbers, its precision."""

import pytest
import torch
from tiny_models import DECODER_CONFIGS, tiny_batch, tiny_deepmlf, undropped_deepmlf
from transformers import AutoModelForSequenceClassification

LABELS = torch.tensor([1.0, -2.0, 0.5, 3.0])
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module", params=DECODER_CONFIGS)
def family(request):
    return request.param


def scores(model, **batch):
    with torch.no_grad():
        return model(**batch).logits


def rows(batch, index):
    return {key: value[index] for key, value in batch.items()}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"lora_rank": 2},
        {"ffn_on_text": False, "gate_type": "tanh"},
        {"gate_type": "none", "head_norm": "layer", "audio_batch_norm": True, "visual_batch_norm": True},
    ],
)
def test_after_three_steps_every_trained_tensor_has_had_a_gradient_and_no_other(family, fields):
    model = tiny_deepmlf(family, **fields).train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    moved = set()
    for step in range(3):
        optimizer.zero_grad()
        model(**tiny_batch(seed=step), labels=LABELS).loss.backward()
        moved |= {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        optimizer.step()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    # Nothing depends on the bias of an attention's keys, in theory.
    assert {name for name in trained - moved if not name.endswith("key.bias")} == set()
    assert moved <= trained
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    lora = {n for n in frozen if ".feed_forward." in n}
    assert frozen - lora == {name for name, _ in model.named_parameters() if ".text_encoder." in name}
    assert bool(lora) == bool(fields.get("lora_rank"))


def test_what_is_frozen_can_be_chosen_and_is_frozen_again_after_loading(tmp_path):
    model = tiny_deepmlf("llama", freeze_av_encoder=True, lora_rank=2)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    trained = {name for name, p in loaded.named_parameters() if p.requires_grad}
    assert trained == {name for name, p in model.named_parameters() if p.requires_grad}
    assert not any(".av_encoder." in name or ".text_encoder." in name for name in trained)
    assert not any(name.endswith("feed_forward.up.weight") for name in trained)
    whole = tiny_deepmlf(freeze_text_encoder=False)
    assert all(parameter.requires_grad for parameter in whole.parameters())


def test_the_losses_are_named_and_weighted_and_their_heads_made_where_they_count():
    batch = tiny_batch(labels=LABELS)
    weights = {"fusion_loss_weight": 0.5, "av_loss_weight": 0.25, "text_loss_weight": 2.0, "lm_loss_weight": 0.1}
    output = tiny_deepmlf(**weights)(**batch)
    assert list(output.losses) == ["task", "fusion", "av", "text", "lm"]
    expected = output.losses["task"] + sum(
        weights[f"{n}_loss_weight"] * output.losses[n] for n in list(output.losses)[1:]
    )
    torch.testing.assert_close(output.loss, expected)
    assert tiny_deepmlf()(**tiny_batch()).losses is None
    plain = tiny_deepmlf(**dict.fromkeys(weights, 0))
    assert list(plain(**batch).losses) == ["task"]
    assert not any("_head" in name for name, _ in plain.named_parameters())
    assert "losses" in plain.config.keys_to_ignore_at_inference


def test_classes_have_losses_too():
    output = tiny_deepmlf(num_labels=3)(**tiny_batch(labels=torch.tensor([0, 2, 1, 1])))
    assert output.logits.shape == (4, 3)
    assert set(output.losses) == {"task", "fusion", "av", "text", "lm"}
    assert torch.isfinite(output.loss)


def test_a_language_model_whose_head_is_a_matrix_of_its_own_keeps_it_frozen():
    text_config = DECODER_CONFIGS["llama"].to_dict() | {"tie_word_embeddings": False}
    model = tiny_deepmlf(text_config=text_config)
    assert not model.lm_head.weight.requires_grad
    before = model(**tiny_batch(labels=LABELS)).losses["lm"]
    model.lm_head.weight.data.zero_()
    assert model(**tiny_batch(labels=LABELS)).losses["lm"] != before
    assert tiny_deepmlf(text_config=text_config, lm_loss_weight=0).lm_head is None


def test_seqaug_and_dropout_work_in_training_only_and_follow_the_seed():
    model, batch = tiny_deepmlf(text_seqaug_apply=1.0, text_seqaug_rate=0.5, head_norm="layer"), tiny_batch()
    assert torch.equal(scores(model, **batch), scores(model, **batch))
    model.train()

    def score(seed):
        torch.manual_seed(seed)
        return scores(model, **batch)

    assert torch.equal(score(1), score(1))
    assert not torch.equal(score(1), score(2))
    still = undropped_deepmlf()
    before = scores(still, **batch)
    assert torch.equal(scores(still, **batch), before)
    for fields in ({"text_seqaug_apply": 1.0, "text_seqaug_rate": 1.0}, {"stream_seqaug_rate": 1.0}):
        assert not torch.allclose(scores(undropped_deepmlf(**fields), **batch), before)


def test_gradients_of_half_batches_add_up_where_no_row_depends_on_another():
    model, batch = undropped_deepmlf(lm_loss_weight=0), tiny_batch(labels=LABELS)
    model(**batch).loss.backward()
    whole = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    for half in (slice(0, 2), slice(2, 4)):
        (model(**rows(batch, half)).loss / 2).backward()
    for name, gradient in whole.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, atol=1e-5, rtol=1e-4)


def test_gradient_checkpointing_changes_no_gradient(family):
    model, batch = undropped_deepmlf(family), tiny_batch(labels=LABELS)
    model(**batch).loss.backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model.gradient_checkpointing_enable()
    calls = []
    model.deepmlf.fusion_blocks[0].feed_forward.register_forward_hook(lambda *_: calls.append(1))
    model(**batch).loss.backward()
    assert len(calls) == 2
    after = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert after.keys() == before.keys()
    for name, gradient in before.items():
        torch.testing.assert_close(after[name], gradient, atol=2e-5, rtol=1e-4)


def test_one_row_is_a_batch_to_train_on():
    model = tiny_deepmlf(audio_batch_norm=True).train()
    model(**rows(tiny_batch(labels=LABELS), slice(0, 1))).loss.backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same_score(family, dtype):
    batch = tiny_batch()
    torch.testing.assert_close(
        scores(tiny_deepmlf(family).to(dtype), **batch).float(),
        scores(tiny_deepmlf(family), **batch),
        atol=0.2,
        rtol=0.1,
    )


def test_autocast_trains(family):
    model = tiny_deepmlf(family, audio_batch_norm=True, lora_rank=2).train()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**tiny_batch(labels=LABELS))
    output.loss.backward()
    assert torch.isfinite(output.loss)
