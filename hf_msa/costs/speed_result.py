"""What the measurement of a model beside its bare text model gives, and how it is shown."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from .text_table import table_lines


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
        name: Name of its class.
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
        training_ratio: Time of the model's training step over that of the text encoder's, or None if not measured.
        forward_spread: First and third quartile of the pairs' ratios.
        training_spread: First and third quartile of the training steps' ratios, or None.
        av_encoder_seconds: Median of DeepMLF's audiovisual encoder by itself; None for other models.
        batch_size: Utterances in the batch.
        alignment: "word" or "none".
        text_length: Tokens of the longest text, to which the others are padded.
        audio_length: Frames of the longest audio.
        visual_length: Frames of the longest visual stream.
        repeats: Pairs of runs behind each median.
        seed: Seed of the batch.
        machine: Device, cores, threads, dtype and version of torch.
    """

    kind: ClassVar[str] = "speed"

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

    def to_text(self) -> str:
        """Return a table of both systems with their ratios, and lines on how it was measured."""
        text_model, model, machine = self.text_model, self.model, self.machine
        spreads = [("forward", self.forward_spread), ("training step", self.training_spread)]
        apart = []
        if self.av_encoder_seconds is not None:
            apart = [
                f"the model's audiovisual encoder takes {1000 * self.av_encoder_seconds:,.1f} ms, not in the forward "
                f"ratio; {text_model.name} read as many tokens as the model has, its fusion tokens among them"
            ]
        lines = [
            *table_lines(("", text_model.name, model.name, "ratio"), self._rows()),
            f"{self.batch_size} utterances, alignment {self.alignment!r}: {self.text_length} tokens, "
            f"{self.audio_length} audio frames, {self.visual_length} visual frames",
            f"median of {self.repeats} runs in turns; the ratio of times is the median over pairs of neighbours",
            "half of the pairs lie between: "
            + ", ".join(f"{title} {spread[0]:.2f} and {spread[1]:.2f}" for title, spread in spreads if spread),
            *apart,
            f"{machine['device']}, {machine['processor']} with {machine['cores']} cores, "
            f"{machine['threads']} threads, {machine['dtype']}, torch {machine['torch']}",
        ]
        return "\n".join(lines)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        """Yield title, both figures and their ratio, line by line."""

        def row(title: str, form: str, a: float, b: float, ratio: float | None = None) -> tuple[str, ...]:
            return title, format(a, form), format(b, form), f"{b / a if ratio is None else ratio:.2f}"

        a, b = self.text_model, self.model
        yield row("parameters", ",d", a.num_parameters, b.num_parameters)
        yield row("trainable parameters", ",d", a.num_trainable_parameters, b.num_trainable_parameters)
        yield row("weights, MiB", ",.1f", a.weights_mib, b.weights_mib)
        yield row("forward: GFLOP per batch", ",.2f", a.forward_flops / 1e9, b.forward_flops / 1e9)
        for title, bare, whole, ratio in (
            ("forward", a.forward, b.forward, self.forward_ratio),
            ("training step", a.training, b.training, self.training_ratio),
        ):
            if bare is None or whole is None or ratio is None:
                continue
            yield row(f"{title}: milliseconds per batch", ",.1f", 1000 * bare.seconds, 1000 * whole.seconds, ratio)
            rates = bare.utterances_per_second, whole.utterances_per_second
            yield row(f"{title}: utterances per second", ",.1f", *rates, 1 / ratio)
            yield row(f"{title}: peak MiB beyond the weights", ",.1f", bare.peak_mib, whole.peak_mib)


__all__ = ["BenchmarkResult", "Cost", "SystemCosts"]
