"""What a model costs beside the text encoder inside it: time, memory, FLOPs, parameters.

Times of different runs, or of different hours on a shared machine, cannot be compared. So both systems run on the same
batch and in turns, and a ratio is the median over pairs of neighbours, which share whatever slowed them down.

DeepMLF stands beside its bare language model, without a head, on as many tokens as DeepMLF has in it: the text's and
the fusion tokens. Its audiovisual encoder, which no language model has, is timed by itself and left out of the forward
ratio; training steps are compared whole, with full fine-tuning of the language model under the same losses.

Shapes: B batch, L text length, T frames, F raw feature size, D width, C classes.
"""

import copy
import io
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, PROCESSOR_MAPPING, AutoConfig, AutoModelForSequenceClassification

from hf_msa.errors import MsaError
from hf_msa.models import DeepMLFAudioVisualConfig, DeepMLFConfig, MsaPreTrainedModel
from hf_msa.models.modeling_msa import evaluating
from hf_msa.pretrained.checkpoint import check_model_type, check_place

from .baselines import bare_inputs, fine_tuned_text_model
from .measurement import MIB, count_flops, peak_mib, time_in_turns

# CMU-MOSI's transcripts in word pieces, roughly: mean 14, standard deviation 8, log-normal; two special tokens come on
# top, and the usual layouts stop at 50 tokens, 375 frames of audio and 500 of video.
_LOG_MEAN, _LOG_STD = 2.498, 0.5315
_MIN_TOKENS, _MAX_TOKENS = 3, 50
_AUDIO_FRAMES_PER_TOKEN, _VISUAL_FRAMES_PER_TOKEN = 7.5, 10.0
_MAX_AUDIO_FRAMES, _MAX_VISUAL_FRAMES = 375, 500


@dataclass(frozen=True)
class Cost:
    """The cost of one batch.

    Attributes:
        seconds: Median over the repeats.
        utterances_per_second: Batch size over `seconds`.
        peak_mib: Most memory in use at one time beyond the weights and the batch, in MiB: activations, and in training
            also gradients and the optimizer's states.
    """

    seconds: float
    utterances_per_second: float
    peak_mib: float


@dataclass(frozen=True)
class SystemCosts:
    """One of the two systems.

    Attributes:
        name: Its class.
        num_parameters: All of them.
        num_trainable_parameters: Those that its training step moves. For the text encoder, whose training step is full
            fine-tuning, all; the linear head beside it (D x C weights) is not counted.
        weights_mib: Size of parameters and buffers in MiB.
        forward_flops: Multiplications and additions in the matrix products of a forward pass of the batch; padding
            counts, what works element by element does not.
        forward: Cost of a forward pass in evaluation mode, without gradients.
        training: Cost of forward, loss, backward and a step of AdamW, or None if not measured.
    """

    name: str
    num_parameters: int
    num_trainable_parameters: int
    weights_mib: float
    forward_flops: int
    forward: Cost
    training: Cost | None


@dataclass(frozen=True)
class BenchmarkResult:
    """A model beside its bare text encoder.

    Attributes:
        text_model: Costs of the bare text encoder on the batch's text; its training step is full fine-tuning with a
            linear head.
        model: Costs of the model; its training step moves what `requires_grad` says.
        forward_ratio: Time of the model's forward pass, without `av_encoder_seconds`, over the text encoder's; median
            over pairs of neighbours.
        training_ratio: The same for the training steps, the audiovisual encoder included, or None.
        forward_spread: First and third quartile of the pairs' ratios.
        training_spread: The same, or None.
        av_encoder_seconds: Median of DeepMLF's audiovisual encoder by itself; None for other models.
        batch_size: Utterances in the batch.
        alignment: "word" or "none".
        text_length: Tokens of the longest text, to which the others are padded.
        audio_length: Frames of the longest audio.
        visual_length: Frames of the longest visual stream.
        repeats: Pairs of runs behind each median.
        seed: Of the batch.
        machine: Device, cores, threads, dtype and version of torch.
    """

    text_model: SystemCosts
    model: SystemCosts
    forward_ratio: float
    training_ratio: float | None
    forward_spread: tuple[float, float]
    training_spread: tuple[float, float] | None
    av_encoder_seconds: float | None
    batch_size: int
    alignment: str
    text_length: int
    audio_length: int
    visual_length: int
    repeats: int
    seed: int
    machine: dict[str, str | int]

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, strings and numbers, ready for JSON."""
        return asdict(self)


def load_for_benchmark(name_or_path: str | Path) -> MsaPreTrainedModel:
    """Load a model with a head, or make one with random weights, which cost the same.

    Args:
        name_or_path: Folder or repository of a checkpoint; a model type such as "pgf_net" for its default
            configuration, or the path of a config.json, both with random weights and without a download.

    Raises:
        MsaError: When it is not a model of this package, or one without a text model to stand beside.
    """
    name = str(name_or_path)
    auto = AutoModelForSequenceClassification
    if name in CONFIG_MAPPING and not Path(name).exists():
        config = AutoConfig.for_model(name)
        check_model_type(config, name)
        _check_has_text_model(config)
        model = auto.from_config(config)
    else:
        check_place("model", name)
        config = AutoConfig.from_pretrained(name)
        check_model_type(config, name)
        _check_has_text_model(config)
        model = auto.from_config(config) if Path(name).is_file() else auto.from_pretrained(name)
    return model.eval()


def _check_has_text_model(config: Any) -> None:
    if isinstance(config, DeepMLFAudioVisualConfig):
        raise MsaError(
            f"model: expected one with a text model to stand beside, got {config.model_type!r}, the audiovisual "
            "encoder alone; the benchmark of deepmlf says what it costs"
        )


def make_batch(
    model: MsaPreTrainedModel,
    *,
    batch_size: int = 32,
    alignment: str = "word",
    lengths: str | int = "mosi",
    seed: int = 0,
) -> dict[str, Tensor]:
    """Make a batch of random utterances whose lengths are like CMU-MOSI's.

    The lengths of the texts are evenly spaced quantiles of a fixed distribution: every seed has the same lengths, so
    that figures do not depend on whether it drew a long text, to which all others are padded.

    Args:
        model: Says sizes, vocabulary and device.
        batch_size: B.
        alignment: "word" gives both streams the text's length, its special tokens masked; "none" gives 7.5 frames of
            audio and 10 of video per token.
        lengths: "mosi", or the number of tokens of every text.
        seed: Of tokens, frames, labels and the order of lengths.

    Returns:
        What `forward` takes, with `labels`, on the model's device.

    Raises:
        MsaError: For a setting outside what is said here.
    """
    if batch_size < 1:
        raise MsaError(f"batch_size: expected at least 1, got {batch_size!r}")
    if alignment not in ("word", "none"):
        raise MsaError(f"alignment: expected 'word' or 'none', got {alignment!r}")
    if isinstance(lengths, int) and lengths >= _MIN_TOKENS:
        lengths_B = torch.full((batch_size,), lengths)
    elif lengths == "mosi":
        lengths_B = _mosi_lengths(batch_size)
    else:
        raise MsaError(f"lengths: expected 'mosi' or a number of tokens from {_MIN_TOKENS}, got {lengths!r}")

    generator = torch.Generator().manual_seed(seed)
    lengths_B = lengths_B[torch.randperm(batch_size, generator=generator)]
    mask_BL = _mask(lengths_B)
    text_config = model.text_model.config
    padding = text_config.pad_token_id or 0
    ids_BL = torch.randint(text_config.vocab_size - 1, mask_BL.shape, generator=generator)
    ids_BL += ids_BL >= padding  # never the padding token: RoBERTa counts its positions by it
    if alignment == "word":
        audio_mask_BT = mask_BL.clone()
        audio_mask_BT[:, 0] = 0
        audio_mask_BT[torch.arange(batch_size), lengths_B - 1] = 0
        visual_mask_BT = audio_mask_BT.clone()
    else:
        audio_mask_BT = _mask((lengths_B * _AUDIO_FRAMES_PER_TOKEN).long().clamp(max=_MAX_AUDIO_FRAMES))
        visual_mask_BT = _mask((lengths_B * _VISUAL_FRAMES_PER_TOKEN).long().clamp(max=_MAX_VISUAL_FRAMES))
    labels_B = torch.rand(batch_size, generator=generator) * 2 - 1
    if model.config.num_labels > 1:
        labels_B = torch.randint(model.config.num_labels, (batch_size,), generator=generator)
    batch = {
        "input_ids": ids_BL.masked_fill(mask_BL == 0, padding),
        "attention_mask": mask_BL,
        "audio_values": torch.randn(*audio_mask_BT.shape, model.config.audio_dim, generator=generator),
        "audio_attention_mask": audio_mask_BT,
        "visual_values": torch.randn(*visual_mask_BT.shape, model.config.visual_dim, generator=generator),
        "visual_attention_mask": visual_mask_BT,
        "labels": labels_B,
    }
    return {name: value.to(model.device) for name, value in batch.items()}


def _mosi_lengths(batch_size: int) -> Tensor:
    """Return the B middles of B equal parts of the distribution, ascending."""
    quantiles_B = (torch.arange(batch_size, dtype=torch.float64) + 0.5) / batch_size
    words_B = torch.exp(_LOG_MEAN + _LOG_STD * torch.special.ndtri(quantiles_B))
    return (words_B.round().long() + 2).clamp(_MIN_TOKENS, _MAX_TOKENS)


def _mask(lengths: Tensor) -> Tensor:
    return (torch.arange(int(lengths.max())) < lengths[:, None]).long()


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
        alignment: "word" or "none", see [`make_batch`]; None takes that of the model's processor: "word" for PGF-Net,
            "none" for AGFN and DeepMLF.
        repeats: Pairs of runs behind each median.
        training: Measure training steps too. They work on copies of the model and of its text encoder.
        seed: Of the batch.
        lengths: "mosi", or the number of tokens of every text.

    Raises:
        MsaError: For a setting outside what is said here, for a model without a text model, and for one without a
            parameter to train where training is wanted.
    """
    _check_has_text_model(model.config)
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
    text = bare_inputs(model, batch)
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    runs = [lambda: model.text_model(**text), lambda: model(**inputs)]
    flops = [count_flops(run) for run in runs]
    peaks = [peak_mib(run, model.device) for run in runs]
    if isinstance(model.config, DeepMLFConfig):
        streams = [
            batch[f"{stream}_{part}"] for stream in ("audio", "visual") for part in ("values", "attention_mask")
        ]
        streams = [tensor if i % 2 == 0 else tensor.bool() for i, tensor in enumerate(streams)]
        runs.append(lambda: model.base_model.av_encoder(*streams))
    rows = time_in_turns(runs, repeats, model.device)
    seconds = [statistics.median(taken) for taken in zip(*rows, strict=True)]
    ratios = [(whole - sum(apart)) / bare for bare, whole, *apart in rows]
    return flops, _costs(seconds, peaks, len(batch["input_ids"])), ratios, seconds[2] if len(seconds) > 2 else None


def _measure_training(
    model: MsaPreTrainedModel, batch: dict[str, Tensor], repeats: int
) -> tuple[list[Cost], list[float]]:
    """Return the costs of full fine-tuning of the encoder and of training the model, and the ratios of their times."""
    systems = [fine_tuned_text_model(model).train(), copy.deepcopy(model).train()]

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


def format_benchmark(result: BenchmarkResult) -> str:
    """Return a table of both systems with their ratios, and a line on the machine."""
    text_model, model = result.text_model, result.model
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", text_model.name, model.name, "ratio"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)

    def add(title: str, form: str, a: float, b: float, ratio: float | None = None) -> None:
        table.add_row(title, format(a, form), format(b, form), f"{b / a if ratio is None else ratio:.2f}")

    add("parameters", ",d", text_model.num_parameters, model.num_parameters)
    add("trainable parameters", ",d", text_model.num_trainable_parameters, model.num_trainable_parameters)
    add("weights, MiB", ",.1f", text_model.weights_mib, model.weights_mib)
    add("forward: GFLOP per batch", ",.2f", text_model.forward_flops / 1e9, model.forward_flops / 1e9)
    for title, a, b, ratio in (
        ("forward", text_model.forward, model.forward, result.forward_ratio),
        ("training step", text_model.training, model.training, result.training_ratio),
    ):
        if a is not None and b is not None and ratio is not None:
            add(f"{title}: milliseconds per batch", ",.1f", 1000 * a.seconds, 1000 * b.seconds, ratio)
            add(f"{title}: utterances per second", ",.1f", a.utterances_per_second, b.utterances_per_second, 1 / ratio)
            add(f"{title}: peak MiB beyond the weights", ",.1f", a.peak_mib, b.peak_mib)

    text, machine = io.StringIO(), result.machine
    Console(file=text, width=120).print(table)
    spreads = [("forward", result.forward_spread), ("training step", result.training_spread)]
    apart = []
    if result.av_encoder_seconds is not None:
        apart = [
            f"the model's audiovisual encoder takes {1000 * result.av_encoder_seconds:,.1f} ms, not in the forward "
            f"ratio; {text_model.name} read as many tokens as the model has, its fusion tokens among them"
        ]
    lines = [
        *(line.rstrip() for line in text.getvalue().strip("\n").splitlines()),
        f"{result.batch_size} utterances, alignment {result.alignment!r}: {result.text_length} tokens, "
        f"{result.audio_length} audio frames, {result.visual_length} visual frames",
        f"median of {result.repeats} runs in turns; the ratio of times is the median over pairs of neighbours",
        "half of the pairs lie between: "
        + ", ".join(f"{title} {spread[0]:.2f} and {spread[1]:.2f}" for title, spread in spreads if spread is not None),
        *apart,
        f"{machine['device']}, {machine['processor']} with {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['dtype']}, torch {machine['torch']}",
    ]
    return "\n".join(lines)


__all__ = [
    "BenchmarkResult",
    "Cost",
    "SystemCosts",
    "benchmark",
    "format_benchmark",
    "load_for_benchmark",
    "make_batch",
]
