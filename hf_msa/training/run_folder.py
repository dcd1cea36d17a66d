"""The folder of a run: one training at a time works for it, an interrupted one can go on, and it appears whole.

    <output>/                            the checkpoint of the best seed, by the validation split
    <output>/results.json                every metric of every split and seed, and what it takes to repeat them
    <output>/predictions.parquet         what each seed predicted for each utterance
    <output>/seeds/<seed>/               the checkpoint of each seed
    <output>/logs/<seed>/history.jsonl   loss of every step and metrics of every epoch; TensorBoard's files beside it

All of it grows in a hidden folder beside the output and gets its name at the end.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hf_msa.errors import RecipeError
from hf_msa.evaluation.predictions import Predictions, read_predictions, write_predictions
from hf_msa.evaluation.results import PREDICTIONS_FILE, Results, SeedResult
from hf_msa.files import replace_folder, write_file
from hf_msa.pretrained.checkpoint import check_output

# What a run writes into its hidden folder.
_OURS = re.compile(
    r"run\.json|model\.json|\d+\.(?:json|parquet)|training|logs|seeds|whole|\.\w+\.json(?:\.\d+)?\.partial"
)


class RunFolder:
    """The folder of a run, and the hidden one in which it grows.

    Args:
        output: The run's folder: new, empty, or an older run's, which stays until the new one is whole.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.unfinished = output.with_name(f".{output.name}.unfinished")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second training of this machine out while the block runs.

        Raises:
            RecipeError: When another training is at work there, or a file that is no lock has the lock's name.
        """
        fresh = [folder for folder in (self.output, *self.output.parents) if not folder.exists()]
        self.output.parent.mkdir(parents=True, exist_ok=True)
        file = self.output.with_name(f".{self.output.name}.lock")
        if os.path.lexists(file) and (file.is_symlink() or not file.is_file() or file.stat().st_size):
            raise RecipeError(f"output: expected {file} to be free for a lock, got a file of somebody's; move it")
        lock = FileLock(file, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RecipeError(
                f"output: expected a folder of its own, another training works in {self.output}"
            ) from error
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
            # The inner first, and only what stayed empty: a start that was refused leaves nothing.
            for folder in fresh:
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def begin(self, description: dict[str, Any], resume: bool) -> None:
        """Make the hidden folder, or find in it an unfinished run of the same recipe on the same corpus.

        Args:
            description: The recipe and the corpus, as the results will describe them.
            resume: Go on with an unfinished run.

        Raises:
            RecipeError: When an unfinished run lies there that is not to be resumed, or is of another recipe, or
                something that is none.
            CheckpointError: As `check_output`.
        """
        check_output(self.output)
        self._refuse_what_is_not_ours()
        file = self.unfinished / "run.json"
        if not self.has_progress():
            self.discard()
            self.unfinished.mkdir(parents=True, exist_ok=True)
            write_file(file, json.dumps(description))
            return
        if not resume:
            raise RecipeError(
                f"output: an unfinished run lies in {self.unfinished}; resume it (--resume), or delete it"
            )
        try:
            begun = json.loads(file.read_text(encoding="utf-8"))
            begun = {key: dict(begun[key]) for key in description}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecipeError(f"resume: expected what hf-msa train wrote in {file}, got something else") from error
        for key, value in json.loads(json.dumps(description)).items():
            different = sorted(name for name in value | begun[key] if value.get(name) != begun[key].get(name))
            if different:
                raise RecipeError(
                    f"resume: expected the {key} of the unfinished run, got another {', '.join(different)}"
                )

    def has_progress(self) -> bool:
        """Return whether an unfinished run has saved anything worth going on from."""
        return any(self.unfinished.glob("training/*/checkpoint-*")) or any(self.unfinished.glob("seeds/*"))

    def discard(self) -> None:
        """Delete what a run writes into the hidden folder, and the folder unless something else lies in it."""
        for entry in self._entries():
            if _OURS.fullmatch(entry.name):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.unfinished.rmdir()

    def _refuse_what_is_not_ours(self) -> None:
        names = sorted(entry.name for entry in self._entries())
        # A run writes run.json first; one that was killed in doing so leaves half of it.
        is_ours = "run.json" in names or not [name for name in names if not name.endswith(".partial")]
        others = names if not is_ours else [name for name in names if not _OURS.fullmatch(name)]
        if others or (os.path.lexists(self.unfinished) and not self.unfinished.is_dir()):
            raise RecipeError(
                f"output: expected {self.unfinished} to be free for an unfinished run, got "
                f"{others[0] if others else 'a file'} there; move it, or give another folder"
            )

    def _entries(self) -> list[Path]:
        return list(self.unfinished.iterdir()) if self.unfinished.is_dir() else []

    def training(self, seed: int) -> Path:
        """Return where the Trainer of a seed saves."""
        return self.unfinished / "training" / str(seed)

    def logs(self, seed: int) -> Path:
        """Return where the history of a seed is written."""
        return self.unfinished / "logs" / str(seed)

    def checkpoint(self, seed: int) -> Path:
        """Return where the trained model of a seed is saved."""
        return self.unfinished / "seeds" / str(seed)

    def is_finished(self, seed: int) -> bool:
        """Return whether a seed is trained, saved and measured."""
        return self._record(seed).exists()

    def write_model(self, description: dict[str, Any]) -> None:
        """Write down what the results will say of the model, as it is when a seed begins."""
        write_file(self.unfinished / "model.json", json.dumps(description))

    def finish_seed(self, result: SeedResult, predictions: Mapping[str, Predictions]) -> None:
        """Write down what came out for a seed, the record last, and delete what its Trainer saved.

        Args:
            result: Its metrics.
            predictions: By split.
        """
        rows = [(result.seed, split, predicted) for split, predicted in predictions.items()]
        write_predictions(rows, self._predictions(result.seed))
        write_file(self._record(result.seed), json.dumps(asdict(result)))
        shutil.rmtree(self.training(result.seed), ignore_errors=True)

    def read_model(self) -> dict[str, Any]:
        """Return what `write_model` wrote."""
        return json.loads((self.unfinished / "model.json").read_text(encoding="utf-8"))

    def read_seed(self, seed: int) -> SeedResult:
        """Return the result that `finish_seed` wrote."""
        return SeedResult(**json.loads(self._record(seed).read_text(encoding="utf-8")))

    def assemble(self, results: Results) -> None:
        """Put the best seed's checkpoint on top, results and predictions beside it, and give the folder its name.

        Args:
            results: Of all seeds.
        """
        fresh = self.unfinished / "whole"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(self.checkpoint(results.best_seed), fresh)
        rows = [
            (run.seed, split, read_predictions(self._predictions(run.seed), split)[run.seed])
            for run in results.runs
            for split in run.metrics
        ]
        write_predictions(rows, fresh / PREDICTIONS_FILE)
        results.write(fresh)
        if (self.unfinished / "logs").exists():
            shutil.copytree(self.unfinished / "logs", fresh / "logs")
        replace_folder(fresh, self.output)
        for half in (self.unfinished / "seeds").glob(".*"):  # a checkpoint that a killed process did not finish
            shutil.rmtree(half, ignore_errors=True)
        # Last, so that a run killed here is still one that can be resumed.
        (self.unfinished / "seeds").rename(self.output / "seeds")
        self.discard()

    def _record(self, seed: int) -> Path:
        return self.unfinished / f"{seed}.json"

    def _predictions(self, seed: int) -> Path:
        return self.unfinished / f"{seed}.parquet"


def last_checkpoint(folder: str | Path) -> str | None:
    """Return the latest checkpoint of a Trainer that is whole, or None.

    A process that is killed while it saves leaves half of one; Trainer writes `trainer_state.json` last.

    Args:
        folder: The Trainer's output folder.
    """
    checkpoints = Path(folder).glob("checkpoint-*")
    for checkpoint in sorted(checkpoints, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return str(checkpoint)
    return None


__all__ = ["RunFolder", "last_checkpoint"]
