"""The trainer: transformers' own, with what this task needs already in place."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from hf_msa.data.checks import check_dataset
from hf_msa.data.lengths import LENGTH, add_lengths
from hf_msa.evaluation import metrics_for

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


__all__ = ["MsaTrainer"]
