"""`gobi doctor` asked, and what it found, for the tests of it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from store import mongo_check
from store.findings import Finding
from tests.server import GobiServer


class Report(NamedTuple):
    exit_code: int
    findings: list[dict[str, Any]]

    def told(self, level: str, subject: str = "") -> str:
        """What is said on this level, with the advice."""
        found = [one for one in self.findings if one["level"] == level and one["subject"].startswith(subject)]
        return "\n".join(f"{one['text']}: {one['advice']}" for one in found)


def doctor(server: GobiServer, *arguments: str, **settings: str) -> Report:
    """The command itself, with these settings from now on."""
    server._env.update(settings)
    done = server.gobi("doctor", "--json", *arguments)
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0)
    return Report(done.returncode, report["findings"])


def look(uri: str, database: str = "gobi", **options: Any) -> list[Finding]:
    """What it says of a MongoDB."""
    return list(mongo_check.check(uri, database, **options))


def wrong(found: list[Finding]) -> Finding:
    """The only thing that is wrong beside that there are no users."""
    (one,) = [one for one in found if one.level == "wrong" and one.subject != "users"]
    assert one.advice
    return one
