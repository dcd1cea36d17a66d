"""DeepMLF as a whole: what it reads, what it leaves alone, what it says about itself."""

import json
import threading
from pathlib import Path

import pytest
import torch
from tiny_models import (
    AV_SIZES,
    DECODER_CONFIGS,
    tiny_batch,
    tiny_deepmlf,
    tiny_deepmlf_av,
    tiny_deepmlf_config,
    undropped_deepmlf,
)
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GPT2Config,
    LlamaConfig,
)

from hf_msa.models import DeepMLFConfig, DeepMLFForSequenceClassification, DeepMLFModel
from hf_msa.models import modeling_deepmlf as modeling
from hf_msa.models.streams_msa import STREAMS

GOLDEN = Path(__file__).parents[1] / "golden" / "deepmlf.json"
LABELS = torch.tensor([1.0, -2.0, 0.5, 3.0])
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module", params=DECODER_CONFIGS)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def model(family):
    return tiny_deepmlf(family)


def scores(model, **batch):
    with torch.no_grad():
        return model(**batch).logits


# What it reads


def test_a_masked_text_is_read_as_the_beginning_of_one(model):
    batch = tiny_batch()
    masked = batch | {"attention_mask": torch.zeros(4, 7, dtype=torch.long)}
    begun = batch | {"input_ids": torch.zeros(4, 1, dtype=torch.long), "attention_mask": torch.ones(4, 1).long()}
    torch.testing.assert_close(scores(model, **masked), scores(model, **begun), **CLOSE)


@pytest.mark.parametrize("length", [37, 38])
def test_a_text_that_leaves_no_room_for_the_fusion_tokens_is_refused(length):
    model = tiny_deepmlf()
    if length == 37:
        assert scores(model, input_ids=torch.full((1, length), 5)).shape == (1, 1)
    else:
        with pytest.raises(ValueError, match="input_ids: expected 1 to 37 tokens, so that with 3 fusion tokens"):
            model(input_ids=torch.full((1, length), 5))


# The text


@pytest.mark.parametrize("on_text", [True, False])
def test_the_states_of_the_text_are_bit_equal_whatever_the_streams_are(family, on_text):
    model, batch = tiny_deepmlf(family, ffn_on_text=on_text), tiny_batch()
    others = (
        {key: value for key, value in batch.items() if not key.startswith(("audio", "visual"))},
        batch | {"audio_values": batch["audio_values"] * 100, "visual_values": batch["visual_values"] - 50},
    )
    with torch.no_grad():
        before = model.deepmlf(**batch, output_hidden_states=True)
        for other in others:
            after = model.deepmlf(**other, output_hidden_states=True)
            for ours, theirs in zip(before.hidden_states, after.hidden_states, strict=True):
                assert torch.equal(ours, theirs)
            assert not torch.allclose(before.fusion_states, after.fusion_states)


def test_without_the_feed_forward_on_text_its_states_are_the_language_models_own(family):
    model, batch = tiny_deepmlf(family, ffn_on_text=False), tiny_batch()
    with torch.no_grad():
        found = model.deepmlf(**batch, output_hidden_states=True)
        positions = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
        plain = model.text_model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            position_ids=positions,
            output_hidden_states=True,
        )
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(found.last_hidden_state[real], plain.last_hidden_state[real], **CLOSE)
    assert len(found.hidden_states) == len(plain.hidden_states) == 4
    for ours, theirs in zip(found.hidden_states, plain.hidden_states, strict=True):
        torch.testing.assert_close(ours[real], theirs[real], **CLOSE)


@pytest.mark.parametrize("on_text", [True, False])
def test_running_the_text_first_and_alone_changes_neither_score_nor_gradient(family, on_text, monkeypatch):
    """The saving of the first MM block and below is exact, because text never attends to fusion tokens."""
    model, batch = undropped_deepmlf(family, ffn_on_text=on_text), tiny_batch(labels=LABELS)
    found = {}
    for alone in (True, False):
        monkeypatch.setattr(modeling, "can_run_alone", lambda *_, alone=alone: alone)
        model.zero_grad()
        output = model(**batch)
        output.loss.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        found[alone] = {"logits": output.logits, "loss": output.loss} | gradients
    assert found[True].keys() == found[False].keys()
    for name, value in found[True].items():
        torch.testing.assert_close(value, found[False][name], atol=2e-5, rtol=1e-4, msg=lambda m, n=name: n + m)


def test_the_text_below_the_first_mm_block_keeps_no_graph():
    model, seen = undropped_deepmlf(), []
    for layer in model.text_model.h:
        layer.register_forward_hook(lambda _, inputs, output: seen.append((output.shape[1], output.requires_grad)))
    model(**tiny_batch(labels=LABELS))
    # Blocks 0 and 1: text alone, then fusion tokens alone; behind the MM block both.
    assert seen == [(7, False), (7, False), (3, True), (3, True), (10, True)]


def test_the_audiovisual_encoder_runs_once():
    model, calls = tiny_deepmlf(), []
    model.deepmlf.av_encoder.register_forward_hook(lambda *_: calls.append(1))
    scores(model, **tiny_batch())
    assert calls == [1]


def test_two_threads_run_one_model(model):
    batches = [tiny_batch(seed=seed, text_length=5 + seed) for seed in range(2)]
    expected = [scores(model, **batch) for batch in batches]
    wrong = []

    def work(number):
        for _ in range(10):
            if not torch.equal(scores(model, **batches[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# What it says about itself


def test_gates_attention_and_states_come_on_request_only(model):
    batch = tiny_batch()
    assert list(model(**batch).keys()) == ["logits"]
    asked = model(**batch, output_gates=True, output_attentions=True, output_hidden_states=True)
    assert [gates.shape for gates in asked.gates] == [(2,), (2,)]
    assert [weights.shape for weights in asked.attentions] == [(4, 2, 3, 4)] * 2
    torch.testing.assert_close(asked.attentions[0].sum(-1), torch.ones(4, 2, 3))
    assert [state.shape for state in asked.hidden_states] == [(4, 7, 24)] * 4
    assert asked.fused_state.shape == (4, 54)
    torch.testing.assert_close(asked.logits, model(**batch).logits, **CLOSE)
    assert torch.equal(model(**batch, return_dict=False)[0], model(**batch).logits)


def test_an_explanation_says_how_far_the_score_moves_without_a_stream():
    model, batch = tiny_deepmlf().train(), tiny_batch()
    batch["visual_attention_mask"][1] = 0
    explained = model.explain(**batch)
    assert model.training
    torch.testing.assert_close(explained.stream_shares.sum(dim=1), torch.ones(4))
    assert explained.stream_shares[1, 2] == 0
    assert explained.text_share is None
    model.eval()
    without = batch | {"audio_attention_mask": torch.zeros_like(batch["audio_attention_mask"])}
    moved = (scores(model, **without) - scores(model, **batch)).abs()[:, 0]
    ratio = explained.stream_shares[:, 1] / moved
    torch.testing.assert_close(explained.stream_shares[:, 1], ratio * moved)
    torch.testing.assert_close(explained.logits, scores(model, **batch))


@pytest.mark.parametrize("fields", [{}, {"lora_rank": 2, "audio_batch_norm": True, "gate_type": "none"}])
def test_a_saved_model_loads_bit_equal_through_the_auto_classes(family, fields, tmp_path):
    model = tiny_deepmlf(family, **fields)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is DeepMLFForSequenceClassification
    assert torch.equal(scores(loaded, **tiny_batch()), scores(model, **tiny_batch()))
    base = AutoModel.from_pretrained(tmp_path)
    assert isinstance(base, DeepMLFModel)
    with torch.no_grad():
        assert torch.equal(base(**tiny_batch()).fused_state, model.deepmlf(**tiny_batch()).fused_state)


@pytest.mark.parametrize("tied", [True, False])
def test_a_pretrained_language_model_is_taken_over_whole_with_copies_and_stage_one(tied, tmp_path):
    text_config = LlamaConfig(**DECODER_CONFIGS["llama"].to_dict() | {"tie_word_embeddings": tied})
    pretrained = AutoModelForCausalLM.from_config(text_config)
    pretrained.save_pretrained(tmp_path / "lm")
    stage_one = tiny_deepmlf_av(stream_seqaug_rate=0.3)
    stage_one.save_pretrained(tmp_path / "av")
    fields = AV_SIZES | {"fusion_layers": [1, 2], "num_attention_heads": 2, "classifier_hidden_size": 8}
    model = DeepMLFForSequenceClassification.from_text_pretrained(
        str(tmp_path / "lm"), av_encoder_name_or_path=str(tmp_path / "av"), freeze_av_encoder=True, **fields
    )
    for name, value in pretrained.model.state_dict().items():
        assert torch.equal(model.text_model.state_dict()[name], value)
    for name, value in stage_one.av_encoder.state_dict().items():
        assert torch.equal(model.deepmlf.av_encoder.state_dict()[name], value)
    for number, block in zip((1, 2), model.deepmlf.fusion_blocks, strict=True):
        assert torch.equal(block.feed_forward.up.weight, pretrained.model.layers[number].mlp.up_proj.weight)
        assert block.feed_forward.up.weight.requires_grad
    assert (model.lm_head is None) == tied
    assert tied or torch.equal(model.lm_head.weight, pretrained.lm_head.weight)
    assert not any(p.requires_grad for p in model.deepmlf.av_encoder.parameters())
    with pytest.raises(ValueError, match="av_encoder_name_or_path: expected the sizes of"):
        DeepMLFForSequenceClassification.from_text_pretrained(
            str(tmp_path / "lm"), av_encoder_name_or_path=str(tmp_path / "av"), **fields | {"visual_dim": 5}
        )


def test_fresh_values_are_those_promised():
    torch.manual_seed(0)
    config = tiny_deepmlf_config(copy_ffn_bias=True, lora_rank=4)
    model = DeepMLFForSequenceClassification(config)
    block, layer = model.deepmlf.fusion_blocks[1], model.text_model.h[2]
    assert torch.equal(block.feed_forward.up.weight, layer.mlp.c_fc.weight.T)
    assert torch.equal(block.feed_forward.down.bias, layer.mlp.c_proj.bias)
    assert (block.feed_forward.up.lora_B == 0).all()
    assert block.feed_forward.up.lora_A.abs().max() <= 0.5
    assert block.attention_gate.alpha.item() == block.feed_forward_gate.alpha.item() == 0
    assert model.deepmlf.fusion_tokens.embedding.std().item() == pytest.approx(0.02, rel=0.3)
    assert (block.feed_forward_norm.weight == 1).all()
    stream = model.deepmlf.av_encoder.audio
    assert stream.proj.weight.abs().max() <= 3**-0.5
    assert stream.layers[0].up.weight.std().item() == pytest.approx((6 * 3) ** -0.5, rel=0.25)
    # Not copied by default, as in the authors' code.
    layer.mlp.c_fc.bias.data.fill_(3.0)
    block.feed_forward.copy_from(layer.mlp, with_bias=False)
    assert (block.feed_forward.up.bias == 0).all()
    block.feed_forward.copy_from(layer.mlp, with_bias=True)
    assert (block.feed_forward.up.bias == 3).all()


SMOLLM2 = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "num_attention_heads": 32}
PUBLISHED = {
    "mosei": (41_842_204, GPT2Config(), {"audio_dim": 74, "visual_dim": 35}),
    "mosei_large": (
        82_617_880,
        GPT2Config(n_embd=1280, n_layer=36, n_head=20),
        {"audio_dim": 74, "visual_dim": 35, "fusion_layers": (7, 14, 21, 28, 35)},
    ),
    "sims": (
        41_867_338,
        GPT2Config(vocab_size=21_128, bos_token_id=None, eos_token_id=None),
        {"audio_dim": 33, "visual_dim": 709, "fusion_layers": tuple(range(5, 12)), "num_fusion_tokens": 20},
    ),
    "mosi": (
        121_575_744,
        LlamaConfig(vocab_size=49_152, tie_word_embeddings=True, **SMOLLM2),
        {"fusion_layers": (11, 14, 17, 20, 23), "num_fusion_tokens": 8, "lora_rank": 512, "lm_loss_weight": 0},
    ),
}


@pytest.mark.parametrize("corpus", PUBLISHED)
def test_as_many_parameters_are_trained_as_in_the_authors_configurations(corpus):
    expected, text_config, fields = PUBLISHED[corpus]
    with torch.device("meta"):
        model = DeepMLFForSequenceClassification(DeepMLFConfig(text_config=text_config, **fields))
    assert sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fusion_layer": 3}, "unknown key.* 'fusion_layer'"),
        ({"fusion_layers": []}, r"fusion_layers: expected increasing numbers from 0 to 2, got \(\)"),
        ({"fusion_layers": [2, 1]}, r"fusion_layers: expected increasing numbers from 0 to 2, got \(2, 1\)"),
        ({"fusion_layers": [1, 3]}, r"fusion_layers: expected increasing numbers from 0 to 2, got \(1, 3\)"),
        ({"num_fusion_tokens": 0}, "num_fusion_tokens: expected at least 1, got 0"),
        ({"num_fusion_tokens": 40}, "num_fusion_tokens: expected fewer than the text model's context of 40, got 40"),
        ({"num_attention_heads": 5}, "num_attention_heads: expected a divisor of the text model's width 24, got 5"),
        ({"lora_rank": -1}, "lora_rank: expected 0 or more, got -1"),
        ({"fusion_dropout": 1.0}, r"fusion_dropout: expected a rate in \[0, 1\)"),
        ({"text_seqaug_rate": 1.5}, r"text_seqaug_rate: expected a share in \[0, 1\]"),
        ({"lm_loss_weight": -1}, "lm_loss_weight: expected 0 or more, got -1"),
        ({"av_length": 0}, "av_length: expected at least 1, got 0"),
        ({"av_hidden_size": 7}, "av_hidden_size: expected an even multiple of av_num_attention_heads 2"),
        (
            {"text_config": {"model_type": "bert"}},
            "DeepMLFConfig is built on gpt2, llama, qwen2, qwen3, not on 'bert'",
        ),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        DeepMLFConfig(**{"text_config": DECODER_CONFIGS["gpt2"].to_dict()} | tiny_fields() | fields)


def tiny_fields():
    return {"fusion_layers": [1], "num_attention_heads": 2, "av_hidden_size": 6, "av_num_attention_heads": 2}


@pytest.mark.parametrize("fields", [{"gate_type": "relu"}, {"head_norm": "none"}, {"copy_ffn_bias": 1.5}])
def test_a_field_of_the_wrong_type_is_refused(fields):
    with pytest.raises(Exception, match=next(iter(fields))):
        tiny_deepmlf_config(**fields)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_outputs_stay_what_they_were(family):
    """Golden values of this implementation; a change that should not change numbers must leave them alone."""
    model, batch = tiny_deepmlf(family, lora_rank=2 if family == "llama" else 0), tiny_batch(labels=LABELS)
    with torch.no_grad():
        for number, (_, parameter) in enumerate(sorted(model.named_parameters())):
            steps = torch.arange(parameter.numel(), dtype=torch.float64) + number
            parameter.copy_((torch.sin(steps * 0.7) * 0.3).reshape(parameter.shape))
        for stream in STREAMS[1:]:
            values = batch[f"{stream}_values"]
            values.copy_(torch.cos(torch.arange(values.numel()) * 0.3).reshape(values.shape))
        batch["input_ids"] = (torch.arange(28).reshape(4, 7) * 5) % 55 + 5
        output = model(**batch)
    golden = json.loads(GOLDEN.read_text())[family]
    torch.testing.assert_close(output.logits[:, 0], torch.tensor(golden["logits"]), **CLOSE)
    found = {name: loss.item() for name, loss in output.losses.items()}
    assert found == pytest.approx(golden["losses"], rel=1e-5)
