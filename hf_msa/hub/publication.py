"""Publish a checkpoint: make a whole repository of it, check it as a user would meet it, send it in one commit.

    config.json, *.safetensors, *.py       the model with the code that it needs, sharded above a size
    processor_config.json, tokenizer...    the processor
    README.md, LICENSE                     the card, and under which terms
    results.json                           every metric of every seed, where it was measured

Of a run of `hf-msa train` only the best seed's checkpoint goes out: `seeds/` are other models, and
`predictions.parquet` holds labels of the corpus, whose terms may forbid that.
"""

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, AutoConfig, AutoProcessor

from hf_msa.errors import MsaError, PublishError
from hf_msa.evaluation.results import RESULTS_FILE, Results, read_results
from hf_msa.pretrained.checkpoint import check_model_type, load_checkpoint

from .checks import (
    card_problems,
    file_problems,
    fresh_weight_problems,
    index_problems,
    reload_problems,
    weight_problems,
)
from .model_card import TEMPLATE, CardFacts, describe_model, evaluation_file, make_card
from .papers import PAPERS
from .sending import Destination, send_folder
from .terms import choose_licence, licence_file, licence_problems, terms_of

MAX_SHARD_SIZE = "5GB"
_ADAPTER_CONFIG, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True)
class Publication:
    """What was published, or would be.

    Args:
        repo_id: The repository.
        files: Size in bytes by name.
        card: Text of the card.
        url: Of the commit or pull request; None after a dry run.
        commit: Its hash, which `revision=` pins; None after a dry run.
        is_new: Whether a commit was made; False after a dry run, and where the repository had every file already.
    """

    repo_id: str
    files: dict[str, int]
    card: str
    url: str | None = None
    commit: str | None = None
    is_new: bool = False


def publish(
    checkpoint: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    create_pr: bool = False,
    adapter_only: bool = False,
    dry_run: bool = False,
    licence: str | None = None,
    dataset: str | None = None,
    card: str | None = None,
    max_shard_size: str = MAX_SHARD_SIZE,
) -> Publication:
    """Check a checkpoint and send it to the Hub; nothing is sent when something is wrong.

    Args:
        checkpoint: A folder with model and processor, or of a run of `hf-msa train`.
        repo_id: "user/name"; made where it does not exist.
        private: Whether others may not see it.
        revision: Branch; None is main.
        tag: Name for what is sent.
        create_pr: Ask for the change instead of making it.
        adapter_only: Send LoRA and the fusion alone, of a folder that `save_adapter` wrote.
        dry_run: Check all the same, but send nothing; needs no network.
        licence: Of the weights, as the Hub calls it; None takes that of the corpus.
        dataset: Repository of the corpus on the Hub, where the results may be shown too.
        card: Text in place of the one that is written from results.
        max_shard_size: Weights are split above it.

    Raises:
        PublishError: With everything that is wrong.
        MsaError: For a folder that is no checkpoint, a repository's name that cannot be, or as `send_folder`.
        OSError: As `send_folder`.
    """
    checkpoint = Path(checkpoint)
    to = Destination(repo_id, private=private, revision=revision, tag=tag, create_pr=create_pr)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / to.name
        saved = _save_adapter(checkpoint, folder) if adapter_only else _save_merged(checkpoint, folder, max_shard_size)
        results = _copy_results(checkpoint, folder)
        terms = terms_of(results.corpus["name"]) if results else []
        facts = CardFacts(
            repo_id=repo_id,
            model_class=saved.model_class,
            config=saved.config,
            alignment=saved.processor.alignment,
            streams=saved.processor.streams,
            licence=choose_licence(terms, licence),
            terms=terms,
            results=results,
            tag=tag or revision,
            is_adapter=adapter_only,
            dataset=dataset,
        )
        text = make_card(facts) if card is None else card
        _write_texts(folder, facts, text)
        problems = [
            *_foreign_results(results, saved.config),
            *licence_problems(facts.licence, terms),
            *weight_problems(folder),
            *file_problems(folder, [checkpoint.resolve(), Path(place)]),
            *card_problems(text, _sources(facts), _written_once(facts)),
        ]
        if not problems and saved.model is not None:  # the one that takes long
            problems = reload_problems(folder, saved.model, saved.processor)
        if problems:
            raise PublishError(problems)
        return send_or_list(folder, to, text, dry_run)


def send_or_list(folder: Path, to: Destination, card: str, dry_run: bool) -> Publication:
    """Send a folder whose checks are done, or only say what would be sent.

    Args:
        folder: Its files.
        to: Where.
        card: Its README.md.
        dry_run: Send nothing.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    if dry_run:
        return Publication(to.repo_id, files, card)
    sent = send_folder(folder, to, f"Publish {to.name} with hf_msa")
    return Publication(to.repo_id, files, card, sent.url, sent.commit, sent.is_new)


@dataclass(frozen=True)
class _Saved:
    """What was written into the folder that goes out; an adapter is not loaded, so it has no model."""

    config: Any
    model_class: type
    processor: Any
    model: Any = None


def _save_merged(checkpoint: Path, folder: Path, max_shard_size: str) -> _Saved:
    if not (checkpoint / "config.json").is_file():
        raise MsaError(f"checkpoint: expected a folder with config.json, weights and processor, got {checkpoint}")
    if (checkpoint / _ADAPTER_CONFIG).is_file():
        raise MsaError(
            f"checkpoint: expected merged weights, got an adapter in {checkpoint}; merge it, or adapter_only"
        )
    if not any(checkpoint.glob("*.safetensors")):
        raise MsaError(f"checkpoint: expected weights as *.safetensors, got none in {checkpoint}")
    _check_processor(checkpoint)
    if problems := index_problems(checkpoint):
        raise PublishError(problems)
    model, processor = load_checkpoint(str(checkpoint))
    if model.config.model_type not in PAPERS:
        raise MsaError(f"checkpoint: expected one of {', '.join(PAPERS)}, got one of {model.config.model_type}")
    _forget_folders(model.config)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    processor.save_pretrained(folder)
    if problems := fresh_weight_problems(checkpoint, folder):
        raise PublishError(problems)
    return _Saved(model.config, type(model), processor, model)


def _check_processor(checkpoint: Path) -> None:
    if not (checkpoint / "processor_config.json").is_file():
        raise MsaError(
            f"checkpoint: expected processor_config.json in {checkpoint}, got none; write it with "
            "processor.save_pretrained"
        )


def _save_adapter(checkpoint: Path, folder: Path) -> _Saved:
    if not all((checkpoint / name).is_file() for name in ("config.json", _ADAPTER_CONFIG, _ADAPTER_WEIGHTS)):
        raise MsaError(f"checkpoint: expected an adapter that save_adapter wrote, got {checkpoint}")
    _check_processor(checkpoint)
    config = AutoConfig.from_pretrained(checkpoint)
    check_model_type(config, str(checkpoint))
    if CardFacts.repository_of(config) is None:
        raise MsaError(
            "text_model_name_or_path: expected a repository from which others get the text model, got "
            f"{config.text_model_name_or_path!r}"
        )
    _forget_folders(config)
    processor = AutoProcessor.from_pretrained(checkpoint)
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    for name in (_ADAPTER_CONFIG, _ADAPTER_WEIGHTS):
        shutil.copyfile(checkpoint / name, folder / name)
    return _Saved(config, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)], processor)


def _forget_folders(config: Any) -> None:
    """Take the folders of this machine out of a configuration; its text model was loaded from one, perhaps."""
    if CardFacts.repository_of(config) is None:
        config.text_model_name_or_path = None


def _copy_results(checkpoint: Path, folder: Path) -> Results | None:
    if not (checkpoint / RESULTS_FILE).is_file():
        return None
    shutil.copyfile(checkpoint / RESULTS_FILE, folder / RESULTS_FILE)
    results = read_results(folder)
    if missing := _missing_results(results):
        raise MsaError(f"{RESULTS_FILE}: expected what hf-msa train wrote, got one without {missing}")
    return results


def _missing_results(results: Results) -> str | None:
    """Return what a card needs of results and does not find; they may have been changed by hand."""
    needed = {
        "recipe": ("model_type",),
        "corpus": ("name", "sha256", "rows"),
        "model": ("text_model", "trainable_parameters"),
        "versions": ("torch", "transformers"),
        "machine": ("accelerator", "processor", "cores"),
    }
    for name, keys in needed.items():
        value = vars(results)[name]
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                return f"{name}.{key}"
    if results.best_seed not in results.seeds:
        return f"a run of the best seed, {results.best_seed}"
    if "test" not in results.corpus["rows"] or not all("test" in run.metrics for run in results.runs):
        return "a test split"
    return None


def _foreign_results(results: Results | None, config: Any) -> list[str]:
    found = config.model_type if results is None else results.recipe["model_type"]
    if found == config.model_type:
        return []
    return [f"{RESULTS_FILE}: expected a run of {config.model_type}, got one of {found}"]


def _write_texts(folder: Path, facts: CardFacts, card: str) -> None:
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "LICENSE").write_text(licence_file(facts.licence, facts.terms), encoding="utf-8")
    if (content := evaluation_file(facts)) is not None:
        (folder / ".eval_results").mkdir()
        (folder / ".eval_results" / "hf_msa.yaml").write_text(content, encoding="utf-8")


def _sources(facts: CardFacts) -> list[Any]:
    """Return where a number in a card may come from."""
    results = [] if facts.results is None else [asdict(facts.results), facts.results.summary()]
    return [*results, facts.config.to_dict(), [entry.metrics for entry in PAPERS[facts.config.model_type].results]]


def _written_once(facts: CardFacts) -> list[str]:
    """Return the texts that all cards of a model share, and names."""
    paper = PAPERS[facts.config.model_type]
    shared = [TEMPLATE.read_text(encoding="utf-8"), *describe_model(facts.model_class).values(), paper.citation]
    named = [facts.repo_id, facts.licence, facts.tag or "", facts.dataset or "", CardFacts.repository_of(facts.config)]
    return [*shared, *(entry.setting for entry in paper.results), *(x.text for x in facts.terms), *filter(None, named)]


__all__ = ["MAX_SHARD_SIZE", "Publication", "PublishError", "publish", "send_or_list"]
