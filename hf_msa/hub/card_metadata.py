"""What the Hub reads of a published checkpoint: the metadata on top of the card, and its evaluation results."""

import math
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from hf_msa.evaluation.results import Results

from .card_facts import CardFacts, text_model_repository

TASK = "multimodal-sentiment-analysis"
# Our metrics under the names that the Hub knows.
_METRIC_TYPES = {"mae": "mae", "corr": "pearsonr", "acc": "accuracy", "accuracy": "accuracy", "f1": "f1"}


def card_data(facts: CardFacts) -> ModelCardData:
    """Return the metadata that stands on top of a card.

    Args:
        facts: What it says.
    """
    data: dict[str, Any] = {
        "license": facts.license,
        "library_name": "peft" if facts.is_adapter else "transformers",
        "tags": [TASK, "sentiment-analysis", "multimodal", facts.config.model_type, "hf_msa"],
        "language": sorted({entry.language for entry in facts.terms if entry.language}) or None,
        "base_model": text_model_repository(facts.config),
        "datasets": [facts.dataset] if facts.dataset else None,
    }
    if facts.license == "other":
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
        results: Results of the run.
    """
    published = next(seed for seed in results.runs if seed.seed == results.best_seed)
    metrics = published.metrics["test"].items()
    return [(key, float(value)) for key, value in metrics if isinstance(value, (int, float)) and math.isfinite(value)]


def _metric_type(key: str) -> str:
    return _METRIC_TYPES.get(key) or _METRIC_TYPES.get(key.split("_")[0], key)


__all__ = ["TASK", "card_data", "evaluation_file", "measured"]
