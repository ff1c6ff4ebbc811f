"""A server on the loopback that answers what autola asks as huggingface.co does, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


class Hub:
    """Repositories in memory.

    Attributes:
        url: Where it answers.
        commits: Files of each commit of each repository.
        revisions: Commit of each branch and tag of each repository.
        private: Whether each repository is private.
        requests: What was asked for, method and path.
        forbidden: Whether no token may write.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.commits: dict[str, dict[str, Files]] = {}
        self.revisions: dict[str, dict[str, str]] = {}
        self.private: dict[str, bool] = {}
        self.requests: list[str] = []
        self.forbidden = False

    def create(self, repo: str, private: bool = False) -> None:
        if repo not in self.commits:
            self.commits[repo], self.revisions[repo], self.private[repo] = {}, {}, private
            self.commit(repo, {}, [])

    def commit(self, repo: str, files: Files, deleted: list[str]) -> str:
        """A new commit of the main branch."""
        before = self.files(repo) if "main" in self.revisions[repo] else {}
        after = {name: data for name, data in before.items() if name not in deleted} | files
        sha = hashlib.sha1(f"{repo} {len(self.commits[repo])}".encode()).hexdigest()
        self.commits[repo][sha], self.revisions[repo]["main"] = after, sha
        return sha

    def files(self, repo: str, revision: str = "main") -> Files:
        """The files at a branch, tag or commit."""
        return self.commits[repo][self.sha(repo, revision)]

    def sha(self, repo: str, revision: str) -> str:
        return self.revisions[repo].get(revision, revision)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub, for as long as it is needed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.hub = hub  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self._path()
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path)
        if found:
            repo, kind, revision = found[1], found[2], found[3] or "main"
            if self._known(repo, revision):
                self._facts(repo, kind, revision)
            return
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if found and self._known(found[1], found[2]):
            data = self.hub.files(found[1], found[2])[found[3]]
            etag, sha = f'"{hashlib.sha1(data).hexdigest()}"', self.hub.sha(found[1], found[2])
            self._answer(data, headers={"ETag": etag, "X-Repo-Commit": sha})
        elif not found:
            self._answer({"error": "not part of this stub"}, 501)

    def do_POST(self) -> None:
        path, body = self._path(), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
            return
        if self.hub.forbidden or not self.headers.get("Authorization"):
            self._answer({"error": "forbidden"}, 403)
            return
        if path == "/api/repos/create":
            given = json.loads(body)
            repo = f"{given['organization']}/{given['name']}"
            if repo in self.hub.commits:
                self._answer({"error": "exists", "url": f"{self.hub.url}/{repo}"}, 409)
                return
            self.hub.create(repo, given.get("visibility") == "private")
            self._answer({"url": f"{self.hub.url}/{repo}", "name": repo})
            return
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/([^/]+)", path)
        assert found, path
        if not self._known(found[1], found[3]):
            return
        if found[2] == "preupload":
            files = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in files]
            self._answer({"files": modes})
        else:
            self._commit(found[1], [json.loads(line) for line in body.splitlines()])

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        of = {
            kind: [line["value"] for line in lines if line["key"] == kind] for kind in ("file", "deletedFile")
        }
        files = {value["path"]: base64.b64decode(value["content"]) for value in of["file"]}
        sha = self.hub.commit(repo, files, [value["path"] for value in of["deletedFile"]])
        self._answer({"commitUrl": f"{self.hub.url}/{repo}/commit/{sha}", "commitOid": sha})

    def _facts(self, repo: str, kind: str | None, revision: str) -> None:
        files = self.hub.files(repo, revision)
        if kind == "tree":
            self._answer(
                [
                    {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in files.items()
                ]
            )
        else:
            known = {"id": repo, "sha": self.hub.sha(repo, revision), "private": self.hub.private[repo]}
            self._answer(known | {"siblings": [{"rfilename": name} for name in files]})

    def _known(self, repo: str, revision: str) -> bool:
        error = ""
        if repo not in self.hub.commits:
            error = "RepoNotFound"
        elif self.hub.sha(repo, revision) not in self.hub.commits[repo]:
            error = "RevisionNotFound"
        if error:
            self._answer({"error": error}, 404, {"X-Error-Code": error})
        return not error

    def _path(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        return path

    def _answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
