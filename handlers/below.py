"""A server that others see below a path, as https://example.org/gobi/: whether the proxy takes the path away or not."""

from __future__ import annotations

from collections.abc import Iterable

from handlers.exchange import Environ
from handlers.wire import Application, StartResponse


class Below:
    """`path`: without a slash at its end. Relative addresses on the page need one behind it, so that is seen to."""

    def __init__(self, app: Application, path: str) -> None:
        self._app = app
        self._path = path

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        asked: str = environ["PATH_INFO"]
        if asked == self._path:
            start_response("308 Permanent Redirect", [("Location", f"{self._path}/"), ("Content-Length", "0")])
            return []
        if asked.startswith(f"{self._path}/"):
            environ["SCRIPT_NAME"] = self._path
            environ["PATH_INFO"] = asked[len(self._path) :]
        return self._app(environ, start_response)
