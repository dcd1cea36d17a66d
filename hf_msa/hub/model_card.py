"""The card of a published checkpoint, written from its configuration and results; no number in it is typed by hand."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hf_msa.evaluation.results import checkpoint_table

from .card_facts import CardFacts
from .card_metadata import TASK, card_data
from .citation import cite
from .model_docstring import describe_model

_TEMPLATE = Path(__file__).with_name("card_template.md")


def make_card(facts: CardFacts) -> str:
    """Return a card: metadata, then the filled template.

    Args:
        facts: What it says.
    """
    description = describe_model(facts.model_class)
    values = asdict(description) | {
        "name": facts.name,
        "diagram": description.diagram and f"```\n{description.diagram}\n```",
        "needs": _needs(facts),
        "inputs": _inputs(facts.config),
        "alignment": _alignment(facts.processor.alignment, facts.processor.streams),
        "use": _use(facts),
        "pin_note": (
            "Pin `revision=` to a commit that you have looked at: `trust_remote_code=True` runs the code of the "
            "repository. Branches and tags can be moved."
        ),
        "results": _results(facts),
        "data": _data(facts),
        "citation": cite(facts.config.paper),
    }
    body = re.sub(r"\{\{ (\w+) \}\}", lambda name: values[name[1]], _TEMPLATE.read_text(encoding="utf-8"))
    body = re.sub(r"^## .*\n+(?=## )", "", body, flags=re.MULTILINE)  # a heading with nothing beneath
    body = re.sub(r"\n{3,}", "\n\n", body)
    return f"---\n{card_data(facts).to_yaml()}\n---\n\n{body}"


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
    if facts.is_adapter:
        processor = type(facts.processor).__name__
        code = (
            f"from hf_msa import {processor}, load_adapter\n\n"
            f'model = load_adapter("{facts.repo_id}", revision="{facts.revision}")\n'
            f'processor = {processor}.from_pretrained("{facts.repo_id}", revision="{facts.revision}")\n'
            'print(model(**processor(text=["i loved it"])).logits)'
        )
        return f"```python\n{code}\n```"
    code = (
        "from transformers import pipeline\n\n"
        f'pipe = pipeline("{TASK}", model="{facts.repo_id}", revision="{facts.revision}", trust_remote_code=True)\n'
        'print(pipe({"text": "i loved it"}))'
    )
    return f"```python\n{code}\n```"


def _results(facts: CardFacts) -> str:
    if facts.results is None:
        return "Not measured: the checkpoint came without a `results.json`."
    reported = facts.config.paper.results if facts.config.paper else ()
    words = re.split(r"[^a-z0-9]+", facts.results.corpus["name"].lower())
    # A corpus put together from others is none of theirs, whatever its name holds.
    rows = [] if "composite" in words else [entry for entry in reported if entry.corpus in words]
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
        corpus, streams = facts.results.corpus, ", ".join(facts.processor.streams)
        sizes = ", ".join(f"{rows} {split}" for split, rows in corpus["rows"].items())
        lines.append(f"Trained on `{corpus['name']}`: {sizes} utterances; streams: {streams}.")
    lines += [f"{entry.corpus}: {entry.text}" for entry in facts.terms]
    if not facts.terms:
        lines.append("Its terms are not known to hf_msa; whoever published this answers for them.")
    lines.append("The corpus is not part of this repository. The weights inherit its terms and the text model's.")
    return "\n\n".join(lines)


__all__ = ["make_card"]
