"""Clip gradients value by value, which transformers' Trainer cannot: it clips by norm only."""

import re
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState

from .arguments import MsaTrainingArguments


class GradientValueClipping(TrainerCallback):
    """Clip every entry of the gradients in front of the optimizer's step, as the arguments say."""

    def on_pre_optimizer_step(
        self,
        args: MsaTrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Clip; Trainer has measured the norm by now, for which it unscales gradients in half precision.

        Args:
            args: Hold `max_grad_value` and `max_grad_value_except`.
            state: Not read.
            control: Not touched.
            model: Whose gradients are clipped.
            kwargs: Not read.
        """
        if model is None or args.max_grad_value is None:
            return
        left_out = args.max_grad_value_except
        torch.nn.utils.clip_grad_value_(
            [
                parameter
                for name, parameter in model.named_parameters()
                if left_out is None or re.search(left_out, name) is None
            ],
            args.max_grad_value,
        )


__all__ = ["GradientValueClipping"]
