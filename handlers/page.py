"""The web page: plain files that lie in web/, for a browser that is to run nothing else.

The page's own addresses have a digest of all of its files in them, so that a browser may keep what it got for good and
an upgrade is seen at once. The page itself is asked about every time.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import falcon

from handlers import packed
from handlers.packed import Packed

FOLDER = Path(__file__).parent / "web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
PAGE = "index.html"
PREFIX = "/web/"
YEAR_S = 365 * 24 * 3600

# Nothing from elsewhere, no script or style that is not one of these files, and text never becomes markup by mistake.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)


class Pages:
    """The files, each kept packed from its first use on."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._names = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.suffix in TYPES and path.is_file()
        }
        digest = hashlib.sha256()
        for name, path in self._names.items():
            digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
        self.digest = digest.hexdigest()[:16]
        self._packed = cache(self._pack)

    def file(self, name: str) -> Packed | None:
        path = self._names.get(name)
        return None if path is None else self._packed(path)  # what does not exist is not remembered

    def _pack(self, path: Path) -> Packed:
        content = path.read_bytes().replace(b"{web}", f"{PREFIX[1:]}{self.digest}".encode())  # wherever a proxy puts it
        return packed.pack(TYPES[path.suffix], content)


class Page:
    """/"""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        page = self._pages.file(PAGE)
        assert page is not None, "the page is part of the package"
        packed.answer(req, resp, page)
        resp.set_header("Cache-Control", "no-cache")
        resp.set_header("Content-Security-Policy", POLICY)
        resp.set_header("Cross-Origin-Opener-Policy", "same-origin")
        resp.set_header("Referrer-Policy", "no-referrer")
        resp.set_header("X-Frame-Options", "DENY")


class Asset:
    """/web/{digest}/{name}"""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def on_get(self, req: falcon.Request, resp: falcon.Response, digest: str, name: str) -> None:
        found = self._pages.file(name) if name != PAGE else None  # that one never goes without its policy
        if found is None:
            raise falcon.HTTPNotFound
        packed.answer(req, resp, found)
        # A page of before an upgrade, or another host's, gets what there is now but does not keep it.
        current = digest == self._pages.digest
        resp.set_header("Cache-Control", f"public, max-age={YEAR_S}, immutable" if current else "no-cache")
        resp.set_header("Cross-Origin-Resource-Policy", "same-origin")
