"""A hub on loopback: repositories in folders, served as the Hugging Face hub serves them.

What `huggingface_hub`, `transformers` and `datasets` ask for to read from a hub, and nothing else:
files by revision, with ETag and commit; large files behind a redirect, in ranges; the listing of a
revision; missing and gated repositories with the hub's own error codes; old names that redirect.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".parquet")  # kept in large file storage
REPO = r"(?P<repo>[\w.-]+(/[\w.-]+)?)"
FILE = re.compile(rf"/(?P<kind>datasets/)?{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
API = re.compile(
    rf"/api/(?P<kind>models|datasets)/{REPO}"
    r"(/(?P<verb>revision|tree|paths-info)/(?P<revision>[^/]+)(/(?P<path>.+))?)?"
)
STORED = re.compile(r"/storage/(?P<digest>[0-9a-f]{64})")
ERRORS = {  # by the hub's own code: status without a login, message
    "RepoNotFound": (401, "Invalid username or password."),
    "GatedRepo": (401, "Access to this repository is restricted. You must have access to it."),
    "RevisionNotFound": (404, "Invalid rev id"),
    "EntryNotFound": (404, "Entry not found"),
}


@dataclass(frozen=True)
class Request:
    """What a client asked for and what it was given."""

    method: str
    path: str
    status: int
    range: str | None


@dataclass
class Repository:
    """One repository: its files by revision, and what is wrong with it.

    `status` and `headers` answer every request for it when set; `gated` refuses its files;
    `cut` is the number of bytes after which the next download from it breaks off.
    """

    name: str
    revisions: dict[str, dict[str, bytes]]
    gated: bool = False
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None

    def commit(self, revision: str) -> str | None:
        """The commit of a revision; `main` is the newest, which is the last."""
        revision = list(self.revisions)[-1] if revision == "main" else unquote(revision)
        return revision if revision in self.revisions else None


class LoopbackHub:
    """The server: repositories by kind and name, redirects, and a log of all requests."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.old_names: dict[str, str] = {}
        self.requests: list[Request] = []

    def add(self, kind: str, name: str, revision: str, files: dict[str, bytes]) -> Repository:
        """Put files into a repository of models or of datasets, under a revision."""
        repository = self.repositories.setdefault((kind, name), Repository(name, {}))
        repository.revisions.setdefault(revision, {}).update(files)
        self.__dict__.pop("stored", None)
        return repository

    @cached_property
    def stored(self) -> dict[str, tuple[Repository, bytes]]:
        """Large files by their SHA-256."""
        return {
            hashlib.sha256(content).hexdigest(): (repository, content)
            for repository in self.repositories.values()
            for files in repository.revisions.values()
            for path, content in files.items()
            if path.endswith(LARGE)
        }

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serve on a free port of 127.0.0.1; yields the address."""
        handler = type("Handler", (_Handler,), {"hub": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *args: Any) -> None:
        """Not to the terminal: `hub.requests` has it all."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        path = urlsplit(self.path).path
        if match := STORED.fullmatch(path):
            repository, content = self.hub.stored[match["digest"]]
            return self._send_file(repository, content, {"ETag": f'"{match["digest"]}"'})
        match = API.fullmatch(path) or FILE.fullmatch(path)
        if match is None:
            return self._refuse("EntryNotFound")
        kind = "datasets" if (match["kind"] or "").startswith("datasets") else "models"
        name = match["repo"]
        if new := self.hub.old_names.get(name):
            return self._send(307, b"", {"Location": self.path.replace(name, new, 1)})
        repository = self.hub.repositories.get((kind, name))
        if repository is None:
            return self._refuse("RepoNotFound")
        if repository.status:
            return self._send(repository.status, b"", repository.headers)
        commit = repository.commit(match["revision"] or "main")
        if commit is None:
            return self._refuse("RevisionNotFound")
        if match.re is API:
            return self._describe(repository, commit, match["verb"], match["path"])
        return self._resolve(repository, commit, unquote(match["path"]))

    def _resolve(self, repository: Repository, commit: str, path: str) -> None:
        if repository.gated:
            return self._refuse("GatedRepo")
        content = repository.revisions[commit].get(path)
        if content is None:
            return self._refuse("EntryNotFound", {"X-Repo-Commit": commit})
        if not path.endswith(LARGE):
            headers = {"ETag": f'"{_blob_id(content)}"', "X-Repo-Commit": commit}
            return self._send_file(repository, content, headers)
        digest = hashlib.sha256(content).hexdigest()
        headers = {
            "X-Repo-Commit": commit,
            "X-Linked-Size": str(len(content)),
            "X-Linked-ETag": f'"{digest}"',
            "Location": f"http://localhost:{self.server.server_port}/storage/{digest}",
        }
        return self._send(302, b"", headers)

    def _describe(self, repository: Repository, commit: str, verb: str | None, path: str) -> None:
        files = repository.revisions[commit]
        if verb in (None, "revision"):
            names = [{"rfilename": name} for name in files]
            about = {"_id": commit[:24], "id": repository.name, "sha": commit, "siblings": names}
            return self._send_json(about | {"private": False, "gated": repository.gated})
        if verb == "paths-info":
            wanted = json.loads(self.body)["paths"]
            return self._send_json([_entry(p, files[p]) for p in wanted if p in files])
        under = f"{unquote(path)}/" if path else ""
        inside = {name: content for name, content in files.items() if name.startswith(under)}
        if under and not inside:
            return self._refuse("EntryNotFound")
        if "recursive=True" not in self.path and "recursive=true" not in self.path:
            folders = {n[: n.index("/", len(under))] for n in inside if "/" in n[len(under) :]}
            inside = {n: content for n, content in inside.items() if "/" not in n[len(under) :]}
        else:
            folders = {str(parent) for n in inside for parent in Path(n).parents} - {"."}
        entries = [
            {"type": "directory", "oid": _blob_id(f.encode()), "size": 0, "path": f}
            for f in sorted(folders)
        ]
        return self._send_json(entries + [_entry(n, content) for n, content in inside.items()])

    def _send_file(self, repository: Repository, content: bytes, headers: dict[str, str]) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is None:
            return self._send(200, content, headers | {"Accept-Ranges": "bytes"}, repository)
        first, last = int(asked[1]), int(asked[2] or len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return self._send(206, content[first : last + 1], headers, repository)

    def _send_json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, code: str, headers: dict[str, str] | None = None) -> None:
        status, message = ERRORS[code]
        body = json.dumps({"error": message}).encode()
        about = {"X-Error-Code": code, "X-Error-Message": message}
        self._send(status, body, about | (headers or {}))

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        repository: Repository | None = None,
    ) -> None:
        self.hub.requests.append(
            Request(self.command, self.path, status, self.headers.get("Range"))
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if repository is not None and repository.cut is not None and len(body) > repository.cut:
            body, repository.cut = body[: repository.cut], None
            self.close_connection = True
        self.wfile.write(body)


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "oid": _blob_id(content), "size": len(content), "path": path}
    if path.endswith(LARGE):
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
    return entry


def _blob_id(content: bytes) -> str:
    """The name git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
