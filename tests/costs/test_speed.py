import dataclasses
import json

import pytest
import torch
from tiny_models import TINY, WITH_TEXT, processor_class, tiny_deepmlf, tiny_deepmlf_av
from torch import nn
from transformers import BertConfig, BertModel

from hf_msa.costs.baselines import FineTunedTextModel
from hf_msa.costs.measurement import peak_mib
from hf_msa.costs.random_batch import make_batch
from hf_msa.costs.speed import benchmark, load_for_benchmark
from hf_msa.costs.speed_result import BenchmarkResult
from hf_msa.errors import CheckpointError
from hf_msa.models import MODELS, PGFNetConfig, PGFNetForSequenceClassification

WIDTH, INNER, LAYERS = 24, 40, 2


def tiny_model(**fields):
    text_config = BertConfig(
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        vocab_size=60,
        max_position_embeddings=64,
    )
    sizes = {"gate_rank": 4, "adapter_bottleneck": 6, "classifier_hidden_size": 8} | fields
    torch.manual_seed(0)
    return PGFNetForSequenceClassification(PGFNetConfig(text_config=text_config, **sizes))


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def result(model):
    return benchmark(model, batch_size=4, repeats=3)


@pytest.fixture(scope="module")
def unaligned(model):
    return benchmark(model, batch_size=4, repeats=1, training=False, alignment="none")


def costs(result):
    return [result.text_model.forward, result.model.forward, result.text_model.training, result.model.training]


def test_every_time_is_positive_and_gives_its_throughput(result):
    for cost in costs(result):
        assert cost.seconds > 0
        assert cost.utterances_per_second == pytest.approx(4 / cost.seconds)
    assert result.forward_ratio > 0
    assert result.training_ratio > 0


def test_the_ratio_is_the_median_over_pairs_of_neighbours(model, monkeypatch):
    # Each run reads the clock twice: text model and model take 1 and 2 s, then 10 and 30, then 2 and 8.
    ticks = iter(tick for taken in (1, 2, 10, 30, 2, 8) for tick in (0.0, taken))
    monkeypatch.setattr("hf_msa.costs.measurement.time.perf_counter", lambda: next(ticks))
    result = benchmark(model, batch_size=2, repeats=3, training=False)
    assert result.forward_ratio == 3  # the median of 2, 3 and 4
    assert (result.text_model.forward.seconds, result.model.forward.seconds) == (2, 8)


def test_flops_of_the_text_model_equal_a_count_by_hand(result):
    length = result.text_length
    per_token = 2 * (4 * WIDTH**2 + 2 * WIDTH * INNER)  # query, key, value, output; up and down
    attention = 2 * 2 * length**2 * WIDTH  # scores and context
    assert result.text_model.forward_flops == 4 * LAYERS * (length * per_token + attention)


def test_flops_of_the_model_add_those_of_the_fusion(result):
    length, frames = result.text_length, result.audio_length + result.visual_length
    bank = 2 * WIDTH * (5 * result.audio_length + 20 * result.visual_length)
    attention = 2 * 2 * length * frames * WIDTH
    gate_and_adapter = 2 * length * (2 * WIDTH * 4 + 4 * WIDTH + 2 * WIDTH * 6)
    head = 2 * (WIDTH * 8 + 8 * 8 + 8)
    added = result.model.forward_flops - result.text_model.forward_flops
    assert added == 4 * (bank + LAYERS * (attention + gate_and_adapter) + head)


def test_parameters_are_counted_with_those_that_train(model, result):
    encoder = sum(p.numel() for p in model.text_model.parameters())
    everything = sum(p.numel() for p in model.parameters())
    assert result.text_model.num_parameters == result.text_model.num_trainable_parameters == encoder
    assert result.model.num_parameters == everything
    assert result.model.num_trainable_parameters == everything - encoder  # PGF-Net freezes its text model
    buffers = 64 * 8 * 2  # position and token type ids, int64
    assert result.text_model.weights_mib * 2**20 == 4 * encoder + buffers


def test_the_peak_counts_what_lives_at_one_time():
    def run():
        first = torch.empty(1000)  # 4000 bytes
        del first
        second = torch.empty(1500)
        view, in_place = second.view(3, 500), second.zero_()  # the same memory
        return view + in_place.sum(), weight.t().add_(1)  # 6000 more, and 4 for the sum; the weight was there before

    weight = torch.zeros(10, 10)
    peak = peak_mib(run, torch.device("cpu")) * 2**20
    assert peak == 6000 + 6000 + 4


def test_the_peak_holds_what_backward_needs():
    layers = nn.Sequential(*(nn.Linear(50, 50, bias=False) for _ in range(4)))
    inputs = torch.zeros(1000, 50)
    activation = 4 * 1000 * 50
    with torch.no_grad():
        assert peak_mib(lambda: layers(inputs), torch.device("cpu")) * 2**20 == 2 * activation
    assert peak_mib(lambda: layers(inputs), torch.device("cpu")) * 2**20 == 4 * activation


def test_a_forward_pass_is_one_without_gradients_and_dropout(model, result):
    batch = make_batch(model, batch_size=4)
    labels = batch.pop("labels")
    text = {name: batch[name] for name in ("input_ids", "attention_mask")}
    cpu = torch.device("cpu")
    model.eval()
    with torch.no_grad():
        assert result.text_model.forward.peak_mib == peak_mib(lambda: model.text_model(**text), cpu)
        assert result.model.forward.peak_mib == peak_mib(lambda: model(**batch), cpu)
    model.train()
    assert peak_mib(lambda: model(**batch, labels=labels), cpu) > result.model.forward.peak_mib


def test_a_training_step_holds_activations_beside_two_states_per_trained_parameter(model, result):
    batch = make_batch(model, batch_size=4)
    activations = peak_mib(lambda: model(**batch), torch.device("cpu"))
    states = 2 * 4 * result.model.num_trainable_parameters / 2**20
    assert result.model.training.peak_mib >= activations + states
    num_text = result.text_model.num_trainable_parameters
    assert result.text_model.training.peak_mib >= 3 * 4 * num_text / 2**20  # gradients and states


def test_the_model_is_left_as_it_was():
    model = tiny_model().train()
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    trained = {name: p.requires_grad for name, p in model.named_parameters()}
    random_state = torch.random.get_rng_state()
    benchmark(model, batch_size=2, repeats=1)
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    assert {name: p.requires_grad for name, p in model.named_parameters()} == trained
    assert all(p.grad is None for p in model.parameters())
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), random_state)


def test_both_training_steps_move_what_they_should(model, monkeypatch):
    moved, cleared = [], []
    step, zero_grad = torch.optim.AdamW.step, torch.optim.AdamW.zero_grad

    def watched(optimizer, *args, **kwargs):
        moved.append(sum(p.numel() for group in optimizer.param_groups for p in group["params"] if p.grad is not None))
        return step(optimizer, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    monkeypatch.setattr(torch.optim.AdamW, "zero_grad", lambda self: cleared.append(zero_grad(self)))
    result = benchmark(model, batch_size=2, repeats=1)
    assert set(moved) == {
        result.text_model.num_parameters + WIDTH + 1,  # and its linear head
        result.model.num_trainable_parameters,
    }
    assert len(cleared) == len(moved)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_counts(result):
    on_gpu = benchmark(tiny_model().cuda(), batch_size=4, repeats=1)
    assert on_gpu.machine["device"] == torch.cuda.get_device_name()
    for system, expected in ((on_gpu.text_model, result.text_model), (on_gpu.model, result.model)):
        assert system.forward_flops == expected.forward_flops
        # The allocator rounds every tensor up to 512 bytes, and workspaces come on top.
        assert system.forward.peak_mib >= expected.forward.peak_mib
        assert system.training.peak_mib >= expected.training.peak_mib


def test_training_can_be_left_out(unaligned):
    assert unaligned.training_ratio is None
    assert unaligned.text_model.training is None
    assert unaligned.model.training is None
    assert "training step" not in unaligned.to_text()


def test_unaligned_streams_are_longer_and_cost_more(result, unaligned):
    assert result.audio_length == result.visual_length == result.text_length == unaligned.text_length
    assert unaligned.audio_length == int(7.5 * result.text_length)
    assert unaligned.visual_length == 10 * result.text_length
    assert unaligned.text_model.forward_flops == result.text_model.forward_flops
    assert unaligned.model.forward_flops > result.model.forward_flops
    assert unaligned.model.forward.peak_mib > result.model.forward.peak_mib


def test_lengths_are_like_those_of_mosi(model):
    lengths = make_batch(model, batch_size=512)["attention_mask"].sum(dim=1).double()
    assert lengths.mean().item() == pytest.approx(16, abs=0.3)  # 14 word pieces and two special tokens
    assert lengths.std().item() == pytest.approx(8, abs=0.6)
    assert 3 <= lengths.min() <= 5
    assert lengths.max() == 50


@pytest.mark.parametrize("alignment", ["word", "none"])
def test_a_batch_is_the_same_under_a_seed_and_of_the_same_lengths_under_another(model, alignment):
    batch = make_batch(model, alignment=alignment, seed=1)
    again = make_batch(model, alignment=alignment, seed=1)
    other = make_batch(model, alignment=alignment, seed=2)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert all(batch[name].shape == other[name].shape for name in batch)
    for name in ("input_ids", "audio_values", "labels", "attention_mask"):
        assert not torch.equal(batch[name], other[name])
    for name in ("attention_mask", "audio_attention_mask", "visual_attention_mask"):
        assert sorted(batch[name].sum(dim=1)) == sorted(other[name].sum(dim=1))


def test_the_padding_token_stands_where_the_mask_is_0_and_nowhere_else(model):
    batch = make_batch(model, seed=3)
    assert torch.equal(batch["input_ids"] != model.text_model.config.pad_token_id, batch["attention_mask"].bool())
    assert batch["input_ids"].max() < 60


def test_aligned_streams_have_a_vector_for_every_token_that_is_not_special(model):
    batch = make_batch(model, seed=3)
    for row, audio in zip(batch["attention_mask"].tolist(), batch["audio_attention_mask"].tolist(), strict=True):
        length = sum(row)
        assert audio == [0] + [1] * (length - 2) + [0] * (len(row) - length + 1)
    assert torch.equal(batch["audio_attention_mask"], batch["visual_attention_mask"])


def test_texts_can_have_one_length(model):
    batch = make_batch(model, batch_size=2, lengths=50, alignment="none")
    assert batch["attention_mask"].sum(dim=1).tolist() == [50, 50]
    assert (batch["audio_values"].shape, batch["visual_values"].shape) == ((2, 375, 5), (2, 500, 20))


def test_classes_get_class_numbers_and_can_be_measured():
    classes = tiny_model(num_labels=3)
    assert set(make_batch(classes)["labels"].tolist()) == {0, 1, 2}
    assert benchmark(classes, batch_size=2, repeats=1).training_ratio > 0


def test_the_result_is_frozen_and_survives_json(result):
    data = json.loads(json.dumps(result.to_dict()))
    assert set(data) == {field.name for field in dataclasses.fields(BenchmarkResult)}
    assert data["model"]["forward"]["seconds"] == result.model.forward.seconds
    assert data["machine"]["threads"] == torch.get_num_threads()
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.forward_ratio = 1.0


def test_the_table_names_both_systems_the_figures_and_the_machine(result):
    text = result.to_text()
    for part in (
        "BertModel",
        "PGFNetForSequenceClassification",
        f"{result.model.num_parameters:,}",
        f"{result.forward_ratio:.2f}",
        f"{result.training_ratio:.2f}",
        f"{1000 * result.model.training.seconds:,.1f}",
        f"{result.model.forward.utterances_per_second:,.1f} {1 / result.forward_ratio:.2f}",
        f"torch {torch.__version__}",
        "cpu",
    ):
        assert part in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 120


def test_a_checkpoint_a_configuration_and_a_model_type_can_be_loaded(model, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path)
    loaded = load_for_benchmark(tmp_path)
    assert not loaded.training
    assert torch.equal(loaded.classifier.output.weight, model.classifier.output.weight)
    fresh = load_for_benchmark(str(tmp_path / "config.json"))
    assert type(fresh) is type(model)
    assert not torch.equal(fresh.classifier.output.weight, model.classifier.output.weight)
    assert fresh.config.text_config.hidden_size == WIDTH

    # The default configuration is of BERT-base's size: looked at, not built.
    monkeypatch.setattr(
        "hf_msa.costs.speed.AutoModelForSequenceClassification.from_config",
        lambda config: nn.ParameterDict({str(config.text_config.hidden_size): config.model_type}),
    )
    assert load_for_benchmark("pgf_net")["768"] == "pgf_net"


def test_another_model_is_refused(tmp_path):
    known = ", ".join(MODELS)
    with pytest.raises(ValueError, match=f"expected one of type {known}, got 'bert' of type 'bert'"):
        load_for_benchmark("bert")
    BertModel(BertConfig(hidden_size=4, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)).save_pretrained(
        tmp_path
    )
    with pytest.raises(CheckpointError, match=f"expected one of type {', '.join(MODELS)}"):
        load_for_benchmark(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="of type None"):
        load_for_benchmark(tmp_path)


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"repeats": 0}, "repeats: expected at least 1, got 0"),
        ({"alignment": "frame"}, "alignment: expected 'word' or 'none', got 'frame'"),
        ({"lengths": "mosei"}, "lengths: expected 'mosi' or a number of tokens from 3, got 'mosei'"),
        ({"lengths": 2}, "lengths: expected 'mosi' or a number of tokens from 3, got 2"),
    ],
)
def test_impossible_settings_are_refused(model, setting, match):
    with pytest.raises(ValueError, match=match):
        benchmark(model, **setting)


def test_a_model_with_nothing_to_train_is_refused_unless_training_is_left_out():
    frozen = tiny_model().requires_grad_(False)
    with pytest.raises(ValueError, match="expected a model with parameters to train, got none"):
        benchmark(frozen, batch_size=2, repeats=1)
    assert benchmark(frozen, batch_size=2, repeats=1, training=False).model.num_trainable_parameters == 0


@pytest.mark.parametrize("model_type", WITH_TEXT)
def test_streams_are_aligned_as_by_the_processor_of_the_model(model_type):
    found = benchmark(TINY[model_type](), batch_size=2, repeats=1, training=False, lengths=3)
    assert found.alignment == processor_class(model_type).default_alignment


@pytest.fixture(scope="module")
def deepmlf():
    return tiny_deepmlf(family="gpt2", num_fusion_tokens=3)


def test_a_decoder_stands_beside_its_language_model_on_as_many_tokens_without_a_head(deepmlf):
    result = benchmark(deepmlf, batch_size=3, repeats=2, lengths=8)
    text_config = deepmlf.config.text_config
    width, layers, length = text_config.hidden_size, text_config.num_hidden_layers, 8 + 3
    inner = text_config.n_inner or 4 * width
    per_token = 2 * (4 * width**2 + 2 * width * inner)
    assert result.text_model.forward_flops == 3 * layers * (length * per_token + 4 * length**2 * width)
    assert result.alignment == "none"
    assert result.model.forward_flops > result.text_model.forward_flops
    # All of the language model and the one head of its losses are trained beside it.
    assert result.text_model.num_trainable_parameters == sum(p.numel() for p in deepmlf.text_model.parameters())
    assert "audiovisual encoder takes" in result.to_text()


def test_the_audiovisual_encoder_is_left_out_of_the_forward_ratio(deepmlf, monkeypatch):
    # In each turn the language model takes 1 and then 10 s, the whole 3 and 40, the encoder alone 1 and 20.
    ticks = iter(tick for taken in (1, 3, 1, 10, 40, 20) for tick in (0.0, taken))
    monkeypatch.setattr("hf_msa.costs.measurement.time.perf_counter", lambda: next(ticks))
    result = benchmark(deepmlf, batch_size=2, repeats=2, training=False, lengths=8)
    assert result.forward_ratio == 2
    assert result.forward_spread == (2, 2)
    assert result.av_encoder_seconds == 10.5


@pytest.mark.parametrize("loss", ["fusion", "text", "lm"])
def test_fine_tuning_of_the_language_model_has_every_loss_of_deepmlf(loss):
    model = tiny_deepmlf(family="gpt2", num_fusion_tokens=3)
    batch = make_batch(model, batch_size=3, lengths=8, alignment="none")
    fine_tuned = FineTunedTextModel(model).eval()
    whole = fine_tuned(**batch).loss
    whole.backward()
    assert all(p.grad is not None for p in fine_tuned.parameters())
    setattr(model.config, f"{loss}_loss_weight", 0)
    assert fine_tuned(**batch).loss < whole


def test_stage_one_has_no_text_model_to_stand_beside():
    with pytest.raises(ValueError, match="expected one with a text model to stand beside, got 'deepmlf_av'"):
        benchmark(tiny_deepmlf_av())
