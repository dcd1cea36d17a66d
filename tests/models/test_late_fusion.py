"""Late fusion: the equation, what it reads, what it trains, what it says about itself."""

import json
import math
from pathlib import Path

import pytest
import torch
from tiny_models import TEXT_CONFIGS, tiny_batch, tiny_late_fusion, tiny_late_fusion_config
from transformers import AutoModel, AutoModelForSequenceClassification

from hf_msa.models import LateFusionForSequenceClassification, LateFusionModel
from hf_msa.models.streams_msa import FRAME_STREAMS

GOLDEN = Path(__file__).parents[1] / "golden" / "late_fusion.json"
LABELS = torch.tensor([1.0, -2.0, 0.5, 3.0])


@pytest.fixture(scope="module")
def model():
    return tiny_late_fusion()


def scores(model, **batch):
    with torch.no_grad():
        return model(**batch).logits


def mean_of_real_frames(values, mask):
    """Return the mean of every column, in plain Python; 0 where nothing is real."""
    real = [frame for frame, is_real in zip(values.tolist(), mask.tolist(), strict=True) if is_real]
    return [sum(column) / len(real) for column in zip(*real, strict=True)] if real else [0.0] * values.shape[-1]


def layer(linear, inputs):
    rows = zip(linear.weight.tolist(), linear.bias.tolist(), strict=True)
    return [sum(w * x for w, x in zip(weights, inputs, strict=True)) + bias for weights, bias in rows]


def test_a_score_is_that_of_the_equation_written_out_with_loops(model):
    batch = tiny_batch()
    batch["audio_attention_mask"] = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]])
    found = scores(model, **batch)
    for row in range(4):
        length = int(batch["attention_mask"][row].sum())
        with torch.no_grad():  # without padding the bare encoder needs neither a mask nor positions
            states = model.late_fusion.text_encoder(batch["input_ids"][row : row + 1, :length]).last_hidden_state
        means = [
            mean_of_real_frames(batch[f"{stream}_values"][row], batch[f"{stream}_attention_mask"][row])
            for stream in FRAME_STREAMS
        ]
        fused = states[0, 0].tolist() + means[0] + means[1]
        hidden = [max(0.0, value) for value in layer(model.classifier.hidden, fused)]
        assert layer(model.classifier.output, hidden) == pytest.approx(found[row].tolist(), abs=1e-5)


def test_it_has_the_parameters_of_the_encoder_and_of_two_linear_layers(model):
    width, inner = 24 + 3 + 2, 8
    encoder = sum(parameter.numel() for parameter in AutoModel.from_config(TEXT_CONFIGS["bert"]).parameters())
    pooler = 24 * 24 + 24  # which reads the first token for other tasks
    assert model.config.fused_size == width
    assert model.num_parameters() == encoder - pooler + (width * inner + inner) + (inner + 1)
    assert model.num_parameters(only_trainable=True) == (width * inner + inner) + (inner + 1)


@pytest.mark.parametrize("stream", FRAME_STREAMS)
def test_a_missing_stream_is_the_mean_of_the_training_rows(model, stream):
    batch = tiny_batch()
    neutral = batch | {f"{stream}_values": torch.zeros_like(batch[f"{stream}_values"])}
    masked = batch | {f"{stream}_attention_mask": torch.zeros_like(batch[f"{stream}_attention_mask"])}
    assert torch.equal(scores(model, **masked), scores(model, **neutral))


def test_one_token_and_one_frame_are_their_own_means(model):
    batch = tiny_batch(1, 1, 1, 1)
    with torch.no_grad():
        fused = model.late_fusion(**batch).fused_state
    assert torch.equal(fused[:, 24:27], batch["audio_values"][:, 0])
    assert torch.equal(fused[:, 27:], batch["visual_values"][:, 0])


@pytest.mark.parametrize("is_frozen", [True, False])
def test_every_trained_tensor_gets_a_gradient(is_frozen):
    model = tiny_late_fusion(freeze_text_encoder=is_frozen).train()
    model(**tiny_batch(labels=LABELS)).loss.backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    # Nothing depends on the bias of an attention's keys, in theory.
    assert {name for name in trained ^ moved if not name.endswith("key.bias")} == set()
    assert is_frozen == all(name.startswith("classifier.") for name in trained)


@pytest.mark.parametrize("num_labels", [1, 3])
def test_a_saved_model_loads_bit_equal_through_the_auto_classes(num_labels, tmp_path):
    model = tiny_late_fusion(num_labels=num_labels)
    model.save_pretrained(tmp_path)
    loaded, base = (cls.from_pretrained(tmp_path) for cls in (AutoModelForSequenceClassification, AutoModel))
    assert type(loaded) is LateFusionForSequenceClassification
    assert type(base) is LateFusionModel
    expected = scores(model, **tiny_batch())
    assert expected.shape == (4, num_labels)
    assert torch.equal(scores(loaded, **tiny_batch()), expected)
    with torch.no_grad():
        assert torch.equal(model.score(base(**tiny_batch())), expected)


def test_classes_have_the_loss_of_classes():
    batch, labels = tiny_batch(), torch.tensor([0, 2, 1, 2])
    output = tiny_late_fusion(num_labels=3)(**batch, labels=labels)
    expected = [
        math.log(sum(math.exp(x) for x in row)) - row[label]
        for row, label in zip(output.logits.tolist(), labels.tolist(), strict=True)
    ]
    assert output.loss.item() == pytest.approx(sum(expected) / 4)
    assert output.losses is None


def test_fresh_values_are_those_promised():
    torch.manual_seed(0)
    head = LateFusionForSequenceClassification(tiny_late_fusion_config(classifier_hidden_size=128)).classifier
    for linear in (head.hidden, head.output):
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert (linear.bias == 0).all()


def test_states_come_on_request_and_there_are_neither_gates_nor_attention(model):
    batch = tiny_batch()
    assert not model.config.has_gates
    assert list(model(**batch).keys()) == ["logits"]
    asked = model(**batch, output_gates=True, output_attentions=True, output_hidden_states=True)
    assert [state.shape for state in asked.hidden_states] == [(4, 7, 24)] * 3
    assert asked.fused_state.shape == (4, 29)
    assert asked.gates is None
    assert asked.attentions is None


def test_shares_are_how_far_the_score_moves_without_a_stream(model):
    batch = tiny_batch()
    moved = torch.stack(
        [
            (scores(model, **batch | {mask: torch.zeros_like(batch[mask])}) - scores(model, **batch)).abs()[:, 0]
            for mask in ("attention_mask", "audio_attention_mask", "visual_attention_mask")
        ],
        dim=1,
    )
    explained = model.explain(**batch)
    torch.testing.assert_close(explained.stream_shares, moved / moved.sum(dim=1, keepdim=True))
    assert torch.equal(explained.logits, scores(model, **batch))
    absent = model.explain(**batch | {"audio_values": None, "audio_attention_mask": None})
    assert (absent.stream_shares[:, 1] == 0).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 3}, "unknown key.* 'hidden_size'"),
        ({"classifier_hidden_size": 0}, "classifier_hidden_size: expected at least 1, got 0"),
        ({"classifier_dropout": 1.0}, r"classifier_dropout: expected a rate in \[0, 1\), got 1.0"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        tiny_late_fusion_config(**fields)


def filled_by_formula():
    """Return a model and a batch that owe nothing to torch's random numbers."""
    model, batch = tiny_late_fusion(), tiny_batch()
    with torch.no_grad():
        for number, (_, parameter) in enumerate(sorted(model.named_parameters())):
            steps = torch.arange(parameter.numel(), dtype=torch.float64) + number
            parameter.copy_((torch.sin(steps * 0.7) * 0.3).reshape(parameter.shape))
    for stream in FRAME_STREAMS:
        values = batch[f"{stream}_values"]
        values.copy_(torch.cos(torch.arange(values.numel()) * 0.3).reshape(values.shape))
    batch["input_ids"] = (torch.arange(28).reshape(4, 7) * 5) % 55 + 5
    return model, batch


def test_outputs_stay_what_they_were():
    """Golden values of this implementation; a change that should not change numbers must leave them alone."""
    model, batch = filled_by_formula()
    golden = json.loads(GOLDEN.read_text())
    found = model.explain(**batch)
    torch.testing.assert_close(found.logits[:, 0], torch.tensor(golden["logits"]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.stream_shares, torch.tensor(golden["stream_shares"]), atol=1e-4, rtol=1e-4)
