from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from client.connection import Connection
from client.http import HttpTransport
from tests.client.transport.scripted import Answer, Script


@pytest.fixture
def serve() -> Iterator[Callable[..., Script]]:
    """Starts a server that answers the n-th request with the n-th answer, whatever connection it comes over."""
    scripts: list[Script] = []

    def start(*answers: Answer, read_bodies: bool = True) -> Script:
        scripts.append(Script(list(answers), read_bodies=read_bodies))
        return scripts[-1]

    yield start
    for script in scripts:
        script.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., HttpTransport]]:
    """A transport to the scripted server that notes how long it would have slept."""
    made: list[HttpTransport] = []

    def make(script: Script, slept: list[float] | None = None, **more: Any) -> HttpTransport:
        sleep = ([] if slept is None else slept).append
        url = f"http://127.0.0.1:{script.port}"
        made.append(HttpTransport(Connection(url, "me", "secret", "laptop", sleep=sleep, **more), "notes"))
        return made[-1]

    yield make
    for transport in made:
        transport.close()
