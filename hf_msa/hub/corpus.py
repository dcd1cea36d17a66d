"""Publish a converted corpus: Parquet with a card that states its terms.

A corpus whose terms are known to forbid it goes out public only when the user confirms to have the rights.
"""

import shutil
import tempfile
from pathlib import Path

import yaml

from hf_msa.data import load_corpus
from hf_msa.models.streams_msa import FRAME_STREAMS

from .checks import file_problems
from .publication import Publication, PublishError, send_or_list
from .sending import Destination
from .terms import Terms, choose_license, license_problems, terms_of


def publish_corpus(
    folder: str | Path,
    repo_id: str,
    corpus: str | None = None,
    *,
    private: bool = True,
    rights_confirmed: bool = False,
    license: str | None = None,
    tag: str | None = None,
    dry_run: bool = False,
) -> Publication:
    """Check a folder that `hf-msa convert` wrote and send it to the Hub as a data set.

    Args:
        folder: Folder of Parquet files.
        repo_id: "user/name"; made where it does not exist.
        corpus: Which one it is, or is made from, for its terms: mosi, mosei, sims, ravdess, ...; None takes the
            folder's name.
        private: Whether others may not see it.
        rights_confirmed: Whether the user has the rights to pass the corpus on.
        license: License of the data set, as the Hub spells it; None takes that of the corpus.
        tag: Name for what is sent.
        dry_run: Check all the same, but send nothing.

    Raises:
        PublishError: With everything that is wrong.
        MsaError: For a folder that is no corpus, and as `send_folder`.
        OSError: As `send_folder`.
    """
    folder = Path(folder)
    to = Destination(repo_id, "dataset", private=private, tag=tag)
    terms = terms_of(corpus or folder.name)
    license = choose_license(terms, license)
    problems = license_problems(license, terms)
    restricted = [entry.corpus for entry in terms if entry.is_restricted]
    if not private and (restricted or not terms) and not rights_confirmed:
        named = " and ".join(restricted) or str(folder)
        problems.append(f"rights: expected a private repository, or your word that you may pass on {named}")
    splits = load_corpus(folder)
    sizes = {name: len(rows) for name, rows in splits.items()}
    columns = {stream: splits["train"].features[stream].shape[1] for stream in FRAME_STREAMS}
    with tempfile.TemporaryDirectory() as scratch:
        staged = Path(scratch) / to.name
        staged.mkdir()
        for file in sorted([*folder.glob("*.parquet"), *folder.glob("corpus.json")]):
            shutil.copyfile(file, staged / file.name)
        card = _card(to.name, license, terms, sizes, columns)
        (staged / "README.md").write_text(card, encoding="utf-8")
        problems += file_problems(staged, [folder.resolve()])
        if problems:
            raise PublishError(problems)
        return send_or_list(staged, to, card, dry_run)


def _card(name: str, license: str, terms: list[Terms], sizes: dict[str, int], columns: dict[str, int]) -> str:
    metadata = {
        "license": license,
        "pretty_name": name,
        "language": sorted({entry.language for entry in terms if entry.language}),
        "tags": ["multimodal", "sentiment-analysis", "hf_msa"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}*.parquet"} for split in sizes],
            }
        ],
    }
    if license == "other":
        metadata |= {"license_name": "terms-of-the-corpus"}
    counted = ", ".join(f"{size} {split}" for split, size in sizes.items())
    known = "\n\n".join(f"{entry.corpus}: {entry.text}" for entry in terms) or "Not known to hf_msa."
    head = yaml.safe_dump({key: value for key, value in metadata.items() if value}, sort_keys=False)
    return (
        f"---\n{head}---\n\n# {name}\n\nUtterances with text, audio and visual features for multimodal sentiment "
        f"analysis: {counted}.\n\n"
        f"- `text`, and `words` with start and end in seconds where they are known\n"
        f"- `audio` (frames, {columns['audio']}) and `visual` (frames, {columns['visual']}); no frames where missing\n"
        "- `label`, the opinion of its annotators\n\n"
        "```python\nfrom hf_msa.data import load_corpus\n\n"
        'corpus = load_corpus("a/local/copy")  # or datasets.load_dataset on this repository\n```\n\n'
        f"## Terms\n\n{known}\n\nWhoever uses it is bound by them; converting a corpus does not change them. It is no "
        "part of hf_msa.\n"
    )


__all__ = ["publish_corpus"]
