"""Tables of a model card, written from what the runs wrote; no number is typed by hand.

A card has places for them, each with the files it is made from, relative to the folder given:

    <!-- results: pgf_net_mosi_text.json -->            a table of runs, a row each
    <!-- comparison: pgf_net_composite_gain.json -->    what `hf-msa compare --json` printed
    <!-- robustness: agfn_visual.json -->               what `hf-msa robustness --json` printed
    <!-- tried: pgf_net_tried.json -->                  the configurations that were tried, and their validation error
    <!-- sweep: deepmlf_depth.json -->             what `hf-msa sweep` wrote
    ...                                                 replaced
    <!-- end -->
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_msa.errors import MsaError
from hf_msa.evaluation.results import Results, read_results
from hf_msa.models.configuration_msa import PaperResult

_PLACE = re.compile(r"<!-- (results|comparison|robustness|sweep|tried): ([^>]*?) -->\n(.*?)<!-- end -->", re.DOTALL)
_COLUMNS = {
    "mae": "MAE",
    "corr": "corr",
    "acc_2_non0": "Acc-2 non0",
    "f1_non0": "F1 non0",
    "acc_2_has0": "Acc-2 has0",
    "f1_has0": "F1 has0",
    "acc_2": "Acc-2",
    "acc_3": "Acc-3",
    "acc_5": "Acc-5",
    "acc_7": "Acc-7",
    "f1": "F1",
    "accuracy": "accuracy",
    "f1_weighted": "F1 weighted",
    "f1_macro": "F1 macro",
}


def fill_card(card: str, folder: str | Path) -> str:
    """Return a card with its tables written anew.

    Args:
        card: Its text.
        folder: Where the files lie that it names.

    Raises:
        MsaError: When a file is missing or of another kind, or the card has no place for a table.
    """
    makers: dict[str, Callable[[Sequence[Path]], str]] = {
        "results": lambda files: results_table([read_results(file) for file in files]),
        "comparison": lambda files: _listed([comparison_table(_read_json(file)) for file in files]),
        "robustness": lambda files: robustness_table([_read_json(file) for file in files]),
        "sweep": lambda files: "\n".join(sweep_table(_read_json(file)) for file in files),
        "tried": lambda files: "\n".join(tried_table(_read_json(file)) for file in files),
    }

    def fill(place: re.Match[str]) -> str:
        kind, names, _ = place.groups()
        table = makers[kind]([Path(folder) / name for name in names.split()])
        return f"<!-- {kind}: {names} -->\n{table}\n<!-- end -->"

    filled, count = _PLACE.subn(fill, card)
    if not count:
        raise MsaError("card: expected a place for a table, <!-- results: FILE --> to <!-- end -->, got none")
    return filled


def results_table(runs: Sequence[Results], split: str = "test") -> str:
    """Return a Markdown table of runs, mean ± deviation over their seeds, and a line on how each was made.

    Args:
        runs: Of one corpus.
        split: train, valid or test.

    Raises:
        MsaError: For runs on different corpora, whose numbers may not stand in one table.
    """
    if len({run.corpus["sha256"] for run in runs}) != 1:
        raise MsaError(f"runs: expected one corpus, got {', '.join(run.corpus['name'] for run in runs)}")
    summaries = [run.summary()[split] for run in runs]
    keys = [key for key in _COLUMNS if key in summaries[0]]
    lines = [_row("run", "seeds", *(_COLUMNS[key] for key in keys)), _row(*["---"] * (len(keys) + 2))]
    for run, summary in zip(runs, summaries, strict=True):
        cells = [_mean_and_std(summary[key], len(run.seeds)) for key in keys]
        lines.append(_row(run.name, str(len(run.seeds)), *cells))
    corpus = runs[0].corpus
    lines += [
        "",
        f"{split.capitalize()} split of `{corpus['name']}`, {corpus['rows'][split]} utterances, SHA-256 "
        f"`{corpus['sha256'][:16]}`; mean ± deviation over seeds, the best epoch of each by validation.",
    ]
    lines += [_provenance(run) for run in runs]
    return "\n".join(lines)


def checkpoint_table(run: Results, paper: Sequence[PaperResult], split: str = "test") -> str:
    """Return a Markdown table of a checkpoint beside all seeds of its run and what the paper reports.

    Args:
        run: Whose best seed the checkpoint is.
        paper: The paper's results on that corpus; none where it reports none.
        split: train, valid or test.
    """
    summary = run.summary()[split]
    own = next(seed.metrics[split] for seed in run.runs if seed.seed == run.best_seed)
    keys = [key for key in _COLUMNS if key in summary]
    lines = [_row("", "seeds", *(_COLUMNS[key] for key in keys)), _row(*["---"] * (len(keys) + 2))]
    for entry in paper:
        values = [f"{entry.metrics[key]:.3f}" if key in entry.metrics else "-" for key in keys]
        lines.append(_row(f"paper ({entry.setting})", "", *values))
    spreads = [_mean_and_std(summary[key], len(run.seeds)) for key in keys]
    lines.append(_row("ours, mean ± deviation", str(len(run.seeds)), *spreads))
    lines.append(_row(f"this checkpoint, seed {run.best_seed}", "1", *(f"{own[key]:.3f}" for key in keys)))
    corpus = run.corpus
    lines += [
        "",
        f"{split.capitalize()} split of `{corpus['name']}`, {corpus['rows'][split]} utterances, SHA-256 "
        f"`{corpus['sha256'][:16]}`. The checkpoint is the best seed's by the validation split, the best epoch of it.",
        _provenance(run),
    ]
    return "\n".join(lines)


def _listed(sentences: Sequence[str]) -> str:
    """Return one sentence as it is, several as a list."""
    return sentences[0] if len(sentences) == 1 else "\n".join(f"- {sentence}" for sentence in sentences)


def comparison_table(comparison: dict[str, Any]) -> str:
    """Return what `hf-msa compare --json` printed as a sentence.

    Args:
        comparison: Its object.
    """
    gain, (first, second) = comparison["gain"], comparison["names"]
    return (
        f"{comparison['error'].upper().replace('_', ' ')} of {first} minus {second} on {comparison['split']}: "
        f"{gain['difference']:+.3f}, {gain['confidence']:.0%} interval {gain['low']:+.3f} to {gain['high']:+.3f} "
        f"(paired bootstrap over utterances and {comparison['seeds'][0]} and {comparison['seeds'][1]} seeds)."
    )


def robustness_table(found: Sequence[dict[str, Any]]) -> str:
    """Return what `hf-msa robustness --json` printed as a table, a row per run.

    Args:
        found: Objects of runs with noise of the same strengths on the same stream.

    Raises:
        MsaError: When they differ in stream, split or strengths.
    """
    settings = [(run["stream"], run["split"], [rise["strength"] for rise in run["rises"]]) for run in found]
    if any(setting != settings[0] for setting in settings):
        raise MsaError(f"robustness: expected the same stream, split and strengths in every file, got {settings}")
    stream, split, strengths = settings[0]
    heads = [f"rise at {strength:g} sd" for strength in strengths]
    lines = [
        _row("run", "seeds", "error", *heads, "gate response", "rows that turn away", "PSC", "PSC, turned at will")
    ]
    lines.append(_row(*["---"] * (len(heads) + 7)))
    for run in found:
        rises = [
            f"{r['difference']:+.3f} ({r['low']:+.3f} to {r['high']:+.3f})" for r in (x["rise"] for x in run["rises"])
        ]
        gates = [_spread([gate[key] for gate in run["gates"]]) for key in ("rank_correlation", "falling")]
        spaces = [_spread([space[key] for space in run["spaces"]]) for key in ("mean", "invariant_mean")]
        lines.append(_row(run["name"], str(len(run["seeds"])), f"{run['error']:.3f}", *rises, *gates, *spaces))
    lines += [
        "",
        f"Gaussian noise on the {stream} stream of the {split} split, in standard deviations of its columns: rise of "
        "the error (mean absolute error; of classes, the share that is wrong) with its 95% interval over utterances "
        "and seeds. Gate response: Spearman's correlation between strength and the stream's weight over all rows; "
        "below 0 the model turns away from noise. Rows that turn away: the share whose weight is lower under the "
        "strongest noise than without. PSC: prediction-space correlation; lower is better. All of these mean ± "
        "deviation over seeds.",
    ]
    return "\n".join(lines)


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None and value == value]
    if not known:
        return "-"
    mean = sum(known) / len(known)
    deviation = (sum((value - mean) ** 2 for value in known) / len(known)) ** 0.5
    return f"{mean:.3f} ± {deviation:.3f}"


def sweep_table(sweep: dict[str, Any]) -> str:
    """Return what `hf-msa sweep` wrote as a table, a row per combination, the best by validation in bold.

    Args:
        sweep: Its object.
    """
    runs, metric, corpus = sweep["runs"], sweep["metric"], sweep["corpus"]
    keys = list(runs[0]["set"])
    test = [key for key in _COLUMNS if key in runs[0]["test"]]
    headings = [*(f"`{key}`" for key in keys), "seeds", "trainable", f"valid {_COLUMNS.get(metric, metric)}"]
    lines = [_row(*headings, *(f"test {_COLUMNS[key]}" for key in test))]
    lines.append(_row(*["---"] * (len(headings) + len(test))))
    for run in runs:
        cells = [json.dumps(run["set"][key], ensure_ascii=False) for key in keys]
        cells += [
            str(len(run["seeds"])),
            f"{run['trainable_parameters']:,}",
            _mean_and_std(run["valid"][metric], len(run["seeds"])),
        ]
        if run["name"] == sweep["best"]:
            cells = [f"**{cell}**" for cell in cells]
        lines.append(_row(*cells, *(_mean_and_std(run["test"][key], len(run["seeds"])) for key in test)))
    lines += [
        "",
        f"`{sweep['command']}` on `{corpus['name']}`, SHA-256 `{corpus['sha256'][:16]}`; mean ± deviation over seeds. "
        "In bold the best on the validation split; the test split chose nothing.",
    ]
    return "\n".join(lines)


def _mean_and_std(value: Mapping[str, float | None], num_seeds: int) -> str:
    mean, std = value["mean"], value["std"]
    if mean is None or mean != mean:
        return "-"
    return f"{mean:.3f}" if num_seeds == 1 else f"{mean:.3f} ± {std or 0.0:.3f}"


def tried_table(tried: Sequence[dict[str, Any]]) -> str:
    """Return the configurations that were tried, in their order.

    Args:
        tried: Objects with `name`, `set` (what differs from the first), `seeds` and `valid_mae`.
    """
    lines = [_row("tried", "what was set", "seeds", "valid MAE"), _row(*["---"] * 4)]
    for entry in tried:
        settings = f"`{entry['set']}`" if entry["set"] else "-"
        seeds = ", ".join(map(str, entry["seeds"]))
        lines.append(_row(entry["name"], settings, seeds, f"{entry['valid_mae']:.3f}"))
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _provenance(run: Results) -> str:
    machine, seeds = run.machine, ", ".join(map(str, run.seeds))
    device = machine["accelerator"] or f"{machine['processor']}, {machine['cores']} cores"
    return (
        f"- {run.name}: `{run.command}`; {run.model['text_model']}, {run.model['trainable_parameters']:,} trainable "
        f"parameters, seeds {seeds}; {_duration(run.seconds)} on {device}, "
        f"torch {run.versions['torch']}, transformers {run.versions['transformers']}"
    )


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MsaError(f"{file}: expected JSON that hf-msa wrote, got {error}") from error


__all__ = [
    "checkpoint_table",
    "comparison_table",
    "fill_card",
    "results_table",
    "robustness_table",
    "sweep_table",
    "tried_table",
]
