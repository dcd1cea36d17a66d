"""The audiovisual encoder of DeepMLF as a model of its own: stage one."""

import pytest
import torch
from tiny_models import tiny_batch, tiny_deepmlf_av
from transformers import AutoModelForSequenceClassification

from hf_msa.models import DeepMLFAudioVisualConfig, DeepMLFAudioVisualEncoder

LABELS = torch.tensor([1.0, -2.0, 0.5, 3.0])
MASKS = ("audio_attention_mask", "visual_attention_mask")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "batch_norm"])
def model(request):
    return tiny_deepmlf_av(audio_batch_norm=request.param, visual_batch_norm=request.param)


def scores(model, **batch):
    with torch.no_grad():
        return model(**batch).logits


def test_it_reads_both_streams_and_no_text(model):
    batch = tiny_batch()
    before = scores(model, **batch)
    assert before.shape == (4, 1)
    for stream in ("audio", "visual"):
        changed = batch | {f"{stream}_values": batch[f"{stream}_values"].roll(1, 0)}
        assert ((scores(model, **changed) - before).abs() > 1e-7).all()
    assert torch.equal(scores(model, **batch | {"input_ids": batch["input_ids"] + 1}), before)
    assert torch.equal(
        scores(model, **{k: v for k, v in batch.items() if k not in ("input_ids", "attention_mask")}), before
    )
    with pytest.raises(ValueError, match="audio_values: expected audio_values or visual_values, got neither"):
        model()


def test_the_score_comes_from_the_last_step(model):
    batch = tiny_batch()
    with torch.no_grad():
        found = model(**batch, output_hidden_states=True)
    assert found.hidden_states[0].shape == (4, 4, 6)
    assert torch.equal(found.fused_state, found.hidden_states[0][:, -1])
    torch.testing.assert_close(found.logits, model.classifier(found.fused_state))


def test_rows_without_a_stream_do_not_enter_batch_norm():
    batch, means = tiny_batch(), []
    for filler in (0.0, 50.0):
        model = tiny_deepmlf_av(audio_batch_norm=True, stream_seqaug_rate=0.0).train()
        batch["audio_attention_mask"][1:3] = 0
        batch["audio_values"][1:3] = filler
        model(**batch)
        means.append(model.av_encoder.audio.batch_norm.running_mean.clone())
    assert torch.equal(*means)
    assert means[0].abs().max() > 0


def test_it_trains_by_itself_and_every_tensor_has_a_gradient(model):
    trained = tiny_deepmlf_av(audio_batch_norm=True).train()
    optimizer, moved = torch.optim.SGD(trained.parameters(), lr=0.01), set()
    for step in range(3):
        optimizer.zero_grad()
        trained(**tiny_batch(seed=step), labels=LABELS).loss.backward()
        moved |= {name for name, p in trained.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        optimizer.step()
    still = {name for name, _ in trained.named_parameters()} - moved
    assert {name for name in still if not name.endswith("key.bias")} == set()


def test_a_saved_encoder_loads_bit_equal(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is DeepMLFAudioVisualEncoder
    assert torch.equal(scores(loaded, **tiny_batch()), scores(model, **tiny_batch()))


def test_it_is_made_like_the_others_and_records_the_text_model_of_its_tokenizer():
    model = DeepMLFAudioVisualEncoder.from_text_pretrained("gpt2", audio_dim=3, visual_dim=2, num_labels=3)
    assert model.config.text_model_name_or_path == "gpt2"
    assert scores(model, **tiny_batch()).shape == (4, 3)
    config = DeepMLFAudioVisualConfig(audio_dim=3, visual_dim=2)
    assert DeepMLFAudioVisualEncoder.from_text_pretrained("gpt2", config).config.av_length == 50
    with pytest.raises(ValueError, match="config: expected either"):
        DeepMLFAudioVisualEncoder.from_text_pretrained("gpt2", config, audio_dim=3)


def test_an_explanation_shares_the_score_between_audio_and_visual(model):
    shares = model.explain(**tiny_batch()).stream_shares
    assert (shares[:, 0] == 0).all()
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))


def test_half_precision_gives_nearly_the_same_score():
    model, batch = tiny_deepmlf_av(audio_batch_norm=True), tiny_batch()
    expected = scores(model, **batch)
    torch.testing.assert_close(scores(model.to(torch.bfloat16), **batch).float(), expected, atol=0.15, rtol=0.1)
