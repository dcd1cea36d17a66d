"""What a Hub keeps: users with tokens, and repositories with commits, branches, tags and pull requests, in memory.

It follows the rules that a client can see: who may read and write what, atomic commits on a known parent, large files
that must be there, whole, before a commit names them. The real Hub has more rules than these.
"""

import base64
import hashlib
import itertools
import threading
from dataclasses import dataclass, field
from typing import Any

LARGE = (".bin", ".npy", ".parquet", ".pt", ".safetensors")
LARGE_SIZE = 10 * 2**20
# Tokens of who may write, only read, and of somebody else.
WRITER, READER, STRANGER = (f"hf_{name * 4}" for name in ("writer", "reader", "stranger"))


class HubError(Exception):
    """An answer that is no success: HTTP status, the Hub's error code, a message, and fields of the body."""

    def __init__(self, status: int, message: str, code: str | None = None, **body: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


@dataclass(frozen=True)
class Blob:
    """A file of a commit."""

    content: bytes
    is_large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git_oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_large else self.git_oid


@dataclass(frozen=True)
class Commit:
    """A state of a repository."""

    sha: str
    title: str
    files: dict[str, Blob]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class User:
    """Who a token belongs to."""

    name: str
    organizations: tuple[str, ...] = ()
    can_write: bool = True


@dataclass
class Repository:
    """Commits and the names that lead to them."""

    kind: str
    name: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pull_requests: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> Commit:
        sha = self.branches.get(revision) or self.tags.get(revision) or self.pull_requests.get(revision) or revision
        if sha not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[sha]

    def history(self) -> list[Commit]:
        """Return the commits in the order in which they were made."""
        return list(self.commits.values())


class Store:
    """All of a Hub; every change happens under one lock."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large_files: dict[str, bytes] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        self.lock = threading.RLock()
        self._counter = itertools.count()

    def whoami(self, token: str | None) -> User | None:
        """Return who a token belongs to, None without one."""
        if token is None:
            return None
        if token not in self.users:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.users[token]

    def create(self, user: User | None, kind: str, namespace: str | None, name: str, private: bool) -> Repository:
        """Make a repository with the one commit that the Hub makes itself."""
        user = _signed_in(user)
        full = f"{namespace or user.name}/{name}"
        with self.lock:
            if (kind, full) in self.repositories and self._may_read(user, self.repositories[kind, full]):
                raise HubError(409, "You already created this repo", url=_address(kind, full))
            if not _owns(user, full):
                raise HubError(403, f"You don't have the rights to create a {kind} under the namespace {namespace!r}")
            repository = self.repositories[kind, full] = Repository(kind, full, private)
            attributes = "".join(f"*{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LARGE)
            self._add(repository, "main", "initial commit", {".gitattributes": Blob(attributes.encode(), False)})
            return repository

    def open(self, user: User | None, kind: str, name: str, write: bool = False) -> Repository:
        """Return a repository that a user may read, or write too; a private one is not there for others."""
        repository = self.repositories.get((kind, name))
        if repository is None or not self._may_read(user, repository):
            # Whom the Hub does not know it asks for a token first.
            raise HubError(401 if user is None else 404, "Repository not found", "RepoNotFound")
        if write and not _owns(_signed_in(user), name):
            raise HubError(403, f"You don't have the rights to write to {name}")
        return repository

    def _may_read(self, user: User | None, repository: Repository) -> bool:
        namespace = repository.name.split("/")[0]
        return not repository.private or (user is not None and namespace in (user.name, *user.organizations))

    def branch(self, repository: Repository, branch: str, start: str | None) -> None:
        with self.lock:
            if branch in repository.branches:
                raise HubError(409, f"Reference already exists: {branch}")
            repository.branches[branch] = repository.at(start or "main").sha

    def tag(self, repository: Repository, tag: str, revision: str) -> None:
        with self.lock:
            if tag in repository.tags:
                raise HubError(409, f"Reference already exists: {tag}")
            repository.tags[tag] = repository.at(revision).sha

    def store_large(self, sha256: str, content: bytes) -> None:
        """Keep a large file if it is whole."""
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise HubError(400, f"Content checksum mismatch: expected {sha256}, got {found}")
        self.large_files[sha256] = content

    def commit(
        self, repository: Repository, revision: str, lines: list[dict[str, Any]], as_pull_request: bool
    ) -> tuple[Commit, str | None]:
        """Add a commit, whole or not at all.

        Returns:
            The commit and, with `as_pull_request`, the name of the new one.
        """
        header = next(line["value"] for line in lines if line["key"] == "header")
        with self.lock:
            head = repository.at(revision)
            if header.get("parentCommit", head.sha) != head.sha:
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            if not as_pull_request and revision not in repository.branches | repository.pull_requests:
                raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            files = dict(head.files)
            for line in lines:
                self._apply(files, line["key"], line["value"])
            if as_pull_request:
                revision = f"refs/pr/{len(repository.pull_requests) + 1}"
            commit = self._add(repository, revision, header["summary"], files, head)
            return commit, revision if as_pull_request else None

    def _apply(self, files: dict[str, Blob], key: str, value: dict[str, Any]) -> None:
        path = value.get("path", "")
        if key == "file":
            files[path] = Blob(base64.b64decode(value["content"]), False)
        elif key == "lfsFile":
            if value["oid"] not in self.large_files:
                raise HubError(400, f"LFS pointer pointed to a file that does not exist: {path}")
            files[path] = Blob(self.large_files[value["oid"]], True)
        elif key == "deletedFile":
            if files.pop(path, None) is None:
                raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
        elif key == "deletedFolder":
            for name in [name for name in files if name.startswith(path.rstrip("/") + "/")]:
                del files[name]

    def _add(
        self, repository: Repository, revision: str, title: str, files: dict[str, Blob], parent: Commit | None = None
    ) -> Commit:
        before = parent.files if parent else {}
        changed = tuple(sorted(path for path in files | before if files.get(path) != before.get(path)))
        sha = hashlib.sha1(f"{repository.kind}/{repository.name} {next(self._counter)}".encode()).hexdigest()
        commit = repository.commits[sha] = Commit(sha, title, files, changed)
        names = repository.pull_requests if revision.startswith("refs/pr/") else repository.branches
        names[revision] = sha
        return commit


def is_large(path: str, size: int) -> bool:
    """Return whether a file goes to the store of large files, as .gitattributes says."""
    return path.endswith(LARGE) or size > LARGE_SIZE


def _signed_in(user: User | None) -> User:
    if user is None:
        raise HubError(401, "Invalid username or password.")
    return user


def _owns(user: User, name: str) -> bool:
    return user.can_write and name.split("/")[0] in (user.name, *user.organizations)


def _address(kind: str, name: str) -> str:
    return f"/{name}" if kind == "model" else f"/{kind}s/{name}"
