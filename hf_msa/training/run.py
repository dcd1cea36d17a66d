"""Carry out a recipe: train a model per seed, keep the best epoch of each, measure the saved checkpoints.

What is written where stands at the top of `run_folder.py`; how processor and models come about, in `build.py`.
"""

import contextlib
import time
from pathlib import Path

import peft
from accelerate import PartialState
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback

from hf_msa.data.named import open_corpus
from hf_msa.data.rows import SPLITS
from hf_msa.evaluation.predictions import predict_rows, score_predictions
from hf_msa.evaluation.results import Results, SeedResult, best_seed, installed_versions, this_machine
from hf_msa.evaluation.selection import Selection
from hf_msa.pretrained.checkpoint import load_checkpoint, save_checkpoint
from hf_msa.progress import Report, ignore

from .adapters import merge_lora
from .arguments import MsaTrainingArguments
from .build import Builder, describe_model
from .history import HistoryCallback
from .recipe import Recipe
from .reporting import ReportingCallback
from .run_folder import RunFolder, last_checkpoint
from .trainer import MsaTrainer

# A recipe may say otherwise: the progress is reported, not printed; the history holds the loss of every step as it is.
_DEFAULTS = {"disable_tqdm": True, "logging_steps": 1, "logging_nan_inf_filter": False}
# Which transformers would otherwise take from `logging_steps`.
_EVAL_STEPS = 500


def train_recipe(
    recipe: Recipe,
    output: str | Path,
    *,
    name: str | None = None,
    resume: bool = False,
    report: Report = ignore,
    command: str = "",
    title: str | None = None,
) -> Results | None:
    """Train, save and measure every seed of a recipe; the top of `run_folder.py` says what is written.

    Runs in several processes too (`torchrun`); the first one writes.

    Args:
        recipe: What to do.
        output: The run's folder: new, empty, or an older run's, which stays until the new one is whole.
        name: Name of the run; None takes the folder's.
        resume: Go on with an unfinished run of the same recipe on the same corpus.
        report: Told how far a seed's training is, and its measuring; in the first process alone.
        command: What was typed, for the record.
        title: What the report calls the run; None takes the name.

    Returns:
        What stands in `results.json`; None in all processes but the first.

    Raises:
        RecipeError: When the recipe cannot be carried out, or an unfinished run lies there that is not to be resumed
            or is of another recipe.
        CorpusError: When the corpus cannot be read or does not fit.
        CheckpointError: When the folder holds something else, or a checkpoint that the recipe names is not there.
    """
    start = time.perf_counter()
    folder = RunFolder(Path(output).absolute())
    name = name or folder.output.name
    state = PartialState()
    with folder.lock() if state.is_main_process else contextlib.nullcontext():
        corpus = open_corpus(recipe.corpus, recipe.corpus_options)
        builder = Builder(recipe, corpus)
        arguments = _arguments(recipe, folder, recipe.seeds[0])
        selection = Selection.of(builder.config, arguments.metric_for_best_model, arguments.greater_is_better)
        if state.is_main_process:
            # Once: the hash reads the whole corpus.
            description = {"recipe": recipe.to_shareable_dict(), "corpus": corpus.describe()}
            folder.begin(description, resume)
        state.wait_for_everyone()
        try:
            for seed in recipe.seeds:
                if not folder.is_finished(seed):
                    task = f"{title or name}, seed {seed}"
                    _train_seed(builder, folder, seed, task=task, report=report if state.is_main_process else ignore)
        except BaseException:
            if state.is_main_process and not folder.has_progress():
                folder.discard()
            raise
        if not state.is_main_process:
            return None
        runs = tuple(folder.read_seed(seed) for seed in recipe.seeds)
        results = Results(
            name=name,
            **description,
            model=folder.read_model(),
            versions=installed_versions(),
            machine=this_machine(),
            seconds=time.perf_counter() - start,
            best_seed=best_seed(runs, selection),
            runs=runs,
            command=command,
        )
        folder.assemble(results)
    return results


def _arguments(recipe: Recipe, folder: RunFolder, seed: int) -> MsaTrainingArguments:
    defaults = _DEFAULTS | {"eval_steps": recipe.training.get("logging_steps", _EVAL_STEPS)}
    return MsaTrainingArguments(**defaults | recipe.training, output_dir=str(folder.training(seed)), seed=seed)


def _train_seed(builder: Builder, folder: RunFolder, seed: int, *, task: str, report: Report) -> None:
    """Train one seed, or go on with it; save the best epoch, and measure what was saved."""
    start = time.perf_counter()
    arguments = _arguments(builder.recipe, folder, seed)
    model = builder.build_model(seed)
    if PartialState().is_main_process:
        folder.write_model(describe_model(model, arguments.learning_rates))
    trainer = MsaTrainer(
        model,
        arguments,
        processing_class=builder.processor,
        train_dataset=builder.corpus.splits["train"],
        eval_dataset=builder.corpus.splits["valid"],
        callbacks=[ReportingCallback(report, task), HistoryCallback(folder.logs(seed))],
    )
    trainer.remove_callback(PrinterCallback)
    for callback in trainer.callback_handler.callbacks:
        # By default beside the Trainer's checkpoints, which are deleted when a seed is finished.
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(folder.logs(seed))
    trainer.train(resume_from_checkpoint=last_checkpoint(arguments.output_dir))
    seconds = time.perf_counter() - start
    if trainer.is_world_process_zero():
        model = trainer.accelerator.unwrap_model(trainer.model)
        model = merge_lora(model) if isinstance(model, peft.PeftModel) else model
        save_checkpoint(model, builder.processor, folder.checkpoint(seed))
        _measure(builder, folder, seed, trainer=trainer, seconds=seconds, task=task, report=report)
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.free_memory()


def _measure(
    builder: Builder, folder: RunFolder, seed: int, *, trainer: MsaTrainer, seconds: float, task: str, report: Report
) -> None:
    """Measure a seed's checkpoint as it was saved, and write down what came out."""
    model, processor = load_checkpoint(str(folder.checkpoint(seed)))
    predictions = {
        split: predict_rows(
            model, processor, builder.corpus.splits[split], report=report, task=f"{task}: measuring {split}"
        )
        for split in SPLITS
        if split != "train" or builder.recipe.measure_train
    }
    state = trainer.state
    epochs = state.epoch or 0.0
    best_step = state.best_global_step or state.global_step
    result = SeedResult(
        seed=seed,
        checkpoint=f"seeds/{seed}",
        best_epoch=round(epochs * best_step / max(state.global_step, 1), 2),
        epochs=round(epochs, 2),
        seconds=seconds,
        metrics={split: score_predictions(predicted, model.config) for split, predicted in predictions.items()},
    )
    folder.finish_seed(result, predictions)


__all__ = ["train_recipe"]
