"""Give parameters learning rates of their own, each parameter exactly one."""

import re
from collections.abc import Iterable, Mapping

from torch import nn
from torch.optim import Optimizer

from hf_msa.errors import MsaError, RecipeError


def match_learning_rates(model: nn.Module, learning_rates: Mapping[str, float]) -> dict[str, list[str]]:
    """Return the names of the trainable parameters that each pattern takes.

    Args:
        model: The model.
        learning_rates: Regular expressions, searched for in the parameters' names, and their rates.

    Raises:
        RecipeError: When two patterns take one parameter, or a pattern takes none that is trained.
    """
    taken: dict[str, list[str]] = {}
    owners: dict[str, str] = {}
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    for pattern in learning_rates:
        try:
            taken[pattern] = [name for name in names if re.search(pattern, name)]
        except re.error as error:
            raise RecipeError(f"learning_rates: expected a regular expression, got {pattern!r} ({error})") from error
        if not taken[pattern]:
            raise RecipeError(
                f"learning_rates: expected patterns of trained parameters, got {pattern!r} that fits none"
            )
        for name in taken[pattern]:
            if name in owners:
                raise RecipeError(
                    f"learning_rates: expected one pattern per parameter, got {owners[name]!r} and {pattern!r} "
                    f"for {name}"
                )
            owners[name] = pattern
    return taken


def without_numbers(names: Iterable[str]) -> list[str]:
    """Return names of parameters with one entry for all layers: "layer.*.gate.weight".

    Args:
        names: As `match_learning_rates` returns them for a pattern.
    """
    return list(dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.)", "*", name) for name in names))


def split_parameter_groups(optimizer: Optimizer, model: nn.Module, learning_rates: Mapping[str, float]) -> None:
    """Split a fresh optimizer's groups, so that each parameter is trained with its own rate.

    What else a group has, above all its weight decay, stays.

    Args:
        optimizer: As Trainer made it, before its first step.
        model: The model whose parameters it trains.
        learning_rates: As for `match_learning_rates`.

    Raises:
        RecipeError: As `match_learning_rates`.
    """
    taken = match_learning_rates(model, learning_rates)
    rates = {name: learning_rates[pattern] for pattern, names in taken.items() for name in names}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = []
    for group in optimizer.param_groups:
        by_rate: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            by_rate.setdefault(rates.get(names[id(parameter)], group["lr"]), []).append(parameter)
        groups += [{**group, "lr": rate, "params": parameters} for rate, parameters in by_rate.items()]
    optimizer.param_groups.clear()
    for group in groups:
        optimizer.add_param_group(group)


def check_parameter_groups(optimizer: Optimizer, model: nn.Module) -> None:
    """Refuse an optimizer that forgets a trainable parameter, trains one twice, or trains a frozen one.

    Args:
        optimizer: The optimizer.
        model: The model whose parameters it trains.

    Raises:
        MsaError: It names the parameter.
    """
    seen = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    for name, parameter in model.named_parameters():
        expected, count = int(parameter.requires_grad), seen.count(id(parameter))
        if count != expected:
            raise MsaError(f"optimizer: expected {name} in {expected} parameter groups, got it in {count}")


__all__ = ["check_parameter_groups", "match_learning_rates", "split_parameter_groups", "without_numbers"]
