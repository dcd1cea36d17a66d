"""Learning rates by parameter name: each trainable parameter has exactly one."""

import pytest
import torch
from tiny_corpus import tiny_arguments, tiny_model, tiny_trainer
from transformers import TrainerCallback

from hf_msa.training import add_lora
from hf_msa.training.parameter_groups import check_parameter_groups, match_learning_rates, without_numbers

RATES = {r"classifier": 0.005, r"\.gate\.": 0.0}


def groups_by_name(trainer):
    """Return learning rate and weight decay by parameter name; a parameter in two groups fails."""
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    found = {}
    for group in trainer.create_optimizer().param_groups:
        for parameter in group["params"]:
            assert names[id(parameter)] not in found
            found[names[id(parameter)]] = (group["lr"], group["weight_decay"])
    return found


def trainable(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def is_normalisation(model, name):
    return isinstance(model.get_submodule(name.rpartition(".")[0]), torch.nn.LayerNorm)


@pytest.fixture(params=["plain", "lora", "thawed"])
def model(request):
    if request.param == "lora":
        return add_lora(tiny_model(), r=2)
    return tiny_model(freeze_text_encoder=request.param == "plain")


def test_each_trainable_parameter_has_the_rate_of_its_pattern_and_trainers_weight_decay(tmp_path, model):
    settings = {"learning_rate": 0.02, "weight_decay": 0.3}
    plain = groups_by_name(tiny_trainer(tmp_path, model, **settings))
    found = groups_by_name(tiny_trainer(tmp_path, model, learning_rates=RATES, **settings))
    assert found.keys() == plain.keys() == trainable(model)
    for name, (rate, decay) in found.items():
        assert rate == (0.005 if "classifier" in name else 0.0 if ".gate." in name else 0.02), name
        assert decay == plain[name][1], name
        assert decay == (0.0 if name.endswith("bias") or is_normalisation(model, name) else 0.3), name
    assert {rate for rate, _ in found.values()} == {0.005, 0.0, 0.02}
    assert {decay for _, decay in found.values()} == {0.0, 0.3}


def test_a_rate_of_zero_leaves_its_parameters_and_all_others_move(tmp_path, model):
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trainer = tiny_trainer(
        tmp_path, model, learning_rates={r"\.gate\.": 0.0}, eval_strategy="no", save_strategy="no", max_steps=4
    )
    trainer.train()
    # A softmax does not see what all its scores share: biases of keys have no gradient beyond rounding.
    moved = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, start[name])}
    expected = {name for name in trainable(model) if ".gate." not in name}
    assert {name for name in moved ^ expected if not name.endswith("key.bias")} == set()


def test_the_scheduler_keeps_the_ratio_of_the_rates(tmp_path):
    class Rates(TrainerCallback):
        def __init__(self):
            self.found = []

        def on_step_end(self, args, state, control, optimizer=None, **kwargs):
            self.found.append({group["lr"] for group in optimizer.param_groups})

    rates = Rates()
    tiny_trainer(
        tmp_path,
        callbacks=[rates],
        learning_rates={"classifier": 0.001},
        learning_rate=0.004,
        lr_scheduler_type="linear",
        warmup_steps=2,
        max_steps=8,
        eval_strategy="no",
        save_strategy="no",
    ).train()
    assert len(rates.found) == 8
    for pair in rates.found[:-1]:
        assert len(pair) == 2
        assert max(pair) == pytest.approx(4 * min(pair))
    assert max(map(max, rates.found)) == pytest.approx(0.004)
    assert rates.found[-1] == {0.0}


@pytest.mark.parametrize(
    ("learning_rates", "message"),
    [
        ({"nowhere": 0.1}, "expected patterns of trained parameters, got 'nowhere' that fits none"),
        ({"text_encoder.*word_embeddings": 0.1}, "got 'text_encoder.*word_embeddings' that fits none"),
        ({"classifier": 0.1, "bias$": 0.2}, "expected one pattern per parameter, got 'classifier' and 'bias$' for"),
        ({"classifier(": 0.1}, "expected a regular expression, got 'classifier('"),
    ],
    ids=["no parameter", "a frozen parameter", "two patterns", "no expression"],
)
def test_patterns_that_do_not_fit_are_refused_before_the_first_step(tmp_path, learning_rates, message):
    trainer = tiny_trainer(tmp_path, learning_rates=learning_rates)
    with pytest.raises(ValueError, match="learning_rates: ") as caught:
        trainer.train()
    assert message in str(caught.value)
    assert trainer.state.global_step == 0


@pytest.mark.parametrize("rate", [-0.1, float("nan")])
def test_a_rate_below_zero_is_refused(tmp_path, rate):
    with pytest.raises(ValueError, match=f"learning_rates: expected rates of 0 or more, got {rate} for 'gate'"):
        tiny_arguments(tmp_path, learning_rates={"gate": rate})


def test_patterns_take_the_parameters_that_train():
    model = tiny_model()
    taken = match_learning_rates(model, {"classifier": 0.1})
    assert set(taken["classifier"]) == {name for name in trainable(model) if "classifier" in name}
    assert len(taken["classifier"]) > 3


def test_the_names_of_all_layers_are_one_name():
    names = ["a.0.gate.weight", "a.0.gate.bias", "a.1.gate.weight", "a.1.gate.bias", "b2.bias"]
    assert without_numbers(names) == ["a.*.gate.weight", "a.*.gate.bias", "b2.bias"]


def test_an_optimizer_that_trains_other_parameters_than_the_model_has_is_refused():
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    model = torch.nn.Sequential(first, second)
    with pytest.raises(ValueError, match=r"optimizer: expected 1\.weight in 1 parameter groups, got it in 0"):
        check_parameter_groups(torch.optim.SGD(first.parameters(), lr=0.1), model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    second.requires_grad_(False)
    with pytest.raises(ValueError, match=r"optimizer: expected 1\.weight in 0 parameter groups, got it in 1"):
        check_parameter_groups(optimizer, model)
