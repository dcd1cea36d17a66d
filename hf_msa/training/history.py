"""What a training writes down as it goes, so that an interrupted run can be plotted too: `history.jsonl`.

A line per logged step with `step`, `epoch`, `loss`, `grad_norm` and `learning_rate`, and one per evaluation with the
metrics of the validation split as `eval_*`; what is not finite is null. `pandas.read_json(file, lines=True)` reads it.
"""

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from hf_msa.evaluation.results import strict_json

HISTORY_FILE = "history.jsonl"


class HistoryCallback(TrainerCallback):
    """Writes every line that Trainer logs into a file.

    Args:
        folder: Where the file goes; it is created.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / HISTORY_FILE

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin anew, or with what the checkpoint knows from which training goes on: later steps come again."""
        if state.is_world_process_zero:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text("".join(map(_line, state.log_history)), encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add what was logged last."""
        if state.is_world_process_zero:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(_line(state.log_history[-1]))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(strict_json(row)) + "\n"


__all__ = ["HISTORY_FILE", "HistoryCallback"]
