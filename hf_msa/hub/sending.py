"""Send a folder to the Hub as one commit: all of it arrives, or nothing of it is seen."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from hf_msa.errors import MsaError
from hf_msa.models.modeling_msa import PICKLES

# What an older push may have left that would be loaded in place of, or beside, the new files; all else stays.
_STALE = {
    "model": re.compile(
        r"[^/]+\.safetensors|[^/]+\.index\.json|adapter_config\.json|results\.json|\.eval_results/hf_msa\.yaml"
        # Pickles under names from which transformers or peft would load them, and Trainer's settings.
        r"|pytorch_model[^/]*\.bin|adapter_model\.bin|training_args\.bin"
    ),
    "dataset": re.compile(r"[^/]+\.parquet"),
}
_ATTEMPTS = 3
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_REFERENCE = re.compile(r"(?!.*(?:\.\.|//))\w[\w.+/-]*(?<![./])", re.ASCII)


@dataclass(frozen=True)
class Destination:
    """Where a folder goes.

    Args:
        repo_id: Repository, "user/name".
        kind: model or dataset.
        private: Whether others may not see it; a repository that exists must be as private as this says.
        revision: Branch; made where it does not exist. None is main.
        tag: Name for the commit, not yet taken.
        create_pr: Ask for the change instead of making it.
    """

    repo_id: str
    kind: str = "model"
    private: bool = False
    revision: str | None = None
    tag: str | None = None
    create_pr: bool = False

    def __post_init__(self) -> None:
        """Refuse a name that cannot be and what cannot go together."""
        if not _REPOSITORY.fullmatch(self.repo_id):
            raise MsaError(f"repo_id: expected user/name, got {self.repo_id!r}")
        try:
            validate_repo_id(self.repo_id)
        except HFValidationError as error:
            raise MsaError(f"repo_id: expected user/name, got {self.repo_id!r}: {error}") from error
        for name, value in (("revision", self.revision), ("tag", self.tag)):
            if value is not None and not _REFERENCE.fullmatch(value):
                raise MsaError(f"{name}: expected a name without blanks, such as v1.0, got {value!r}")
        if self.create_pr and (self.tag is not None or self.revision is not None):
            raise MsaError("create_pr: expected neither revision nor tag with it, since nothing is merged yet")

    @property
    def name(self) -> str:
        """Name of the repository, without its owner."""
        return self.repo_id.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Sent:
    """What a push has made.

    Args:
        url: Address of the commit, or of the pull request.
        commit: Hash of the commit, to pin.
        is_new: False where the repository had every file already, and neither commit nor pull request was made.
        removed: Files of an older push that were taken away.
        pickles: Pickles that stay there, under names that nothing loads by itself.
    """

    url: str
    commit: str
    is_new: bool
    removed: tuple[str, ...] = ()
    pickles: tuple[str, ...] = ()


def send_folder(folder: Path, to: Destination, message: str) -> Sent:
    """Send every file of a folder; what has not changed is not sent again, what is stale is taken away.

    The token is the one that the client finds: HF_TOKEN, or what `hf auth login` stored.

    Args:
        folder: Folder with the files.
        to: Where they go.
        message: Title of the commit.

    Raises:
        MsaError: Without a token, for a tag that is taken, or a repository that is public and was to be private.
        OSError: When the Hub refuses, or the connection breaks; the same call again goes on with what is missing.
    """
    if get_token() is None:
        raise MsaError("token: expected one, got none; log in with `hf auth login`, or set HF_TOKEN")
    api = HfApi(library_name="hf_msa")
    try:
        sent = _send(api, folder, to, message)
    except HfHubHTTPError as error:
        said = error.server_message or f"status {error.response.status_code}"
        raise OSError(f"{to.repo_id}: the Hub refused, status {error.response.status_code}: {said}") from error
    except MsaError:
        raise
    # The client passes on whatever its HTTP library raises, which is another one from version to version, and wraps
    # what happens in its upload threads: no narrower class covers a broken connection.
    except Exception as error:
        cause = error.__cause__ or error
        raise OSError(
            f"{to.repo_id}: not sent whole, so nothing changed there; run the same again, what arrived is not sent "
            f"twice ({type(cause).__name__}: {' '.join(str(cause).split())})"
        ) from error
    if to.tag is not None:
        try:
            api.create_tag(to.repo_id, repo_type=to.kind, tag=to.tag, revision=sent.commit)
        except Exception as error:  # the same; by now the commit is there
            said = " ".join(str(error.__cause__ or error).split())
            raise OSError(
                f"{to.repo_id}: sent, but the tag {to.tag!r} was not made; run the same again ({said})"
            ) from error
    return sent


def _send(api: HfApi, folder: Path, to: Destination, message: str) -> Sent:
    repository: dict[str, Any] = {"repo_id": to.repo_id, "repo_type": to.kind}
    if not to.create_pr:
        api.create_repo(**repository, private=to.private or None, exist_ok=True)
    if to.private and not api.repo_info(**repository).private:
        raise MsaError(f"private: expected a private repository, but {to.repo_id} is public already")
    refs = api.list_repo_refs(**repository)
    if to.tag is not None and to.tag in [ref.name for ref in (*refs.tags, *refs.branches)]:
        raise MsaError(f"tag: expected a new one, got {to.tag!r}, which {to.repo_id} has already")
    revision = to.revision or "main"
    if revision not in [ref.name for ref in refs.branches]:
        api.create_branch(**repository, branch=revision, exist_ok=True)
    for attempt in itertools.count(1):
        parent = api.repo_info(**repository, revision=revision).sha
        there = api.list_repo_files(**repository, revision=parent)
        operations = _operations(folder, there, _STALE[to.kind])
        removed = tuple(entry.path_in_repo for entry in operations if isinstance(entry, CommitOperationDelete))
        try:
            commit = api.create_commit(
                **repository,
                operations=operations,
                commit_message=message,
                revision=revision,
                parent_commit=parent,
                create_pr=to.create_pr,
            )
        except HfHubHTTPError as error:
            # Somebody else was faster; what is stale must be found anew.
            if error.response.status_code == 412 and attempt < _ATTEMPTS:
                continue
            raise
        break
    pickles = tuple(name for name in there if Path(name).suffix in PICKLES and name not in removed)
    return Sent(commit.pr_url or commit.commit_url, commit.oid, commit.oid != parent, removed, pickles)


def _operations(
    folder: Path, there: list[str], form: re.Pattern[str]
) -> list[CommitOperationAdd | CommitOperationDelete]:
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    stale = [name for name in there if name not in files and form.fullmatch(name)]
    return [
        *(CommitOperationDelete(path_in_repo=name, is_folder=False) for name in stale),
        *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in files.items()),
    ]


__all__ = ["Destination", "Sent", "send_folder"]
