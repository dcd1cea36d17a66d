"""The trainer: transformers' own, with what this task needs already in place."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Array2D, Dataset
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from hf_msa.data.lengths import LENGTH, add_lengths, num_frames
from hf_msa.data.rows import STREAMS, brief
from hf_msa.evaluation import metrics_for
from hf_msa.models import MsaConfig

from .arguments import MsaTrainingArguments
from .augmentation import AugmentingCollator
from .gradient_clipping import GradientValueClipping
from .last_batch import has_batch_norm, join_last_batch
from .parameter_groups import check_parameter_groups, split_parameter_groups


class MsaTrainer(Trainer):
    """Train a model of this package on rows of a corpus.

    Beside what `Trainer` does: the processor collates and is saved with every checkpoint, the metrics are those of the
    label range, batches are grouped by length, training stops early, parameters have learning rates of their own, and
    rows that would train a wrong model are refused before the first step.

    Args:
        model: A model with a head, or what `add_lora` made of it.
        args: The arguments.
        processing_class: The model's processor.
        train_dataset: Rows as `load_corpus` gives them.
        eval_dataset: Rows to choose the best epoch by, never the test split.
        callbacks: Further callbacks.
        kwargs: What else `Trainer` takes.

    Raises:
        ValueError: For an empty dataset, another feature size than the model's, and labels that are NaN, out of the
            model's range or no class of it.
    """

    args: MsaTrainingArguments
    data_collator: Any

    def __init__(
        self,
        model: Any,
        args: MsaTrainingArguments,
        processing_class: Any,
        train_dataset: Dataset | None = None,
        eval_dataset: Dataset | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        **kwargs: Any,
    ) -> None:
        config = model.config
        for name, dataset in (("train_dataset", train_dataset), ("eval_dataset", eval_dataset)):
            if isinstance(dataset, Dataset):
                check_dataset(name, dataset, config, processing_class.streams)
        if config.num_labels > 1 and args.metric_for_best_model in ("mae", "eval_mae"):
            args.metric_for_best_model, args.greater_is_better = "accuracy", True
        if (
            isinstance(train_dataset, Dataset)
            and args.train_sampling_strategy == "group_by_length"
            and args.length_column_name == LENGTH
            and LENGTH not in train_dataset.column_names
        ):
            train_dataset = add_lengths(train_dataset, processing_class)
        compute = metrics_for(config.label_range, config.num_labels)
        kwargs.setdefault("compute_metrics", lambda found: compute(found.predictions, found.label_ids))
        kwargs.setdefault("data_collator", processing_class.collate)
        callbacks = list(callbacks)
        if args.early_stopping_patience is not None:
            callbacks.append(EarlyStoppingCallback(args.early_stopping_patience))
        if args.max_grad_value is not None:
            callbacks.append(GradientValueClipping())
        super().__init__(
            model,
            args,
            processing_class=processing_class,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            callbacks=callbacks,
            **kwargs,
        )

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
            check_parameter_groups(optimizer, trained)
        return self.optimizer


def check_dataset(name: str, dataset: Dataset, config: MsaConfig, streams: Sequence[str] = STREAMS) -> None:
    """Refuse rows that a model cannot be trained or evaluated on; streams are not read, only their sizes.

    Args:
        name: Of the dataset, for the error.
        dataset: Rows as `load_corpus` gives them.
        config: Of the model.
        streams: Those that the model is given.

    Raises:
        ValueError: See [`MsaTrainer`].
    """
    if not len(dataset):
        raise ValueError(f"{name}: expected at least one row, got none")
    for stream in [stream for stream in STREAMS if stream in streams]:
        feature = dataset.features.get(stream)
        expected = getattr(config, f"{stream}_dim")
        if isinstance(feature, Array2D) and feature.shape[1] == 0:
            others = ", ".join(other for other in streams if other != stream)
            raise ValueError(
                f"{name}: streams: expected those of the corpus, got {stream}, which it lacks; try streams=[{others}]"
            )
        if isinstance(feature, Array2D) and feature.shape[1] != expected:
            raise ValueError(
                f"{name}: {stream}: expected config.{stream}_dim {expected} columns per frame, got {feature.shape[1]}"
            )
    if "label" not in dataset.column_names:
        raise ValueError(f"{name}: expected a column label, got {', '.join(dataset.column_names)}")
    ids = dataset["id"] if "id" in dataset.column_names else range(len(dataset))
    if config.text_config is None:
        read = [stream for stream in STREAMS if stream in streams]
        for key, *frames in zip(ids, *(num_frames(dataset, stream) for stream in read), strict=True):
            if not any(frames):
                raise ValueError(f"{name}: expected {' or '.join(read)} in every row, got none in row {key!r}")
    for key, label in zip(ids, dataset["label"], strict=True):
        # A column that was added to a corpus comes as numpy's numbers.
        label = label.item() if isinstance(label, np.generic) else label
        if not _is_label(label, config):
            raise ValueError(f"{name}: label: expected {_expected_label(config)}, got {brief(label)} in row {key!r}")


def _is_label(label: Any, config: MsaConfig) -> bool:
    if isinstance(label, bool) or not isinstance(label, (int, float)) or not math.isfinite(label):
        return False
    if config.num_labels > 1:
        return float(label).is_integer() and 0 <= label < config.num_labels
    # As loose as `load_corpus`: float32 writes some thirds a little beyond the limit.
    return config.label_range is None or config.label_range[0] - 1e-4 <= label <= config.label_range[1] + 1e-4


def _expected_label(config: MsaConfig) -> str:
    if config.num_labels > 1:
        return f"a class from 0 to {config.num_labels - 1}"
    return "a finite score" if config.label_range is None else "a score from {} to {}".format(*config.label_range)


__all__ = ["MsaTrainer", "check_dataset"]
