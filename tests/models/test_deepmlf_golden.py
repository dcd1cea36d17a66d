"""DeepMLF against the authors' own code: their weights, inputs, outputs and losses at tiny sizes.

Where a row has padding the authors let it leak into pooled streams and token positions; what they give for the row
alone is what padding must not change. How the files were made: their descriptions.
"""

import pytest
import torch
from golden_deepmlf import av_fields, batch_of, deepmlf_fields, our_av_weights, our_weights, read_golden

from hf_msa.models import (
    DeepMLFAudioVisualConfig,
    DeepMLFAudioVisualEncoder,
    DeepMLFConfig,
    DeepMLFForSequenceClassification,
)

FILES = [
    "deepmlf_gpt2_mini",
    "deepmlf_llama_mini",
    pytest.param("gpt2", marks=pytest.mark.corpus),
    pytest.param("llama", marks=pytest.mark.corpus),
]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module", params=FILES)
def golden(request):
    description, inputs, outputs, weights = read_golden(request.param)
    config = DeepMLFConfig(**deepmlf_fields(description))
    model = DeepMLFForSequenceClassification(config).eval()
    model.load_state_dict(our_weights(weights), strict=True)
    unpadded = [row for row, n in enumerate(description["real_text_lengths"]) if n == inputs["input_ids"].shape[1]]
    return description, inputs, outputs, model, unpadded


@torch.no_grad()
def states(model, batch):
    found = model.deepmlf(**batch, output_hidden_states=True)
    return {
        "prediction": model(**batch).logits,
        "text_prediction": model.text_head(found.last_text_state),
        "av_prediction": model.av_head(found.av_states.mean(dim=1)),
        "fusion_predictions": model.fusion_head(found.fusion_states),
        "last_hidden_fusion": found.fusion_states,
        "last_hidden_text": found.last_hidden_state,
        "last_valid_text": found.last_text_state,
        "av_context": found.av_states,
        "lm_logits": torch.cat([found.last_hidden_state, found.fusion_states], dim=1)
        @ model.get_input_embeddings().weight.T,
    }


def compare(found, outputs, prefix, rows=slice(None)):
    compared = [key for key in found if prefix + key in outputs]
    assert {"prediction", "text_prediction", "av_prediction", "fusion_predictions", "av_context"} <= set(compared)
    for key in compared:
        torch.testing.assert_close(found[key][rows], outputs[prefix + key][rows], **CLOSE, msg=lambda m, k=key: k + m)


def test_a_padded_batch_with_its_masks_gives_what_the_authors_give_for_each_row_alone(golden):
    description, inputs, outputs, model, _ = golden
    compare(states(model, batch_of(inputs, description)), outputs, "unpadded.")


def test_with_all_frames_real_the_authors_outputs_for_rows_whose_text_alone_is_cut(golden):
    description, inputs, outputs, model, _ = golden
    compare(states(model, batch_of(inputs, description, masks=False)), outputs, "unpadded_text.")


def test_rows_without_padded_text_give_every_output_of_the_authors(golden):
    description, inputs, outputs, model, rows = golden
    assert rows
    compare(states(model, batch_of(inputs, description, masks=False)), outputs, "", rows)


def test_steps_of_zeros_have_no_position_as_in_the_authors_code(golden):
    description, inputs, outputs, model, rows = golden
    batch = batch_of(inputs, description, masks=False, zero_steps=True)
    compare(states(model, batch), outputs, "zero_steps.", rows)
    context = states(model, batch)["av_context"]
    torch.testing.assert_close(context, outputs["zero_steps.av_context"], **CLOSE)


def test_every_mm_block_gives_what_the_authors_block_gives(golden):
    _, inputs, outputs, model, _ = golden
    length = inputs["input_ids"].shape[1]
    for number, block in enumerate(model.deepmlf.fusion_blocks):
        before = outputs[f"mm_block.{number}.input"]
        with torch.no_grad():
            read, _ = block.cross_attention(block.attention_norm(before[:, length:]), outputs["av_context"])
            after, _, _ = block(before, outputs["av_context"], length)
        torch.testing.assert_close(read, outputs[f"mm_block.{number}.cross_attention"], **CLOSE)
        torch.testing.assert_close(after, outputs[f"mm_block.{number}.output"], **CLOSE)


def test_the_losses_are_those_of_the_authors_training_loop(golden):
    """Padding moves the authors' fusion tokens, so their other two losses are measured on rows without any."""
    description, inputs, outputs, model, rows = golden
    batch = batch_of(inputs, description, masks=False)
    with torch.no_grad():
        whole = model(**batch, labels=inputs["labels"]).losses
        part = model(**{key: value[rows] for key, value in batch.items()}, labels=inputs["labels"][rows])
    for name in ("av", "text", "lm"):
        torch.testing.assert_close(whole[name], outputs[f"loss.{name}"], **CLOSE)
    labels = inputs["labels"][rows]
    task = (outputs["prediction"][rows, 0] - labels).abs().mean()
    fusion = (outputs["fusion_predictions"][rows, :, 0] - labels[:, None]).abs().mean()
    torch.testing.assert_close(part.losses["task"], task, **CLOSE)
    torch.testing.assert_close(part.losses["fusion"], fusion, **CLOSE)
    # The weighted sum: with the authors' terms in place of the two that padding moves, their total.
    weights = description["loss_weights"]
    named = {"fusion": "l_bn", "av": "l_av", "text": "l_t", "lm": "gamma"}
    total = outputs["loss.task"] + sum(weights[key] * outputs[f"loss.{name}"] for name, key in named.items())
    torch.testing.assert_close(total, outputs["loss.total"], **CLOSE)
    ours = part.losses["task"] + sum(weights[key] * part.losses[name] for name, key in named.items())
    torch.testing.assert_close(part.loss, ours)


@pytest.mark.parametrize("stream", ["audio", "visual"])
def test_every_stage_of_the_audiovisual_encoder_is_the_authors(golden, stream):
    _, inputs, outputs, model, _ = golden
    encoder = getattr(model.deepmlf.av_encoder, stream)
    frames = inputs[stream]
    mask = torch.ones(frames.shape[:2], dtype=torch.bool)
    with torch.no_grad():
        steps = encoder.align(frames, mask)
        torch.testing.assert_close(steps, outputs[f"av.{stream}_steps"], **CLOSE)
        torch.testing.assert_close(encoder.embed(steps), outputs[f"av.{stream}_embedded"], **CLOSE)
        torch.testing.assert_close(encoder(frames, mask), outputs[f"av.{stream}_encoded"], **CLOSE)


@pytest.mark.corpus
def test_stage_one_gives_the_authors_scores_and_loss():
    description, inputs, outputs, weights = read_golden("stage_one")
    model = DeepMLFAudioVisualEncoder(DeepMLFAudioVisualConfig(**av_fields(description))).eval()
    model.av_encoder.load_state_dict(our_av_weights(weights))
    model.classifier.load_state_dict({kind: weights[f"clf.{kind}"] for kind in ("weight", "bias")})
    for masks, zero_steps, prefix in ((True, False, "unpadded."), (False, False, ""), (False, True, "zero_steps.")):
        batch = batch_of(inputs, description, masks, zero_steps)
        with torch.no_grad():
            found = model(**batch, labels=inputs["labels"], output_hidden_states=True)
        torch.testing.assert_close(found.logits, outputs[f"{prefix}prediction"], **CLOSE)
        torch.testing.assert_close(found.hidden_states[0], outputs[f"{prefix}fused_steps"], **CLOSE)
        if not prefix:
            torch.testing.assert_close(found.loss, outputs["loss.total"], **CLOSE)
            torch.testing.assert_close(found.fused_state, outputs["fused_last"], **CLOSE)
