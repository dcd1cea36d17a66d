"""What a run does when a stream becomes unreliable: error under noise, answer of the gates, place of the errors.

It measures the checkpoint of every seed of a run, so that the intervals are over utterances and seeds.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from hf_msa.data.checks import check_dataset
from hf_msa.data.fingerprint import corpus_sha256
from hf_msa.data.known_text import KnownText
from hf_msa.data.named import check_split, open_corpus
from hf_msa.errors import MsaError, MsaWarning
from hf_msa.pretrained.checkpoint import load_checkpoint, read_config
from hf_msa.progress import Report, ignore

from .markdown import markdown_table, spread
from .probes.gates import GateResponse, gate_response
from .probes.noise import NoiseRise, NoisyProcessor, noise_rises, run_under_noise
from .probes.psc import PSC, embed_in_plane, fused_features, plot_psc, psc
from .results import Results, read_results


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

    kind: ClassVar[str] = "robustness"
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

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Robustness":
        """Return what `to_dict` gave.

        Args:
            content: What `hf-msa robustness --json` printed.
        """
        return cls(
            **content
            | {
                "seeds": tuple(content["seeds"]),
                "rises": tuple(map(NoiseRise.from_dict, content["rises"])),
                "gates": tuple(map(GateResponse.from_dict, content["gates"])),
                "spaces": tuple(map(PSC.from_dict, content["spaces"])),
            }
        )

    def to_markdown(self, *others: "Robustness") -> str:
        """Return a table, a row per run, and what its columns mean.

        Args:
            others: Further runs, under noise of the same strengths on the same stream.

        Raises:
            MsaError: When they differ in stream, split or strengths.
        """
        runs = (self, *others)
        settings = [(run.stream, run.split, [rise.strength for rise in run.rises]) for run in runs]
        if any(setting != settings[0] for setting in settings):
            raise MsaError(f"robustness: expected the same stream, split and strengths in every run, got {settings}")
        headings = [
            "run",
            "seeds",
            "error",
            *(f"rise at {rise.strength:g} sd" for rise in self.rises),
            "gate response",
            "rows that turn away",
            "PSC",
            "PSC, turned at will",
        ]
        rows = [
            [
                run.name,
                str(len(run.seeds)),
                f"{run.error:.3f}",
                *(rise.to_markdown() for rise in run.rises),
                spread([gate.rank_correlation for gate in run.gates]),
                spread([gate.falling for gate in run.gates]),
                spread([space.mean for space in run.spaces]),
                spread([space.invariant_mean for space in run.spaces]),
            ]
            for run in runs
        ]
        return (
            f"{markdown_table(headings, rows)}\n\n"
            f"Gaussian noise on the {self.stream} stream of the {self.split} split, in standard deviations of its "
            "columns: rise of the error (mean absolute error; of classes, the share that is wrong) with its 95% "
            "interval over utterances and seeds. Gate response: Spearman's correlation between strength and the "
            "stream's weight over all rows; below 0 the model turns away from noise. Rows that turn away: the share "
            "whose weight is lower under the strongest noise than without. PSC: prediction-space correlation; lower "
            "is better. All of these mean ± deviation over seeds."
        )


def measure_robustness(
    run: str | Path,
    *,
    corpus: str | None = None,
    split: str = "test",
    stream: str = "visual",
    strengths: Sequence[float] = (1.0, 2.0, 3.0),
    with_psc: bool = False,
    corpus_options: dict[str, Any] | None = None,
    plots: str | Path | None = None,
    report: Report = ignore,
) -> Robustness:
    """Measure every seed of a run of `train_recipe` under noise on one stream.

    Args:
        run: Its folder, with the checkpoints of all seeds.
        corpus: As in a recipe; None takes the run's, which must not have changed. Of another one than the run was
            trained on this warns, since the same rows as Parquet are another file too.
        split: train, valid or test.
        stream: "audio" or "visual".
        strengths: Standard deviations of the noise, in those of the features.
        with_psc: Measure the prediction-space correlation too (extra `plots`; about half a minute a seed).
        corpus_options: Options of `load_corpus`; None takes the run's, for its own corpus.
        plots: Folder for a plot of every seed's feature space, <name>-<seed>.png; with it the correlation is measured.
        report: Told of the rows that are done in each pass.

    Raises:
        MsaError: When the folder is no run, it was trained without the stream, its corpus has changed, the rows do
            not fit the model, and for a correlation of a classifier.
    """
    check_split(split)
    for strength in strengths:
        NoisyProcessor(None, stream, strength)  # refuses what cannot be measured, before anything is loaded
    with_psc = with_psc or plots is not None
    results = read_results(run)
    streams = results.recipe["streams"]
    if stream not in streams:
        raise MsaError(f"stream: expected one of the run's, {', '.join(streams)}, got {stream!r}")
    rows = _open_rows(results, corpus, split, corpus_options)
    config = read_config(str(run))
    check_dataset(split, rows, config, streams)
    if with_psc and config.num_labels > 1:
        raise MsaError(f"psc: expected a run that predicts scores, got one of {config.num_labels} classes")
    files = {} if plots is None else _plot_files(Path(plots), results)

    passes, gates, spaces = [], [], []
    for seed in results.runs:
        model, processor = load_checkpoint(str(Path(run) / seed.checkpoint))
        if seed is results.runs[0]:  # all of a run have one tokenizer
            KnownText(processor).read_rows(rows).warn(split)
        gated, title = model.config.has_gates, f"{results.name}, seed {seed.seed}"
        passes.append(
            run_under_noise(
                model,
                processor,
                rows,
                stream=stream,
                strengths=strengths,
                with_weights=gated,
                report=report,
                task=f"{title}: noise",
            )
        )
        if gated:
            gates.append(gate_response(passes[-1]))
        if with_psc:
            states, predictions = fused_features(model, processor, rows, report=report, task=f"{title}: feature space")
            errors = predictions.errors(model.config.label_range)
            spaces.append(psc(states, errors))
            if plots is not None:
                file = files[seed.seed]
                file.parent.mkdir(parents=True, exist_ok=True)
                plot_psc(embed_in_plane(states), predictions.labels, errors=errors, file=file, title=title)
    rises = noise_rises(passes)
    return Robustness(
        name=results.name,
        split=split,
        stream=stream,
        seeds=tuple(results.seeds),
        error=rises[0].clean_error,
        rises=rises,
        gates=tuple(gates),
        spaces=tuple(spaces),
    )


def _plot_files(folder: Path, results: Results) -> dict[int, Path]:
    """Return the file of every seed's plot, none of which is there yet: what has its name may be somebody's."""
    name = re.sub(r"[^\w.+=,-]", "_", results.name)
    files = {seed: folder / f"{name}-{seed}.png" for seed in results.seeds}
    for file in files.values():
        if file.exists():
            raise MsaError(f"plot: expected a folder without older plots, got {file}; move it, or name another folder")
    return files


def _open_rows(results: Results, corpus: str | None, split: str, corpus_options: dict[str, Any] | None) -> Any:
    if corpus_options is None and corpus is None:
        corpus_options = results.recipe["corpus_options"]
    opened = open_corpus(results.recipe["corpus"] if corpus is None else corpus, corpus_options)
    sha256, expected = corpus_sha256(opened.path), results.corpus["sha256"]
    if sha256 != expected:
        message = f"corpus: expected that of the run, of SHA-256 {expected}, got {opened.path} of {sha256}"
        if corpus is None:
            raise MsaError(f"{message}; --corpus measures on another one")
        warnings.warn(message, MsaWarning, stacklevel=3)
    return opened.splits[split]


__all__ = ["Robustness", "measure_robustness"]
