"""The trainer: transformers' own, with what this task needs already in place."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback
from transformers.utils import logging

from hf_msa.data.checks import check_dataset
from hf_msa.data.known_text import KnownText
from hf_msa.data.lengths import LENGTH, add_lengths
from hf_msa.errors import RecipeError
from hf_msa.evaluation.metrics import metrics_for
from hf_msa.evaluation.selection import Selection

from .arguments import MsaTrainingArguments
from .augmentation import AugmentingCollator
from .gradient_clipping import GradientValueClipping
from .last_batch import has_batch_norm, join_last_batch
from .parameter_groups import (
    check_parameter_groups,
    match_learning_rates,
    split_parameter_groups,
    without_numbers,
)

logger = logging.get_logger("transformers.hf_msa.training")


class MsaTrainer(Trainer):
    """Train a model of this package on rows of a corpus.

    Beside what `Trainer` does: the processor collates and is saved with every checkpoint, the metrics are those of the
    label range and choose the best epoch, batches are grouped by length, training stops early, parameters have
    learning rates of their own, and rows that would train a wrong model are refused before the first step.

    Args:
        model: A model with a head, or what `add_lora` made of it; None with `model_init`.
        args: The arguments; None for the defaults.
        processing_class: The model's processor.
        train_dataset: Rows as `load_corpus` gives them.
        eval_dataset: Rows to choose the best epoch by, never the test split.
        model_init: Returns a fresh model for every training, in place of `model`; `hyperparameter_search` needs it.
        compute_metrics: Metrics of predictions; None for those of the model's label range.
        callbacks: Further callbacks.
        kwargs: What else `Trainer` takes.

    Raises:
        CorpusError: For an empty dataset, another feature size than the model's, and labels that are NaN, out of the
            model's range or no class of it.
        RecipeError: For a `metric_for_best_model` that the model does not have, and for label smoothing or NEFTune
            where they mean nothing.
    """

    args: MsaTrainingArguments
    data_collator: Any

    def __init__(
        self,
        model: Any = None,
        args: MsaTrainingArguments | None = None,
        *,
        processing_class: Any,
        train_dataset: Dataset | None = None,
        eval_dataset: Dataset | None = None,
        model_init: Callable[..., Any] | None = None,
        compute_metrics: Callable[[Any], dict[str, Any]] | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        **kwargs: Any,
    ) -> None:
        args = MsaTrainingArguments() if args is None else args
        callbacks = list(callbacks)
        if args.early_stopping_patience is not None:
            callbacks.append(EarlyStoppingCallback(args.early_stopping_patience))
        if args.max_grad_value is not None:
            callbacks.append(GradientValueClipping())
        kwargs.setdefault("data_collator", processing_class.collate)
        super().__init__(
            model,
            args,
            processing_class=processing_class,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            model_init=model_init,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
            **kwargs,
        )
        config = self.model.config  # there is none before, with `model_init`
        for name, dataset in (("train_dataset", train_dataset), ("eval_dataset", eval_dataset)):
            if isinstance(dataset, Dataset):
                check_dataset(name, dataset, config, processing_class.streams)
                if self.is_world_process_zero():
                    KnownText(processing_class).read_rows(dataset).warn(name)
        self._refuse_what_means_nothing(config, processing_class.streams)
        self.label_smoother = None  # it would leave out what a model's loss holds beside the cross-entropy
        if compute_metrics is None:
            self._measure_by(config)
        if (
            isinstance(train_dataset, Dataset)
            and args.train_sampling_strategy == "group_by_length"
            and args.length_column_name == LENGTH
            and LENGTH not in train_dataset.column_names
        ):
            self.train_dataset = add_lengths(train_dataset, processing_class)

    def _refuse_what_means_nothing(self, config: Any, streams: Sequence[str]) -> None:
        smoothing, noise = self.args.label_smoothing_factor, self.args.neftune_noise_alpha
        if smoothing and config.num_labels == 1:
            raise RecipeError(
                f"label_smoothing_factor: expected 0, since a regression has no classes to smooth, got {smoothing}"
            )
        if noise is not None and not (config.has_text_model and "text" in streams):
            raise RecipeError(
                f"neftune_noise_alpha: expected null, since this model is given no text to add noise to, got {noise}"
            )

    def _measure_by(self, config: Any) -> None:
        """Measure with the metrics of the label range, and let one of them choose the best epoch, or else the loss."""
        args = self.args
        metrics = metrics_for(config.label_range, config.num_labels)
        self.compute_metrics = lambda predicted: metrics(predicted.predictions, predicted.label_ids)
        selection = Selection.of(config, args.metric_for_best_model, args.greater_is_better)
        if args.metric_for_best_model not in ("loss", "eval_loss"):
            args.metric_for_best_model, args.greater_is_better = selection.metric, selection.greater_is_better

    def get_train_dataloader(self) -> DataLoader:
        """Return Trainer's batches of the training rows, augmented as the arguments say.

        For a model with batch norm a last batch of one row joins the one before it. Several processes need no such
        care: accelerate fills their last batches up with the first rows.
        """
        collate = self.data_collator
        if self.args.stream_dropout or self.args.feature_noise:
            self.data_collator = AugmentingCollator(collate, self.args.stream_dropout, self.args.feature_noise)
        try:
            loader = super().get_train_dataloader()
        finally:
            self.data_collator = collate
        joined = join_last_batch(loader) if self.args.world_size == 1 and has_batch_norm(self.model) else None
        return loader if joined is None else self.accelerator.prepare(joined)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the model's loss; with label smoothing its cross-entropy is the smoothed one, other parts stay.

        Args:
            model: The model, perhaps wrapped.
            inputs: A batch.
            return_outputs: Return the outputs too.
            num_items_in_batch: As Trainer counts them; not read, since our losses are means over the batch.
        """
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if self.args.label_smoothing_factor and "labels" in inputs:
            logits_BC, labels_B = outputs["logits"].float(), inputs["labels"].long().flatten()
            smoothed = F.cross_entropy(logits_BC, labels_B, label_smoothing=self.args.label_smoothing_factor)
            loss = loss + smoothed - F.cross_entropy(logits_BC, labels_B)
        return (loss, outputs) if return_outputs else loss

    def hyperparameter_search(
        self,
        hp_space: Callable[[Any], dict[str, float]] | None = None,
        compute_objective: Callable[[dict[str, float]], float] | None = None,
        n_trials: int = 20,
        direction: str | list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Search as `Trainer` does, except that by default the metric counts that chooses the best epoch.

        Trainer's own default adds all metrics up, errors and accuracies alike.

        Args:
            hp_space: What to try, of a trial; None for Trainer's own.
            compute_objective: What counts, of the metrics of an evaluation; None for the metric that chooses epochs.
            n_trials: How many combinations to try.
            direction: "minimize" or "maximize"; None for what the metric asks for, or "minimize" with an objective of
                your own.
            kwargs: What else `Trainer.hyperparameter_search` takes.
        """
        metric = (self.args.metric_for_best_model or "loss").removeprefix("eval_")
        if compute_objective is None:
            compute_objective = itemgetter(f"eval_{metric}")
            direction = direction or ("maximize" if self.args.greater_is_better else "minimize")
        return super().hyperparameter_search(hp_space, compute_objective, n_trials, direction or "minimize", **kwargs)

    def get_decay_parameter_names(self, model: Any) -> list[str]:
        """Return the names of the parameters that weight decay pulls on: no biases, norms only where asked for.

        Args:
            model: That is trained.
        """
        if self.args.weight_decay_on_norms:
            return [name for name, _ in model.named_parameters() if not name.endswith("bias")]
        return super().get_decay_parameter_names(model)

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler | None:
        # Trainer would group the rows to be evaluated too, at random, and return predictions in an order of its own.
        return SequentialSampler(eval_dataset)

    def create_optimizer(self, model: Any = None) -> Optimizer:
        """Make Trainer's optimizer and give its parameters their own learning rates."""
        if self.optimizer is None:
            trained = self.model if model is None else model
            optimizer = super().create_optimizer(model)
            if self.args.learning_rates:
                split_parameter_groups(optimizer, trained, self.args.learning_rates)
                for pattern, names in match_learning_rates(trained, self.args.learning_rates).items():
                    rate = self.args.learning_rates[pattern]
                    logger.info(f"learning rate {rate:g} ({pattern}): {', '.join(without_numbers(names))}")
            check_parameter_groups(optimizer, trained)
        return self.optimizer


__all__ = ["MsaTrainer"]
