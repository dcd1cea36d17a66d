"""Carry out a recipe: train a model per seed, keep the best epoch of each, measure the saved checkpoints.

    <output>/                      the checkpoint of the best seed, by the validation split
    <output>/results.json          every metric of every split and seed, and what it takes to repeat them
    <output>/predictions.parquet   what each seed predicted for each utterance
    <output>/seeds/<seed>/         the checkpoint of each seed

All of it grows in a hidden folder beside the output, in which `resume` goes on, and gets its name at the end.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import peft
from accelerate import PartialState
from datasets import Dataset
from filelock import FileLock, Timeout
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    PROCESSOR_MAPPING,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from hf_msa.data.checks import check_dataset
from hf_msa.data.named import Corpus, open_corpus, without_folders
from hf_msa.data.rows import SPLITS
from hf_msa.errors import RecipeError
from hf_msa.evaluation.metrics import metrics_for
from hf_msa.evaluation.predictions import (
    predict_rows,
    read_predictions,
    score_predictions,
    write_predictions,
)
from hf_msa.evaluation.results import (
    PREDICTIONS_FILE,
    Results,
    SeedResult,
    best_seed,
    installed_versions,
    this_machine,
)
from hf_msa.evaluation.selection import Selection
from hf_msa.files import replace_folder
from hf_msa.models.streams_msa import FRAME_STREAMS
from hf_msa.pretrained.checkpoint import check_output, check_place, load_checkpoint, save_checkpoint
from hf_msa.pretrained.text_models import OFFLINE_TEXT_MODEL, offline_text_model
from hf_msa.progress import Report, ignore

from .adapters import add_lora, merge_lora
from .arguments import MsaTrainingArguments
from .recipe import Recipe
from .reporting import ReportingCallback
from .stage_one import stage_one_fields
from .trainer import MsaTrainer

_FEATURE_FIELDS = ("audio_dim", "visual_dim", "audio_features", "visual_features")
_ROW_FIELDS = (*_FEATURE_FIELDS, "label_range", "num_labels", "id2label", "label2id")


def train_recipe(
    recipe: Recipe,
    output: str | Path,
    name: str | None = None,
    resume: bool = False,
    report: Report = ignore,
    command: str = "",
    title: str | None = None,
) -> Results | None:
    """Train, save and measure; see the top of this file for what is written.

    Runs in several processes too (`torchrun`); the first one writes.

    Args:
        recipe: What to do.
        output: The run's folder: new, empty, or an older run's, which stays until the new one is whole.
        name: Of the run; None takes the folder's.
        resume: Go on with an unfinished run of the same recipe on the same corpus.
        report: Told how far a seed's training is, and its measuring; in the first process alone.
        command: What was typed, for the record.
        title: What the report calls the run; None takes the name.

    Returns:
        What stands in `results.json`; None in all processes but the first.

    Raises:
        RecipeError: When the recipe does not fit the corpus, the folder holds something else, or an unfinished run
            lies there that is not to be resumed or is of another recipe.
    """
    output = Path(output).absolute()
    with _only_one(output):
        return _train_recipe(recipe, output, name or output.name, resume, report, command, title)


def _train_recipe(
    recipe: Recipe, output: Path, name: str, resume: bool, report: Report, command: str, title: str | None
) -> Results | None:
    start = time.perf_counter()
    state = PartialState()
    corpus = open_corpus(recipe.corpus, recipe.corpus_options)
    place = output.with_name(f".{output.name}.unfinished")
    run = _Run(recipe, corpus, place, title or name, report if state.is_main_process else ignore)
    description: dict[str, Any] = {}
    if state.is_main_process:
        check_output(output)
        # Once: the hash reads the whole corpus.
        description = {"recipe": shareable(recipe), "corpus": corpus.describe()}
        _check_unfinished(place, description, resume)
    state.wait_for_everyone()
    try:
        for seed in recipe.seeds:
            run.train_seed(seed)
    except BaseException:
        if state.is_main_process and not _has_progress(place):
            shutil.rmtree(place, ignore_errors=True)
        raise
    if not state.is_main_process:
        return None

    runs = tuple(run.finished(seed) for seed in recipe.seeds)
    metric, greater_is_better = run.selection
    results = Results(
        name=name,
        **description,
        model=run.described_model(),
        versions=installed_versions(),
        machine=this_machine(),
        seconds=time.perf_counter() - start,
        best_seed=best_seed(runs, Selection(metric, greater_is_better)),
        runs=runs,
        command=command,
    )
    _assemble(results, place, output)
    return results


class _Run:
    """The seeds of a recipe, each trained, saved and measured by itself."""

    def __init__(self, recipe: Recipe, corpus: Corpus, place: Path, title: str, report: Report) -> None:
        self.recipe = recipe
        self.corpus = corpus
        self.place = place
        self.title = title
        self.report = report
        self.config_class = CONFIG_MAPPING[recipe.model_type]
        self.model_class = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[self.config_class]
        if recipe.initial_checkpoint is None:
            offline = recipe.text_model == "offline"
            self.text_model = str(offline_text_model()) if offline else recipe.text_model
            check_place("text_model", self.text_model, "; hf-msa offline-lm FOLDER writes one for DeepMLF", True)
            fields = corpus.features | {key: value for key, value in recipe.model.items() if key in _ROW_FIELDS}
            config = self.config_class(**fields)
        else:
            model, self.processor = load_checkpoint(recipe.initial_checkpoint)
            config = model.config
            if self.processor.streams != recipe.streams:
                raise RecipeError(
                    f"streams: expected those of the initial checkpoint, {', '.join(self.processor.streams)}, "
                    f"got {', '.join(recipe.streams)}"
                )
        # Before a large text model is loaded, say what is wrong with the rows.
        for split in SPLITS:
            check_dataset(split, corpus.splits[split], config, recipe.streams)
        self.selection = self._choose_selection(config)
        if recipe.initial_checkpoint is None:
            self.processor = self._make_processor()

    def _make_processor(self) -> Any:
        recipe = self.recipe
        features = {key: recipe.model[key] for key in _FEATURE_FIELDS if key in recipe.model}
        fields = self.corpus.features | features | recipe.processor
        stage_one = recipe.model.get("av_encoder_name_or_path")
        if stage_one is not None:
            fields = stage_one_fields(stage_one, recipe.streams, fields)
        processor = PROCESSOR_MAPPING[self.config_class].from_text_pretrained(
            self.text_model, streams=recipe.streams, **fields
        )
        if stage_one is not None:
            return processor
        return processor.fit(_with_streams(self.corpus.splits["train"], recipe.streams), by=recipe.normalize_by)

    def make_model(self, seed: int) -> Any:
        """Return a fresh model, with LoRA where the recipe wants it."""
        recipe = self.recipe
        set_seed(seed)
        if recipe.initial_checkpoint is not None:
            model = load_checkpoint(recipe.initial_checkpoint)[0]
        else:
            fields = self.corpus.features | recipe.model
            if recipe.text_model == "offline":
                fields.setdefault("text_model_name_or_path", OFFLINE_TEXT_MODEL)
            model = self.model_class.from_text_pretrained(self.text_model, **fields)
        return model if recipe.lora is None else add_lora(model, **recipe.lora)

    def _choose_selection(self, config: Any) -> tuple[str, bool]:
        """Return the metric that makes a seed the best, and whether high is good; an epoch's, but for the loss."""
        arguments = self._arguments(self.recipe.seeds[0])
        metric = (arguments.metric_for_best_model or "mae").removeprefix("eval_")
        scores = metrics_for(config.label_range, config.num_labels)([0, 0], [0, 0])
        known = [key for key, value in scores.items() if np.isscalar(value)]
        if config.num_labels > 1 and metric in ("mae", "loss"):
            return "accuracy", True
        if metric not in (*known, "loss"):
            raise RecipeError(f"metric_for_best_model: expected loss, {', '.join(known)}, got {metric!r}")
        return ("mae", False) if metric == "loss" else (metric, bool(arguments.greater_is_better))

    def train_seed(self, seed: int) -> None:
        """Train one seed, or go on with it, unless it is finished."""
        if self._record(seed).exists():
            return
        start = time.perf_counter()
        arguments = self._arguments(seed)
        model = self.make_model(seed)
        if PartialState().is_main_process:
            self._model_file.write_text(json.dumps(self._describe(model)), encoding="utf-8")
        trainer = MsaTrainer(
            model,
            arguments,
            self.processor,
            train_dataset=self.corpus.splits["train"],
            eval_dataset=self.corpus.splits["valid"],
            callbacks=[ReportingCallback(self.report, f"{self.title}, seed {seed}")],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        trainer.train(resume_from_checkpoint=last_checkpoint(arguments.output_dir))
        if trainer.is_world_process_zero():
            self._save(seed, trainer, time.perf_counter() - start)
        trainer.accelerator.wait_for_everyone()
        trainer.accelerator.free_memory()

    def finished(self, seed: int) -> SeedResult:
        """Return what is known of a trained seed."""
        return SeedResult(**json.loads(self._record(seed).read_text(encoding="utf-8")))

    def described_model(self) -> dict[str, Any]:
        """Return the model's configuration and its parameters, as they were when a seed began."""
        return json.loads(self._model_file.read_text(encoding="utf-8"))

    def _describe(self, model: Any) -> dict[str, Any]:
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
        text_model = without_folders(model.config.text_model_name_or_path)
        config = without_folders(json.loads(model.config.to_json_string()))
        return {
            "class": self.model_class.__name__,
            "text_model": text_model,
            "parameters": sum(size for size, _ in sizes),
            "trainable_parameters": sum(size for size, trained in sizes if trained),
            "config": config,
        }

    def _arguments(self, seed: int) -> MsaTrainingArguments:
        quiet: dict[str, Any] = {"disable_tqdm": True, "logging_strategy": "no"}
        return MsaTrainingArguments(
            **quiet | self.recipe.training, output_dir=str(self.place / "training" / str(seed)), seed=seed
        )

    @property
    def _model_file(self) -> Path:
        return self.place / "model.json"

    def _folder(self, seed: int) -> Path:
        return self.place / "seeds" / str(seed)

    def _record(self, seed: int) -> Path:
        return self.place / f"{seed}.json"

    def _save(self, seed: int, trainer: MsaTrainer, seconds: float) -> None:
        """Save a seed's checkpoint, measure what was saved, and write both down; the record comes last."""
        model = trainer.accelerator.unwrap_model(trainer.model)
        folder = self._folder(seed)
        save_checkpoint(merge_lora(model) if isinstance(model, peft.PeftModel) else model, self.processor, folder)
        saved, processor = load_checkpoint(str(folder))
        splits = self.corpus.splits
        task = f"{self.title}, seed {seed}: measuring"
        measured = [split for split in SPLITS if split != "train" or self.recipe.measure_train]
        found = {
            split: predict_rows(saved, processor, splits[split], report=self.report, task=f"{task} {split}")
            for split in measured
        }
        write_predictions([(seed, split, own) for split, own in found.items()], self.place / f"{seed}.parquet")
        state = trainer.state
        epochs = state.epoch or 0.0
        best_step = state.best_global_step or state.global_step
        result = SeedResult(
            seed=seed,
            checkpoint=f"seeds/{seed}",
            best_epoch=round(epochs * best_step / max(state.global_step, 1), 2),
            epochs=round(epochs, 2),
            seconds=seconds,
            metrics={split: score_predictions(own, saved.config) for split, own in found.items()},
        )
        partial = self.place / f"{seed}.partial"
        partial.write_text(json.dumps(asdict(result)), encoding="utf-8")
        partial.replace(self._record(seed))
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)


def shareable(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe without the folders of the machine on which it ran.

    Args:
        recipe: The recipe.
    """
    return without_folders(recipe.to_dict())


def last_checkpoint(folder: str | Path) -> str | None:
    """Return the latest checkpoint of a Trainer that is whole, or None.

    A process that is killed while it saves leaves half of one; Trainer writes `trainer_state.json` last.

    Args:
        folder: The Trainer's output folder.
    """
    found = Path(folder).glob("checkpoint-*")
    for checkpoint in sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return str(checkpoint)
    return None


def _with_streams(dataset: Dataset, streams: list[str]) -> Dataset:
    return dataset.remove_columns([stream for stream in FRAME_STREAMS if stream not in streams])


@contextlib.contextmanager
def _only_one(output: Path) -> Iterator[None]:
    """Keep a second training of this machine out of a folder; the other processes of this one may come in.

    Raises:
        RecipeError: When another training is at work there.
    """
    if not PartialState().is_main_process:
        yield
        return
    fresh = [folder for folder in (output, *output.parents) if not folder.exists()]
    output.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output.with_name(f".{output.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RecipeError(f"output: expected a folder of its own, another training works in {output}") from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        # The inner first, and only what stayed empty: a start that was refused leaves nothing.
        for folder in fresh:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _has_progress(place: Path) -> bool:
    return any(place.glob("training/*/checkpoint-*")) or any(place.glob("seeds/*"))


def _check_unfinished(place: Path, description: dict[str, Any], resume: bool) -> None:
    """Make the folder in which a run grows, or find an unfinished one there."""
    file = place / "run.json"
    has_progress = _has_progress(place)
    if resume and has_progress:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            found = {key: dict(found[key]) for key in description}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecipeError(f"resume: expected what hf-msa train wrote in {file}, got something else") from error
        for key, value in json.loads(json.dumps(description)).items():
            different = sorted(name for name in value | found[key] if value.get(name) != found[key].get(name))
            if different:
                raise RecipeError(
                    f"resume: expected the {key} of the unfinished run, got another {', '.join(different)}"
                )
        return
    if has_progress:
        raise RecipeError(f"output: an unfinished run lies in {place}; resume it (--resume), or delete it")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    file.write_text(json.dumps(description), encoding="utf-8")


def _assemble(results: Results, place: Path, output: Path) -> None:
    """Put the best seed's checkpoint on top, results and predictions beside it, and give the folder its name."""
    fresh = place / "whole"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(place / "seeds" / str(results.best_seed), fresh)
    found = [
        (run.seed, split, read_predictions(place / f"{run.seed}.parquet", split)[run.seed])
        for run in results.runs
        for split in run.metrics
    ]
    write_predictions(found, fresh / PREDICTIONS_FILE)
    results.write(fresh)
    replace_folder(fresh, output)
    for left in (place / "seeds").glob(".*"):  # half a checkpoint of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    # Last, so that a run killed here is still one that can be resumed.
    (place / "seeds").rename(output / "seeds")
    shutil.rmtree(place, ignore_errors=True)


__all__ = ["last_checkpoint", "train_recipe"]
