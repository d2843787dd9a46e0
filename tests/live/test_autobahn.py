"""The Autobahn test suite speaks to the framing of the live sockets: what RFC 6455 asks of a server, case by case."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kosoku
import pytest

from tests.server import GobiServer

ROOT = Path(__file__).resolve().parent.parent.parent
# Not those on speed, with messages far over what a live socket takes, nor on compression, which it does not offer.
LEFT_OUT = ["9.*", "12.*", "13.*"]
CASES = 247
FINE = {"OK", "NON-STRICT", "INFORMATIONAL"}


class EchoServer(GobiServer):
    command = (sys.executable, "-m", "gunicorn", "--config", "python:ops.gunicorn_conf", "tests.live.echo:make()")


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[EchoServer]:
    one = EchoServer(tmp_path / "echo", PYTHONPATH=str(ROOT))
    one.start()
    yield one
    one.close()


def test_every_case_of_the_autobahn_suite_is_answered_as_the_standard_has_it(echo: EchoServer) -> None:
    verdicts = {one.case_id: (one.behavior.value, one.behavior_close.value) for one in run(echo)}
    assert {case: verdict for case, verdict in verdicts.items() if not FINE.issuperset(verdict)} == {}
    assert len(verdicts) == CASES
    assert "Traceback" not in echo.log


def run(echo: EchoServer) -> list[Any]:
    """The suite's results, also where it found something."""
    url = echo.url.replace("http:", "ws:")
    try:
        # In a thread of its own: a test with a browser leaves a running event loop in this one.
        with ThreadPoolExecutor(1) as thread:
            suite = kosoku.run_fuzzingclient(url, exclude_cases=LEFT_OUT, concurrency=8)
            return list(thread.submit(asyncio.run, suite).result())
    except kosoku.FailureError as found:
        return list(found.results)
