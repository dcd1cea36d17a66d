"""A Hub on loopback that the real huggingface_hub client talks to; it proves the client's calls, not the real Hub.

    with HubServer() as hub:
        hub.store.users["hf_some_token"] = User("user")
        subprocess.run(..., env=os.environ | hub.environment("hf_some_token", home))

Files go as regular ones inside of the commit, or large ones through LFS, in parts above `part_size`. Xet is not
spoken, and the client is told so by HF_HUB_DISABLE_XET. `faults` makes the next matching requests fail.
"""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import uvicorn
import yaml
from hub_store import Blob, HubError, Repository, Store, User, is_large
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}


@dataclass
class Fault:
    """What goes wrong with the next requests whose "METHOD /path" matches.

    Args:
        pattern: Regular expression.
        status: Answer with it at once, in place of the answer; 429 says to come back after a second.
        cut: Drop the connection after so many bytes of the body, of whichever side sends one.
        seconds: Wait first.
        times: How many requests.
    """

    pattern: str
    status: int | None = None
    cut: int | None = None
    seconds: float = 0.0
    times: int = 1


@dataclass
class Seen:
    """A request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    status: int | None = None
    received: int = 0
    sent: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class _Protocol(H11Protocol):
    """HTTP, with a handle on the connection for those who want to drop it."""

    def handle_events(self) -> None:
        super().handle_events()
        if self.scope is not None:
            self.scope["transport"] = self.transport


class HubServer:
    """The server in a thread of its own, on a port of its own, from `with` to its end."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know nobody and hold nothing, as at first."""
        self.store = Store()
        self.faults: list[Fault] = []
        self.requests: list[Seen] = []
        self.part_size = 10**9
        self._parts: dict[tuple[str, int], bytes] = {}

    def __enter__(self) -> "HubServer":
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._app(), http=_Protocol, ws="none", loop="asyncio", lifespan="off", log_config=None, access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()

    def environment(self, token: str | None, home: Any) -> dict[str, str]:
        """Return the variables that point a client at this server; an empty token is none."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": token or "",
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        }

    def repository(self, name: str, kind: str = "model") -> Repository:
        """Return a repository, whoever asks."""
        return self.store.repositories[kind, name]

    def seen(self, pattern: str) -> list[Seen]:
        """Return the requests whose "METHOD /path" matches, in their order."""
        return [request for request in self.requests if re.search(pattern, str(request))]

    def _app(self) -> Callable:
        api, plain = "/api/{kind}/{owner}/{repo}", "/{owner}/{repo}"
        routes: list[tuple[str, str, Callable]] = [
            ("GET", "/api/whoami-v2", self._whoami),
            ("POST", "/api/validate-yaml", _validate_yaml),
            ("POST", "/api/repos/create", self._create),
            ("POST", "/api/collections", self._create_collection),
            ("GET", "/api/collections/{owner}/{slug}", self._collection),
            ("POST", "/api/collections/{owner}/{slug}/items", self._add_to_collection),
            ("GET", api, self._info),
            ("GET", api + "/revision/{revision}", self._info),
            ("GET", api + "/tree/{revision}", self._tree),
            ("GET", api + "/tree/{revision}/{folder}", self._tree),
            ("GET", api + "/refs", self._refs),
            ("POST", api + "/branch/{branch}", self._branch),
            ("POST", api + "/tag/{revision}", self._tag),
            ("POST", api + "/preupload/{revision}", self._preupload),
            ("POST", api + "/commit/{revision}", self._commit),
            ("PUT", "/lfs/{oid}/{part:int}", self._put_large),
            ("POST", "/lfs/{oid}/complete", self._complete_large),
            ("POST", "/lfs/verify", self._verify_large),
        ]
        for prefix in (plain, "/{kind}" + plain):
            routes.append(("POST", prefix + ".git/info/lfs/objects/batch", self._batch))
            routes.append(("GET", prefix + "/resolve/{revision}/{path:path}", self._resolve))
        app = Starlette(routes=[Route(path, _answer(endpoint), methods=[verb]) for verb, path, endpoint in routes])

        async def watched(scope: Any, receive: Callable, send: Callable) -> None:
            # A slash inside of a revision or a file's name comes quoted; routing must not see it as one.
            path = scope["raw_path"].decode()
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            seen = Seen(scope["method"], unquote(path), headers)
            self.requests.append(seen)
            fault = self._next_fault(seen)
            await asyncio.sleep(fault.seconds)
            if fault.status is not None:
                seen.status = fault.status
                answer = JSONResponse(
                    {"error": "as ordered"}, fault.status, {"Retry-After": "1"} if fault.status == 429 else {}
                )
                await answer(scope, receive, send)
                return
            await app(
                scope | {"path": path}, _receiver(scope, receive, seen, fault), _sender(scope, send, seen, fault)
            )

        return watched

    def _next_fault(self, seen: Seen) -> Fault:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.pattern, str(seen)):
                fault.times -= 1
                return fault
        return Fault("")

    def _user(self, request: Request) -> User | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return self.store.whoami(token if kind == "Bearer" and token else None)

    def _open(self, request: Request, write: bool = False) -> Repository:
        at = request.path_params
        kind = KINDS.get(at.get("kind", "models"))
        if kind is None:
            raise HubError(404, "Not found")
        return self.store.open(self._user(request), kind, f"{at['owner']}/{at['repo']}", write)

    async def _whoami(self, request: Request) -> Any:
        user = self._user(request)
        if user is None:
            raise HubError(401, "Invalid username or password.")
        organizations = [{"name": name, "type": "org"} for name in user.organizations]
        role = {"role": "write" if user.can_write else "read", "displayName": "test"}
        return {"type": "user", "name": user.name, "orgs": organizations, "auth": {"accessToken": role}}

    async def _create(self, request: Request) -> Any:
        asked = await request.json()
        private = asked.get("private", False) or asked.get("visibility") == "private"
        kind = asked.get("type") or "model"
        try:
            made = self.store.create(self._user(request), kind, asked.get("organization"), asked["name"], private)
        except HubError as error:
            if "url" in error.body:
                error.body["url"] = self.url + error.body["url"]
            raise
        prefix = "" if kind == "model" else f"{kind}s/"
        return {"url": f"{self.url}/{prefix}{made.name}", "name": made.name, "private": made.private}

    async def _info(self, request: Request) -> Any:
        repository = self._open(request)
        commit = repository.at(unquote(request.path_params.get("revision", "main")))
        card = commit.files.get("README.md", Blob(b"", False)).content.decode()
        data = _front_matter(card) or {}
        return {
            "id": repository.name,
            "sha": commit.sha,
            "private": repository.private,
            "gated": False,
            "downloads": 0,
            "tags": data.get("tags", []),
            "cardData": data,
            "pipeline_tag": data.get("pipeline_tag"),
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
        }

    async def _tree(self, request: Request) -> Any:
        commit = self._open(request).at(unquote(request.path_params["revision"]))
        folder = unquote(request.path_params.get("folder", "")).strip("/")
        prefix = folder + "/" if folder else ""
        inside = {path: blob for path, blob in sorted(commit.files.items()) if path.startswith(prefix)}
        if folder and not inside:
            raise HubError(404, f"{folder} does not exist", "EntryNotFound")
        recursive = request.query_params.get("recursive", "").lower() in ("true", "1")
        folders = {prefix + path[len(prefix) :].split("/")[0] for path in inside if "/" in path[len(prefix) :]}
        listed = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
        for path, blob in inside.items():
            if recursive or "/" not in path[len(prefix) :]:
                entry = {"type": "file", "path": path, "oid": blob.git_oid, "size": len(blob.content)}
                large = {"oid": blob.sha256, "size": len(blob.content), "pointerSize": 134}
                listed.append(entry | ({"lfs": large} if blob.is_large else {}))
        return listed

    async def _refs(self, request: Request) -> Any:
        repository = self._open(request)

        def listed(names: dict[str, str], prefix: str = "") -> list[dict[str, str]]:
            return [{"name": name, "ref": prefix + name, "targetCommit": sha} for name, sha in names.items()]

        return {
            "branches": listed(repository.branches, "refs/heads/"),
            "tags": listed(repository.tags, "refs/tags/"),
            "converts": [],
            "pullRequests": listed(repository.pull_requests),
        }

    async def _branch(self, request: Request) -> Any:
        start = (await request.json()).get("startingPoint")
        self.store.branch(self._open(request, write=True), unquote(request.path_params["branch"]), start)
        return {}

    async def _tag(self, request: Request) -> Any:
        tag = (await request.json())["tag"]
        self.store.tag(self._open(request, write=True), tag, unquote(request.path_params["revision"]))
        return {}

    async def _preupload(self, request: Request) -> Any:
        repository = self._open(request, write=not request.query_params.get("create_pr"))
        files = repository.at(unquote(request.path_params["revision"])).files
        asked = (await request.json())["files"]
        return {
            "files": [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if is_large(file["path"], file["size"]) else "regular",
                    "shouldIgnore": False,
                    "oid": files[file["path"]].etag if file["path"] in files else None,
                }
                for file in asked
            ]
        }

    async def _commit(self, request: Request) -> Any:
        as_pull_request = bool(request.query_params.get("create_pr"))
        repository = self._open(request, write=not as_pull_request)
        lines = [json.loads(line) for line in (await request.body()).splitlines() if line]
        revision = unquote(request.path_params["revision"])
        commit, name = self.store.commit(repository, revision, lines, as_pull_request)
        answer = {"commitOid": commit.sha, "commitUrl": f"{self.url}/{repository.name}/commit/{commit.sha}"}
        number = name.rsplit("/", 1)[1] if name else ""
        return answer | ({"pullRequestUrl": f"{self.url}/{repository.name}/discussions/{number}"} if name else {})

    async def _batch(self, request: Request) -> Any:
        self._open(request)
        asked = (await request.json())["objects"]
        return Response(
            json.dumps({"transfer": "basic", "objects": [self._upload_action(entry) for entry in asked]}),
            media_type="application/vnd.git-lfs+json",
        )

    def _upload_action(self, entry: dict[str, Any]) -> dict[str, Any]:
        oid, size = entry["oid"], entry["size"]
        if oid in self.store.large_files:
            return entry
        upload: dict[str, Any] = {"href": f"{self.url}/lfs/{oid}/0"}
        if size > self.part_size:
            links = {str(i + 1): f"{self.url}/lfs/{oid}/{i + 1}" for i in range(-(-size // self.part_size))}
            upload = {"href": f"{self.url}/lfs/{oid}/complete", "header": {"chunk_size": str(self.part_size)} | links}
        return entry | {"actions": {"upload": upload, "verify": {"href": f"{self.url}/lfs/verify"}}}

    async def _put_large(self, request: Request) -> Any:
        oid, part = request.path_params["oid"], request.path_params["part"]
        content = await request.body()
        if part == 0:
            self.store.store_large(oid, content)
        else:
            self._parts[oid, part] = content
        return Response(headers={"ETag": f'"{oid}-{part}"'})

    async def _complete_large(self, request: Request) -> Any:
        oid = request.path_params["oid"]
        parts = sorted(part["partNumber"] for part in (await request.json())["parts"])
        self.store.store_large(oid, b"".join(self._parts.pop((oid, part)) for part in parts))
        return {}

    async def _verify_large(self, request: Request) -> Any:
        asked = await request.json()
        if len(self.store.large_files.get(asked["oid"], b"")) != asked["size"]:
            raise HubError(404, "The uploaded file is not there")
        return {}

    async def _resolve(self, request: Request) -> Any:
        commit = self._open(request).at(unquote(request.path_params["revision"]))
        blob = commit.files.get(unquote(request.path_params["path"]))
        if blob is None:
            raise HubError(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes"}
        if blob.is_large:
            headers |= {"X-Linked-Etag": f'"{blob.etag}"', "X-Linked-Size": str(len(blob.content))}
        content, status = blob.content, 200
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", "")):
            start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        return Response(content, status, headers, "application/octet-stream")

    async def _create_collection(self, request: Request) -> Any:
        user, asked = self._user(request), await request.json()
        if user is None or asked["namespace"] not in (user.name, *user.organizations):
            raise HubError(403, "You don't have the rights to create a collection here")
        slug = f"{asked['namespace']}/{re.sub('[^a-z0-9]+', '-', asked['title'].lower())}"
        if slug in self.store.collections:
            raise HubError(409, "This collection exists", slug=slug)
        about = {"slug": slug, "title": asked["title"], "owner": {"name": asked["namespace"]}, "items": []}
        rest = {"lastUpdated": "2026-01-01T00:00:00.000Z", "position": 0, "theme": "blue", "upvotes": 0}
        self.store.collections[slug] = about | rest | {"private": asked["private"]}
        return self.store.collections[slug]

    async def _collection(self, request: Request) -> Any:
        slug = "{owner}/{slug}".format(**request.path_params)
        if slug not in self.store.collections:
            raise HubError(404, "Collection not found")
        return self.store.collections[slug]

    async def _add_to_collection(self, request: Request) -> Any:
        collection, item = await self._collection(request), (await request.json())["item"]
        if any(item["id"] == other["id"] for other in collection["items"]):
            raise HubError(409, "This item is there already")
        user = self._user(request)
        self.store.open(user, item["type"], item["id"])
        place = len(collection["items"])
        about = {"_id": f"{place:024x}", "position": place, "type": item["type"], "id": item["id"]}
        collection["items"].append(about | {"repoType": item["type"]})
        return collection


def _answer(endpoint: Callable) -> Callable:
    async def answer(request: Request) -> Response:
        try:
            found = await endpoint(request)
        except HubError as error:
            headers = {"X-Error-Message": error.message}
            if error.code is not None:
                headers["X-Error-Code"] = error.code
            return JSONResponse({"error": error.message} | error.body, error.status, headers)
        return found if isinstance(found, Response) else JSONResponse(found)

    return answer


def _receiver(scope: Any, receive: Callable, seen: Seen, fault: Fault) -> Callable:
    async def received() -> Any:
        message = await receive()
        seen.received += len(message.get("body", b""))
        if fault.cut is not None and seen.received > fault.cut:
            scope["transport"].abort()
            raise ConnectionResetError("cut as ordered")
        return message

    return received


def _sender(scope: Any, send: Callable, seen: Seen, fault: Fault) -> Callable:
    async def sent(message: Any) -> None:
        seen.status = message.get("status", seen.status)
        body = message.get("body", b"")
        if fault.cut is not None and seen.sent + len(body) > fault.cut:
            await send(message | {"body": body[: fault.cut - seen.sent], "more_body": True})
            scope["transport"].close()
            raise ConnectionResetError("cut as ordered")
        seen.sent += len(body)
        await send(message)

    return sent


def _front_matter(card: str) -> dict[str, Any] | None:
    found = re.match(r"---\r?\n(.*?)\r?\n---", card, flags=re.DOTALL)
    data = yaml.safe_load(found[1]) if found else None
    return data if isinstance(data, dict) else None


async def _validate_yaml(request: Request) -> Any:
    content = (await request.json())["content"]
    wrong = []
    try:
        data = _front_matter(content) or {}
    except yaml.YAMLError as error:
        data, wrong = {}, [f"YAML: {error}"]
    if "license" in data and not re.fullmatch(r"[a-z0-9.\-]+", str(data["license"])):
        wrong.append('"license" must be one of those that the Hub knows')
    for model in data.get("model-index") or []:
        for result in model.get("results", [{}]):
            if not {"type"} <= set(result.get("task", {})) or not {"type", "name"} <= set(result.get("dataset", {})):
                wrong.append('"model-index[0].results[0]" needs a task and a dataset')
    if wrong:
        return JSONResponse({"errors": [{"message": message} for message in wrong], "warnings": []}, 400)
    return {"errors": [], "warnings": []}


__all__ = ["Fault", "HubServer", "Seen", "User"]
