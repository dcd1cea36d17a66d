"""Tell how far a training is, in the terms of the package instead of Trainer's."""

from typing import Any

from transformers import TrainerCallback

from hf_msa.progress import Progress, Report


class ReportingCallback(TrainerCallback):
    """Report steps, and beside them the latest value of the metric that chooses the best epoch.

    Args:
        report: Is told.
        task: What is being trained.
    """

    def __init__(self, report: Report, task: str) -> None:
        self.report = report
        self.task = task
        self.note = ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report the start, perhaps of a training that goes on."""
        self.report(Progress(self.task, state.global_step, state.max_steps, self.note))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report a step."""
        self.report(Progress(self.task, state.global_step, state.max_steps, self.note))

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        """Remember the metric."""
        name = str(args.metric_for_best_model).removeprefix("eval_")
        if f"eval_{name}" in metrics:
            self.note = f"valid {name} {metrics[f'eval_{name}']:.3f}"
            self.report(Progress(self.task, state.global_step, state.max_steps, self.note))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report the end, at the steps that were taken; early stopping takes fewer than were planned."""
        self.report(Progress(self.task, state.global_step, state.global_step, self.note))


__all__ = ["ReportingCallback"]
