"""The arguments of `MsaTrainer`: those of transformers, with the defaults that this task needs."""

import math
import re
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)

from hf_msa.errors import RecipeError


@dataclass
class MsaTrainingArguments(TrainingArguments):
    """Arguments of a training run: `TrainingArguments` with other defaults and some fields of our own.

    The best epoch is the one of the lowest validation MAE; the test split is never looked at. Batches are grouped by
    length, rows reach the collator whole, and a resumed run remembers how patient it had been. Resuming is exact from
    the end of an epoch, where checkpoints are saved; with `save_strategy="steps"` transformers orders the rest of the
    epoch anew, unless `train_sampling_strategy="random"`.

    Two of transformers' own arguments mean nothing to some models and are then refused by [`MsaTrainer`]:
    `label_smoothing_factor` to a regression, `neftune_noise_alpha` to a model that reads no text.

    Args:
        learning_rates: Learning rates by parameter name: a regular expression that is searched for in the names, and
            the rate of the parameters that match. All others get `learning_rate`. LoRA's parameters match too,
            "gate" for example those of a layer `gate_proj`; a run's results say which names each pattern took.
        early_stopping_patience: Epochs without a better validation metric after which training stops (MMSA and MMA
            wait 8 and 10); None for never.
        stream_dropout: Probability, in training, that a row loses its audio, and by another draw its visual stream.
        feature_noise: Deviation, in training, of a random offset per row and column of audio and visual, in units of
            the normalised features.
        max_grad_value: Largest entry of a gradient, beside `max_grad_norm` (DeepMLF's authors clip by value alone:
            5.0, in stage one 1.0); None for no limit.
        max_grad_value_except: Regular expression, searched for in the names of parameters; those that match are not
            clipped by value.
        weight_decay_on_norms: Decay the weights of norms too, as DeepMLF's authors do; biases never decay.
    """

    learning_rates: dict[str, float] | None = field(
        default=None,
        metadata={"help": "Learning rates by regular expression, searched for in the names of parameters."},
    )
    early_stopping_patience: int | None = field(
        default=8, metadata={"help": "Epochs without a better validation metric before training stops."}
    )
    stream_dropout: float = field(
        default=0.0, metadata={"help": "Probability that a row loses its audio, or its visual stream, in training."}
    )
    feature_noise: float = field(
        default=0.0, metadata={"help": "Standard deviation of a random offset per row and column in training."}
    )
    max_grad_value: float | None = field(
        default=None, metadata={"help": "Largest entry of a gradient; larger ones are clipped to it."}
    )
    max_grad_value_except: str | None = field(
        default=None, metadata={"help": "Regular expression on names of parameters that are not clipped by value."}
    )
    weight_decay_on_norms: bool = field(
        default=False, metadata={"help": "Let weight decay pull on the weights of norms too."}
    )
    eval_strategy: str = field(default="epoch", metadata={"help": "When to evaluate: no, steps or epoch."})
    save_strategy: str = field(
        default="epoch", metadata={"help": "When to save a checkpoint; must fit eval_strategy."}
    )
    save_total_limit: int | None = field(
        default=1, metadata={"help": "Number of checkpoints to keep beside the best."}
    )
    load_best_model_at_end: bool = field(default=True, metadata={"help": "End with the weights of the best epoch."})
    metric_for_best_model: str | None = field(
        default="mae", metadata={"help": "Validation metric that makes an epoch the best; for classifiers accuracy."}
    )
    restore_callback_states_from_checkpoint: bool = field(
        default=True,
        metadata={"help": "Restore callbacks, or a resumed run would forget how long it waits for a better epoch."},
    )
    per_device_eval_batch_size: int = field(
        default=64, metadata={"help": "Rows per batch in evaluation, which holds no gradients."}
    )
    remove_unused_columns: bool = field(
        default=False,
        metadata={"help": "Remove columns that forward does not take; the collator needs text, words and streams."},
    )
    train_sampling_strategy: str = field(
        default="group_by_length",
        metadata={"help": "Order of the training rows; batches of like lengths hold little padding."},
    )
    greater_is_better: bool | None = field(
        default=None, metadata={"help": "Whether a high metric is good; None for yes, except for errors and the loss."}
    )

    def __post_init__(self) -> None:
        """Fit the defaults to the machine."""
        if not torch.accelerator.is_available():
            # Without use_cpu several processes on CPUs would each train alone, in silence.
            self.use_cpu = True
            self.dataloader_pin_memory = False
        if self.eval_strategy == "no":
            self.load_best_model_at_end = False
        if not self.load_best_model_at_end:
            self.early_stopping_patience = None
        if self.greater_is_better is None and self.metric_for_best_model in ("mae", "eval_mae"):
            self.greater_is_better = False
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise RecipeError(
                f"early_stopping_patience: expected at least 1 or None, got {self.early_stopping_patience}"
            )
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "weight_decay", "max_grad_norm", "num_train_epochs", "feature_noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise RecipeError(f"{name}: expected a finite number of 0 or more, got {getattr(self, name)}")
        if not 0 <= self.stream_dropout <= 1:
            raise RecipeError(f"stream_dropout: expected a probability in [0, 1], got {self.stream_dropout}")
        if self.max_grad_value is not None and not 0 < self.max_grad_value < math.inf:
            raise RecipeError(f"max_grad_value: expected a number above 0 or None, got {self.max_grad_value}")
        try:
            re.compile(self.max_grad_value_except or "")
        except re.error as error:
            raise RecipeError(
                f"max_grad_value_except: expected a regular expression, got {self.max_grad_value_except!r} ({error})"
            ) from error
        for pattern, rate in (self.learning_rates or {}).items():
            if not rate >= 0:
                raise RecipeError(f"learning_rates: expected rates of 0 or more, got {rate} for {pattern!r}")
        super().__post_init__()
        # Trainer would say so in the middle of its construction, with a RuntimeError.
        installed = {*get_available_reporting_integrations(), "flyte"}  # which that function leaves out
        missing = [name for name in self.report_to if name not in installed]
        if missing:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise RecipeError(
                f"report_to: expected none, all, or installed ones of {known}, got {', '.join(map(str, missing))}"
            )


__all__ = ["MsaTrainingArguments"]
