"""What a run does when a stream becomes unreliable: error under noise, answer of the gates, place of the errors.

It loads the checkpoint of every seed of a run, so that the intervals are over utterances and seeds.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from hf_msa.data.checks import check_dataset
from hf_msa.data.fingerprint import corpus_sha256
from hf_msa.data.named import check_split, open_corpus
from hf_msa.errors import MsaError, MsaWarning
from hf_msa.evaluation.probes.noise import GateResponse, NoiseRise, NoisyProcessor, gate_response, noise_rise
from hf_msa.evaluation.probes.psc import PSC, embed_in_plane, fused_features, plot_psc, psc
from hf_msa.pretrained.checkpoint import load_checkpoint

from .predictions import Predictions
from .results import read_results


@dataclass(frozen=True)
class Robustness:
    """A run under noise on one stream.

    Args:
        name: Of the run.
        split: What it was measured on.
        stream: The stream that was disturbed.
        seeds: Seeds of the run.
        error: Mean error without noise.
        rises: One per strength.
        gates: One per seed; empty for a model without gates.
        spaces: One per seed, prediction-space correlation without noise; empty if not asked for.
    """

    name: str
    split: str
    stream: str
    seeds: tuple[int, ...]
    error: float
    rises: tuple[NoiseRise, ...]
    gates: tuple[GateResponse, ...]
    spaces: tuple[PSC, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def measure_robustness(
    run: str | Path,
    rows: Any,
    split: str = "test",
    stream: str = "visual",
    strengths: Sequence[float] = (1.0, 2.0, 3.0),
    with_psc: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    plots: str | Path | None = None,
) -> Robustness:
    """Measure every seed of a run.

    Args:
        run: Its folder, with the checkpoints of all seeds.
        rows: The rows of the split.
        split: Their name, for the record.
        stream: "audio" or "visual".
        strengths: Standard deviations of the noise, in those of the features.
        with_psc: Measure the prediction-space correlation too (extra `plots`; about half a minute a seed).
        progress: Called with what is being measured.
        plots: Folder for a plot of every seed's feature space, <name>-<seed>.png; with it the correlation is measured.

    Raises:
        MsaError: When the folder is no run, or the stream another.
    """
    if not strengths:
        raise MsaError("strengths: expected at least one, got none")
    for strength in strengths:
        NoisyProcessor(None, stream, strength)  # refuses what cannot be measured, before anything is loaded
    results = read_results(run)
    checkpoints = [load_checkpoint(str(Path(run) / seed.checkpoint)) for seed in results.runs]
    label_range = checkpoints[0][0].config.label_range
    progress("noise")
    rises = noise_rise(checkpoints, rows, stream, strengths)
    gates: list[GateResponse] = []
    spaces: list[PSC] = []
    for seed, (model, processor) in zip(results.seeds, checkpoints, strict=True):
        progress(f"seed {seed}")
        if _has_gates(model):
            gates.append(gate_response(model, processor, rows, stream, strengths))
        if (with_psc or plots is not None) and label_range is not None:
            states, scores, labels = fused_features(model, processor, rows)
            errors = Predictions([], labels, scores).errors(label_range)
            spaces.append(psc(states, errors))
            if plots is not None:
                Path(plots).mkdir(parents=True, exist_ok=True)
                file = Path(plots) / f"{results.name}-{seed}.png"
                plot_psc(embed_in_plane(states), labels, errors, file, f"{results.name}, seed {seed}")
    return Robustness(
        name=results.name,
        split=split,
        stream=stream,
        seeds=tuple(results.seeds),
        error=rises[0].clean_error,
        rises=tuple(rises),
        gates=tuple(gates),
        spaces=tuple(spaces),
    )


def _has_gates(model: Any) -> bool:
    """Return whether a model can say how much it trusted each stream."""
    config = model.config.to_dict()
    return bool(config.get("use_gate", True)) and config.get("gate_variant") != "concat"


def run_robustness(
    run: str | Path,
    corpus: str | None = None,
    split: str = "test",
    stream: str = "visual",
    strengths: Sequence[float] = (1.0, 2.0, 3.0),
    with_psc: bool = False,
    corpus_options: dict[str, Any] | None = None,
    progress: Callable[[str], None] = lambda _: None,
    plots: str | Path | None = None,
) -> Robustness:
    """Measure every seed of a run of `train_recipe` under noise on one stream; see `measure_robustness`.

    Args:
        run: Its folder.
        corpus: As in a recipe; None takes the run's own, which must not have changed. Of another one than the run was
            trained on this warns, since the same rows as Parquet are another file too.
        split: train, valid or test.
        stream: "audio" or "visual".
        strengths: Standard deviations of the noise, in those of the features.
        with_psc: Measure the prediction-space correlation too.
        corpus_options: Of `load_corpus`; None takes the run's, for its own corpus.
        progress: Called with what is being measured.
        plots: Folder for a plot of every seed's feature space; needs the correlation, which is then measured too.

    Raises:
        MsaError: When the folder is no run, its corpus has changed, the rows do not fit the model, or as
            `measure_robustness`.
    """
    check_split(split)
    results = read_results(run)
    if corpus_options is None and corpus is None:
        corpus_options = results.recipe["corpus_options"]
    found = open_corpus(results.recipe["corpus"] if corpus is None else corpus, corpus_options)
    sha256, expected = corpus_sha256(found.path), results.corpus["sha256"]
    if sha256 != expected:
        message = f"corpus: expected that of the run, of SHA-256 {expected}, got {found.path} of {sha256}"
        if corpus is None:
            raise MsaError(f"{message}; --corpus measures on another one")
        warnings.warn(message, MsaWarning, stacklevel=2)
    rows = found.splits[split]
    check_dataset(split, rows, AutoConfig.from_pretrained(str(run)), results.recipe["streams"])
    return measure_robustness(run, rows, split, stream, strengths, with_psc, progress, plots)


__all__ = ["Robustness", "measure_robustness", "run_robustness"]
