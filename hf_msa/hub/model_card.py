"""The card of a published checkpoint, written from its configuration and results; no number in it is typed by hand.

Diagram and differences from the paper are those of the model's own file, so that they cannot grow apart.
"""

import inspect
import math
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from hf_msa.evaluation.results import Results, SeedResult, checkpoint_table
from hf_msa.pretrained.checkpoint import names_folder

from .papers import PAPERS
from .terms import Terms

TEMPLATE = Path(__file__).with_name("card_template.md")
TASK = "multimodal-sentiment-analysis"
# Our metrics under the names that the Hub knows.
_METRIC_TYPES = {"mae": "mae", "corr": "pearsonr", "acc": "accuracy", "accuracy": "accuracy", "f1": "f1"}


@dataclass(frozen=True)
class CardFacts:
    """What a card is written from.

    Args:
        repo_id: Where the checkpoint goes.
        model_class: Of the checkpoint.
        config: Of the checkpoint.
        alignment: Of its processor.
        streams: Of its processor.
        licence: Of the weights.
        terms: Of what it was trained on.
        results: Of its run; None when it was not measured.
        tag: The revision that the card loads, a tag or branch; None is main.
        is_adapter: Whether only LoRA and the fusion are there.
        dataset: Repository of the corpus on the Hub, if there is one.
    """

    repo_id: str
    model_class: type
    config: Any
    alignment: str
    streams: list[str]
    licence: str
    terms: list[Terms]
    results: Results | None = None
    tag: str | None = None
    is_adapter: bool = False
    dataset: str | None = None

    @property
    def name(self) -> str:
        """Of the repository, without its owner."""
        return self.repo_id.rsplit("/", 1)[-1]

    @staticmethod
    def repository_of(config: Any) -> str | None:
        """Return the repository of a configuration's text model; None for a folder, or where none is recorded."""
        name = config.text_model_name_or_path
        is_name = name and re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name)
        return name if is_name and not names_folder(name) and not Path(name).is_dir() else None


def make_card(facts: CardFacts) -> str:
    """Return a card: metadata, then the filled template.

    Args:
        facts: What it says.
    """
    described = describe_model(facts.model_class)
    paper = PAPERS[facts.config.model_type]
    values = described | {
        "name": facts.name,
        "arxiv": paper.arxiv,
        "citation": paper.citation,
        "needs": _needs(facts),
        "inputs": _inputs(facts.config),
        "alignment": _alignment(facts.alignment, facts.streams),
        "use": _use(facts),
        "pin_note": (
            "Pin `revision=` to a commit that you have looked at: `trust_remote_code=True` runs the code of the "
            "repository. Branches and tags can be moved."
        ),
        "results": _results(facts),
        "data": _data(facts),
    }
    body = re.sub(r"\{\{ (\w+) \}\}", lambda place: values[place[1]], TEMPLATE.read_text(encoding="utf-8"))
    return f"---\n{card_data(facts).to_yaml()}\n---\n\n{body}"


def card_data(facts: CardFacts) -> ModelCardData:
    """Return the metadata that stands on top of a card.

    Args:
        facts: What it says.
    """
    data: dict[str, Any] = {
        "license": facts.licence,
        "library_name": "peft" if facts.is_adapter else "transformers",
        "tags": [TASK, "sentiment-analysis", "multimodal", facts.config.model_type, "hf_msa"],
        "language": sorted({entry.language for entry in facts.terms if entry.language}) or None,
        "base_model": CardFacts.repository_of(facts.config),
        "datasets": [facts.dataset] if facts.dataset else None,
    }
    if facts.licence == "other":
        data |= {"license_name": "terms-of-the-corpus", "license_link": "LICENSE"}
    if facts.results is not None:
        data |= {
            "model_name": facts.name,
            "metrics": sorted({_metric_type(key) for key, _ in measured(facts.results)}),
            "eval_results": [
                EvalResult(
                    task_type=TASK,
                    task_name="Multimodal sentiment analysis",
                    dataset_type=facts.dataset or "corpus",
                    dataset_name=facts.results.corpus["name"],
                    dataset_split="test",
                    metric_type=_metric_type(key),
                    metric_name=key,
                    metric_value=value,
                )
                for key, value in measured(facts.results)
            ],
        }
    return ModelCardData(**{key: value for key, value in data.items() if value is not None})


def evaluation_file(facts: CardFacts) -> str | None:
    """Return what the Hub reads as evaluation results of a benchmark data set; None without one.

    Args:
        facts: The data set and what was measured on it.
    """
    if facts.dataset is None or facts.results is None:
        return None
    entries = [
        EvalResultEntry(dataset_id=facts.dataset, task_id=key, value=value) for key, value in measured(facts.results)
    ]
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False)


def measured(results: Results) -> list[tuple[str, float]]:
    """Return the test metrics of the published seed that are finite numbers.

    Args:
        results: Of the run.
    """
    own = published_seed(results).metrics["test"]
    return [
        (key, float(value)) for key, value in own.items() if isinstance(value, (int, float)) and math.isfinite(value)
    ]


def published_seed(results: Results) -> SeedResult:
    """Return the seed whose checkpoint lies on top of a run's folder.

    Args:
        results: Of the run.
    """
    return next(seed for seed in results.runs if seed.seed == results.best_seed)


def describe_model(model_class: type) -> dict[str, str]:
    """Return summary, introduction, diagram and differences from the paper, out of the docstring of the model's file.

    Args:
        model_class: A model of this package.
    """
    text = inspect.cleandoc(sys.modules[model_class.__module__].__doc__ or "")
    parts = re.split(r"\n\s*\n", text)
    drawn = [i for i, part in enumerate(parts) if all(line.startswith("  ") for line in part.splitlines())]
    first, last = drawn[0], drawn[-1]
    diagram = "\n\n".join(parts[first : last + 1])
    differences = [part for part in parts[last + 1 :] if not part.startswith(("Shapes:", "The layers are in"))]
    summary = parts[0].split(": ", 1)[1]
    return {
        "summary": f"{summary[0].upper()}{summary[1:]}",
        "diagram": textwrap.dedent(diagram),
        "introduction": "\n\n".join(parts[1:first]),
        "differences": "\n\n".join(differences),
    }


def _needs(facts: CardFacts) -> str:
    if not facts.is_adapter:
        return "Made with hf_msa, which is not needed to use it: torch and transformers are enough."
    return (
        "**An adapter**: LoRA and the fusion modules alone, in PEFT's format. It needs `peft` and `hf_msa`, and the "
        "text model, which it loads from its own repository."
    )


def _inputs(config: Any) -> str:
    def stream(name: str, dim: int, features: dict | None) -> str:
        what = (features or {}).get("name") or f"{name} features"
        return (
            f"| `{name}_values` | (B, frames, {dim}) | {what}, normalised by the processor | `{name}_attention_mask` |"
        )

    lines = [
        "| tensor | shape | what | mask |",
        "|---|---|---|---|",
        "| `input_ids` | (B, L) | tokens of the text model | `attention_mask` |",
        stream("audio", config.audio_dim, config.audio_features),
        stream("visual", config.visual_dim, config.visual_features),
    ]
    return "\n".join(lines)


def _alignment(alignment: str, streams: list[str]) -> str:
    if len(streams) < 3:
        return f"It was trained with {' and '.join(streams)} alone, and its processor takes nothing else."
    if alignment == "word":
        return "Streams are aligned to words: each token gets the mean of the frames spoken with its word."
    return "Streams keep their own time axis."


def _use(facts: CardFacts) -> str:
    revision = facts.tag or "main"
    if facts.is_adapter:
        processor = facts.model_class.__name__.replace("ForSequenceClassification", "Processor")
        code = (
            f"from hf_msa import {processor}, load_adapter\n\n"
            f'model = load_adapter("{facts.repo_id}", revision="{revision}")\n'
            f'processor = {processor}.from_pretrained("{facts.repo_id}", revision="{revision}")\n'
            'print(model(**processor(text=["i loved it"])).logits)'
        )
        return f"```python\n{code}\n```"
    code = (
        "from transformers import pipeline\n\n"
        f'pipe = pipeline("{TASK}", model="{facts.repo_id}", revision="{revision}", trust_remote_code=True)\n'
        'print(pipe({"text": "i loved it"}))'
    )
    return f"```python\n{code}\n```"


def _results(facts: CardFacts) -> str:
    if facts.results is None:
        return "Not measured: the checkpoint came without a `results.json`."
    paper = PAPERS[facts.config.model_type]
    words = re.split(r"[^a-z0-9]+", facts.results.corpus["name"].lower())
    # A corpus put together from others is none of theirs, whatever its name holds.
    rows = [] if "composite" in words else [entry for entry in paper.results if entry.corpus in words]
    lines = [checkpoint_table(facts.results, rows)]
    if rows:
        lines.append("The paper's numbers are comparable only with its text model, features and splits.")
    lines.append("All of it, with recipe, versions and every seed, is in `results.json`.")
    return "\n\n".join(lines)


def _data(facts: CardFacts) -> str:
    if facts.results is None and not facts.terms:
        return "What it was trained on is not recorded."
    lines = []
    if facts.results is not None:
        rows = facts.results.corpus["rows"]
        sizes = ", ".join(f"{rows[split]} {split}" for split in rows)
        lines.append(
            f"Trained on `{facts.results.corpus['name']}`: {sizes} utterances; streams: {', '.join(facts.streams)}."
        )
    lines += [f"{entry.corpus}: {entry.text}" for entry in facts.terms]
    if not facts.terms:
        lines.append("Its terms are not known to hf_msa; whoever published this answers for them.")
    lines.append("The corpus is not part of this repository. The weights inherit its terms and the text model's.")
    return "\n\n".join(lines)


def _metric_type(key: str) -> str:
    return _METRIC_TYPES.get(key) or _METRIC_TYPES.get(key.split("_")[0], key)


__all__ = [
    "CardFacts",
    "card_data",
    "describe_model",
    "evaluation_file",
    "make_card",
    "measured",
    "published_seed",
]
