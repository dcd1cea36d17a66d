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

from transformers import AutoProcessor

from hf_msa.errors import MsaError, PublishError
from hf_msa.evaluation.results import RESULTS_FILE
from hf_msa.pretrained.checkpoint import load_checkpoint, read_config
from hf_msa.training.adapters import is_adapter, merge_adapter

from .card_check import card_problems, number_problems
from .card_facts import CardFacts, text_model_repository
from .card_metadata import evaluation_file
from .checks import file_problems, fresh_weight_problems, index_problems, weight_problems
from .fresh_process_check import reload_problems
from .model_card import make_card
from .run_results import foreign_results, read_run
from .sending import Destination, send_folder
from .terms import choose_license, license_file, license_problems, terms_of

MAX_SHARD_SIZE = "5GB"
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True)
class Publication:
    """What was published, or would be.

    Args:
        repo_id: The repository.
        files: Size in bytes by name.
        card: Text of the card.
        url: Address of the commit or pull request; None after a dry run.
        commit: Hash of the commit, which `revision=` pins; None after a dry run.
        is_new: Whether a commit was made; False after a dry run, and where the repository had every file already.
        removed: Files of an older push that were taken away, pickled weights among them.
        pickles: Pickles that stay in the repository, under names that nothing loads by itself.
    """

    repo_id: str
    files: dict[str, int]
    card: str
    url: str | None = None
    commit: str | None = None
    is_new: bool = False
    removed: tuple[str, ...] = ()
    pickles: tuple[str, ...] = ()


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
    license: str | None = None,
    dataset: str | None = None,
    card: str | None = None,
    max_shard_size: str = MAX_SHARD_SIZE,
) -> Publication:
    """Check a checkpoint and send it to the Hub; nothing is sent when something is wrong.

    Args:
        checkpoint: A folder with model and processor, of a run of `hf-msa train`, or an adapter.
        repo_id: "user/name"; made where it does not exist.
        private: Whether others may not see it.
        revision: Branch; None is main.
        tag: Name for what is sent.
        create_pr: Ask for the change instead of making it.
        adapter_only: Send LoRA and the fusion alone, of a folder that `save_adapter` wrote; else they are merged into
            the text model, and all of it is sent.
        dry_run: Check all the same, but send nothing; needs no network.
        license: License of the weights, as the Hub spells it; None takes that of the corpus.
        dataset: Repository of the corpus on the Hub, where the results may be shown too.
        card: Text in place of the one that is written from results; its numbers must be theirs, see `card_check`.
        max_shard_size: Weights are split above it.

    Raises:
        PublishError: With everything that is wrong.
        MsaError: For a folder that is no checkpoint, a repository's name that cannot be, or as `send_folder`.
        OSError: As `send_folder`.
    """
    checkpoint = Path(checkpoint)
    to = Destination(repo_id, private=private, revision=revision, tag=tag, create_pr=create_pr)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = scratch / to.name
        results = read_run(checkpoint)
        model = None
        if adapter_only:
            config, processor = _save_adapter(checkpoint, folder)
        else:
            merged = merge_adapter(checkpoint, scratch / "merged") if is_adapter(checkpoint) else checkpoint
            model, processor = _save_merged(merged, folder, max_shard_size)
            config = model.config
        terms = terms_of(results.corpus["name"]) if results else []
        facts = CardFacts(
            repo_id=repo_id,
            config=config,
            processor=processor,
            license=choose_license(terms, license),
            terms=terms,
            results=results,
            revision=tag or revision or "main",
            is_adapter=adapter_only,
            dataset=dataset,
        )
        problems = [*foreign_results(results, config, checkpoint), *license_problems(facts.license, terms)]
        if card is None:
            text = make_card(facts)
        else:
            text = card
            problems += number_problems(card, _known_numbers(facts))
        _write_texts(folder, facts, text)
        if results is not None:
            shutil.copyfile(checkpoint / RESULTS_FILE, folder / RESULTS_FILE)
        problems += [
            *weight_problems(folder),
            *file_problems(folder, [checkpoint.resolve(), scratch]),
            *card_problems(text),
        ]
        if not problems and model is not None:  # the one that takes long
            problems = reload_problems(folder, model, processor)
        if problems:
            raise PublishError(problems)
        return send_or_list(folder, to, text, dry_run)


def send_or_list(folder: Path, to: Destination, card: str, dry_run: bool) -> Publication:
    """Send a folder whose checks are done, or only say what would be sent.

    Args:
        folder: Folder with the files.
        to: Where they go.
        card: Text of its README.md.
        dry_run: Send nothing.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    if dry_run:
        return Publication(to.repo_id, files, card)
    sent = send_folder(folder, to, f"Publish {to.name} with hf_msa")
    return Publication(
        to.repo_id,
        files,
        card,
        url=sent.url,
        commit=sent.commit,
        is_new=sent.is_new,
        removed=sent.removed,
        pickles=sent.pickles,
    )


def _save_merged(checkpoint: Path, folder: Path, max_shard_size: str) -> tuple[Any, Any]:
    """Load a checkpoint, write model and processor into the folder that goes out, and return them."""
    if not (checkpoint / "config.json").is_file():
        raise MsaError(f"checkpoint: expected a folder with config.json, weights and processor, got {checkpoint}")
    if not any(checkpoint.glob("*.safetensors")):
        raise MsaError(f"checkpoint: expected weights as *.safetensors, got none in {checkpoint}")
    _check_processor(checkpoint)
    if problems := index_problems(checkpoint):
        raise PublishError(problems)
    model, processor = load_checkpoint(str(checkpoint))
    if not model.config.has_text_model:
        raise MsaError(f"checkpoint: expected a model that reads text, got {model.config.model_type}, a part of one")
    _forget_folders(model.config)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    processor.save_pretrained(folder)
    if problems := fresh_weight_problems(checkpoint, folder):
        raise PublishError(problems)
    return model, processor


def _check_processor(checkpoint: Path) -> None:
    if not (checkpoint / "processor_config.json").is_file():
        raise MsaError(
            f"checkpoint: expected processor_config.json in {checkpoint}, got none; write it with "
            "processor.save_pretrained"
        )


def _save_adapter(checkpoint: Path, folder: Path) -> tuple[Any, Any]:
    """Write an adapter into the folder that goes out, without loading it, and return configuration and processor."""
    if not all((checkpoint / name).is_file() for name in ("config.json", *_ADAPTER_FILES)):
        raise MsaError(f"checkpoint: expected an adapter that save_adapter wrote, got {checkpoint}")
    _check_processor(checkpoint)
    config = read_config(str(checkpoint))
    if text_model_repository(config) is None:
        raise MsaError(
            "text_model_name_or_path: expected a repository from which others get the text model, got "
            f"{config.text_model_name_or_path!r}"
        )
    processor = AutoProcessor.from_pretrained(checkpoint, trust_remote_code=False)
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    for name in _ADAPTER_FILES:
        shutil.copyfile(checkpoint / name, folder / name)
    return config, processor


def _forget_folders(config: Any) -> None:
    """Take the folders of this machine out of a configuration; its text model was loaded from one, perhaps."""
    if text_model_repository(config) is None:
        config.text_model_name_or_path = None


def _write_texts(folder: Path, facts: CardFacts, card: str) -> None:
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "LICENSE").write_text(license_file(facts.license, facts.terms), encoding="utf-8")
    if (content := evaluation_file(facts)) is not None:
        (folder / ".eval_results").mkdir()
        (folder / ".eval_results" / "hf_msa.yaml").write_text(content, encoding="utf-8")


def _known_numbers(facts: CardFacts) -> list[dict[str, Any]]:
    """Return where a number in a card of somebody's hand may come from."""
    run = [] if facts.results is None else [asdict(facts.results), facts.results.summary()]
    reported = facts.config.paper.results if facts.config.paper else ()
    return [*run, *(entry.metrics for entry in reported)]


__all__ = ["MAX_SHARD_SIZE", "Publication", "PublishError", "publish", "send_or_list"]
