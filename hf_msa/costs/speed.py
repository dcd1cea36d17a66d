"""What a model costs beside the text encoder inside it: time, memory, FLOPs, parameters.

Times of different runs, or of different hours on a shared machine, cannot be compared. So both systems run on the same
batch and in turns, and a ratio is the median over pairs of neighbours, which share whatever slowed them down.

DeepMLF stands beside its bare language model, without a head, on as many tokens as DeepMLF has in it: the text's and
the fusion tokens. Its audiovisual encoder, which no language model has, is timed by itself and left out of the forward
ratio; training steps are compared whole, with full fine-tuning of the language model under the same losses.

Shapes: B batch, L text length, T frames, F raw feature size, D width, C classes.
"""

import copy
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, PROCESSOR_MAPPING, AutoConfig, AutoModelForSequenceClassification

from hf_msa.errors import MsaError
from hf_msa.models import MsaPreTrainedModel
from hf_msa.models.modeling_msa import evaluating
from hf_msa.pretrained.checkpoint import check_model_type, check_place, read_config

from .baselines import FineTunedTextModel
from .measurement import MIB, count_flops, peak_mib, time_in_turns
from .random_batch import make_batch
from .speed_result import BenchmarkResult, Cost, SystemCosts


def load_for_benchmark(name_or_path: str | Path) -> MsaPreTrainedModel:
    """Load a model with a head, or make one with random weights, which cost the same.

    Args:
        name_or_path: Folder or repository of a checkpoint; a model type such as "pgf_net" for its default
            configuration, or the path of a config.json, both with random weights and without a download.

    Raises:
        MsaError: When it is not a model of this package.
    """
    name = str(name_or_path)
    auto = AutoModelForSequenceClassification
    if name in CONFIG_MAPPING and not Path(name).exists():
        check_model_type(name, name)
        config = AutoConfig.for_model(name)
        has_weights = False
    else:
        check_place("model", name)
        config = read_config(name)
        has_weights = not Path(name).is_file()
    return (auto.from_pretrained(name, trust_remote_code=False) if has_weights else auto.from_config(config)).eval()


def benchmark(
    model: MsaPreTrainedModel,
    *,
    batch_size: int = 32,
    alignment: str | None = None,
    repeats: int = 10,
    training: bool = True,
    seed: int = 0,
    lengths: str | int = "mosi",
) -> BenchmarkResult:
    """Measure a model beside the text encoder inside it, on one batch. The model is left as it was.

    Args:
        model: A model with a head, on the device to measure.
        batch_size: Utterances in the batch.
        alignment: "word" or "none", see [`make_batch`]; None takes the default of the model's processor.
        repeats: Pairs of runs behind each median.
        training: Measure training steps too. They work on copies of the model and of its text encoder.
        seed: Seed of the batch.
        lengths: "mosi", or the number of tokens of every text.

    Raises:
        MsaError: For a setting outside what is said here, for a model without a text model, and for one without a
            parameter to train where training is wanted.
    """
    if not model.config.has_text_model:
        raise MsaError(
            f"model: expected one with a text model to stand beside, got {model.config.model_type!r}; the benchmark "
            "of the model around it says what it costs"
        )
    if alignment is None:
        alignment = PROCESSOR_MAPPING[type(model.config)].default_alignment
    if repeats < 1:
        raise MsaError(f"repeats: expected at least 1, got {repeats!r}")
    if training and not any(parameter.requires_grad for parameter in model.parameters()):
        raise MsaError("training: expected a model with parameters to train, got none; training=False leaves it out")
    batch = make_batch(model, batch_size=batch_size, alignment=alignment, lengths=lengths, seed=seed)
    device = model.device
    # Dropout and the fresh head must not move the caller's random numbers.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        with evaluating(model):
            flops, forward, forward_ratios, av_seconds = _measure_forward(model, batch, repeats)
        step: Sequence[Cost | None] = (None, None)
        training_ratios: list[float] = []
        if training:
            step, training_ratios = _measure_training(model, batch, repeats)

    parts = (model.text_model, model)
    num_parameters = [sum(p.numel() for p in part.parameters()) for part in parts]
    num_trained = [num_parameters[0], sum(p.numel() for p in model.parameters() if p.requires_grad)]
    sizes = [sum(t.nbytes for t in (*part.parameters(), *part.buffers())) / MIB for part in parts]
    text_costs, model_costs = (
        SystemCosts(type(part).__name__, *figures)
        for part, *figures in zip(parts, num_parameters, num_trained, sizes, flops, forward, step, strict=True)
    )
    return BenchmarkResult(
        text_model=text_costs,
        model=model_costs,
        forward_ratio=statistics.median(forward_ratios),
        training_ratio=statistics.median(training_ratios) if training else None,
        forward_spread=_quartiles(forward_ratios),
        training_spread=_quartiles(training_ratios) if training else None,
        av_encoder_seconds=av_seconds,
        batch_size=batch_size,
        alignment=alignment,
        text_length=batch["input_ids"].shape[1],
        audio_length=batch["audio_values"].shape[1],
        visual_length=batch["visual_values"].shape[1],
        repeats=repeats,
        seed=seed,
        machine={
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "processor": platform.machine(),
            "cores": os.cpu_count() or 1,
            "threads": torch.get_num_threads(),
            "dtype": str(model.dtype).removeprefix("torch."),
            "torch": torch.__version__,
        },
    )


@torch.no_grad()
def _measure_forward(
    model: MsaPreTrainedModel, batch: dict[str, Tensor], repeats: int
) -> tuple[list[int], list[Cost], list[float], float | None]:
    """Return FLOPs and costs of the bare encoder and of the model, the ratios of their times, and what is apart."""
    text = model.bare_text_inputs(batch)
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    runs = [lambda: model.text_model(**text), lambda: model(**inputs)]
    flops = [count_flops(run) for run in runs]
    peaks = [peak_mib(run, model.device) for run in runs]
    if (part := model.part_without_counterpart(batch)) is not None:
        runs.append(part)
    rows = time_in_turns(runs, repeats, model.device)
    seconds = [statistics.median(taken) for taken in zip(*rows, strict=True)]
    ratios = [(whole - sum(apart)) / bare for bare, whole, *apart in rows]
    return flops, _costs(seconds, peaks, len(batch["input_ids"])), ratios, seconds[2] if len(seconds) > 2 else None


def _measure_training(
    model: MsaPreTrainedModel, batch: dict[str, Tensor], repeats: int
) -> tuple[list[Cost], list[float]]:
    """Return the costs of full fine-tuning of the encoder and of training the model, and the ratios of their times."""
    systems = [FineTunedTextModel(model).train(), copy.deepcopy(model).train()]

    def train_afresh(system: nn.Module) -> None:
        # The first step makes the optimizer's states; only the second holds them beside gradients and activations.
        step = _training_step(system, batch)
        step()
        step()

    peaks = [peak_mib(partial(train_afresh, system), model.device) for system in systems]
    rows = time_in_turns([_training_step(system, batch) for system in systems], repeats, model.device)
    seconds = [statistics.median(taken) for taken in zip(*rows, strict=True)]
    return _costs(seconds, peaks, len(batch["input_ids"])), [model / bare for bare, model in rows]


def _quartiles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def _training_step(system: nn.Module, batch: dict[str, Tensor]) -> Callable[[], Any]:
    """Return a step with an optimizer of its own, AdamW as Trainer makes it."""
    trained = [parameter for parameter in system.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)

    def step() -> None:
        system(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _costs(seconds: list[float], peaks: list[float], batch_size: int) -> list[Cost]:
    return [Cost(taken, batch_size / taken, peak) for taken, peak in zip(seconds, peaks, strict=False)]


__all__ = ["benchmark", "load_for_benchmark"]
