"""Gradients are clipped entry by entry, but for the parameters that the arguments leave out."""

import pytest
from tiny_corpus import tiny_arguments, tiny_dataset
from tiny_kinds import model_of, trainer_of
from transformers import TrainerCallback

from hf_msa.training.trainer import MsaTrainer


class Gradients(TrainerCallback):
    """Keeps the largest entry of every gradient of the last step, as the optimizer had it."""

    def __init__(self):
        self.found = {}

    def on_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.found = {name: p.grad.abs().max().item() for name, p in model.named_parameters() if p.grad is not None}


def largest(folder, **arguments):
    trainer = trainer_of("deepmlf", folder, tiny_dataset(8), max_steps=1, **arguments)
    gradients = Gradients()
    trainer.add_callback(gradients)
    trainer.train()
    return gradients.found


def test_no_entry_is_larger_and_those_below_stay(tmp_path):
    free, clipped = largest(tmp_path), largest(tmp_path, max_grad_value=0.01)
    assert max(free.values()) > 0.1
    assert {name: min(value, 0.01) for name, value in free.items()} == pytest.approx(clipped)


def test_parameters_that_a_pattern_names_are_not_clipped(tmp_path):
    free = largest(tmp_path)
    clipped = largest(tmp_path, max_grad_value=0.001, max_grad_value_except="av_encoder")
    assert {name for name, value in clipped.items() if value > 0.0011} == {
        name for name, value in free.items() if value > 0.0011 and "av_encoder" in name
    }
    assert any("av_encoder" in name and value > 0.0011 for name, value in clipped.items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_grad_value": 0.0}, "max_grad_value: expected a number above 0 or None, got 0.0"),
        ({"max_grad_value_except": "("}, "max_grad_value_except: expected a regular expression"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        tiny_arguments(tmp_path, **arguments)


def test_norms_decay_where_asked_for_and_biases_never(tmp_path):
    def decaying(**arguments):
        trainer = trainer_of("deepmlf", tmp_path, tiny_dataset(8), weight_decay=0.1, **arguments)
        assert isinstance(trainer, MsaTrainer)
        names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
        groups = trainer.create_optimizer().param_groups
        return {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}

    added = decaying(weight_decay_on_norms=True) - decaying()
    assert "classifier.norm.weight" in added
    assert all("norm" in name and name.endswith("weight") for name in added)
    trained = {name for name, p in model_of("deepmlf").named_parameters() if p.requires_grad}
    assert {name for name in trained if not name.endswith("bias")} == decaying(weight_decay_on_norms=True)
