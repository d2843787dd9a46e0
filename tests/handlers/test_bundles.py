"""Many files in one request (docs/protocol.md, section 6)."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import create_environ

from handlers import bundles
from handlers.bundles import _Turn
from tests.handlers.site import VAULT, Person, Site, file, refused, sha256
from tests.handlers.test_auth import GOOD
from tests.store.world import parcel


def put(path: str, body: bytes, base: int | None = None) -> dict[str, Any]:
    return {"path": path, "kind": "put", "base": base, "hash": sha256(body), "size": len(body), "mtime": 1_000_000}


def push(me: Person, changes: list[dict[str, Any]], bodies: dict[str, bytes], keep: bool = False) -> Any:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, body in [("manifest.json", json.dumps({"changes": changes}).encode()), *bodies.items()]:
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    on_conflict = "keep" if keep else "fail"
    return me.post(f"{VAULT}/push?on_conflict={on_conflict}", archive.getvalue(), Content_Type="application/x-tar")


def test_a_pushed_file_of_any_time_is_stored(me: Person) -> None:
    times = {"far.md": 10**25, "before.md": -(1 << 63), "late.md": (1 << 63) - 1, "1601.md": -11_644_473_600_000_000}
    changes = [put(path, path.encode()) | {"mtime": mtime} for path, mtime in times.items()]
    answer = push(me, changes, {path: path.encode() for path in times})
    most = (1 << 63) - 1
    assert {row["path"]: row["version"]["mtime"] for row in answer.json["results"]} == {
        "far.md": most,
        "before.md": -most,
        "late.md": most,
        "1601.md": times["1601.md"],
    }


def test_a_time_that_is_no_number_is_refused_for_its_change_alone(me: Person) -> None:
    changes = [put("a.md", b"a") | {"mtime": True}, put("b.md", b"b") | {"mtime": 1.5}, put("c.md", b"c")]
    answer = push(me, changes, {"c.md": b"c"})
    assert [(row["status"], row.get("code")) for row in answer.json["results"]] == [
        ("rejected", "bad-request"),
        ("rejected", "bad-request"),
        ("stored", None),
    ]


def test_each_pushed_change_succeeds_or_fails_alone(me: Person) -> None:
    old = me.put("old.md", b"old").json["stamp"]
    head = me.put("old.md", b"newer", base=old).json["stamp"]
    doomed = me.put("doomed.md", b"doomed").json["stamp"]
    answer = push(
        me,
        [
            put("new.md", b"new"),
            put("old.md", b"mine", base=old),
            {"path": "../bad", "kind": "put", "hash": "0" * 64, "size": 1},
            {"path": "doomed.md", "kind": "delete", "base": doomed},
            put("copy.md", b"newer"),  # the vault has these bytes: no entry needed
            put("unsent.md", b"unsent"),
            put("new.md/below", b"x"),
        ],
        {"new.md": b"new", "old.md": b"mine", "new.md/below": b"x"},
    )
    results = answer.json["results"]
    assert [(row["path"], row["status"], row.get("code")) for row in results] == [
        ("new.md", "stored", None),
        ("old.md", "rejected", "conflict"),
        ("../bad", "rejected", "bad-path"),
        ("doomed.md", "deleted", None),
        ("copy.md", "stored", None),
        ("unsent.md", "need-body", None),
        ("new.md/below", "rejected", "path-taken"),
    ]
    assert results[0]["version"]["hash"] == sha256(b"new")
    assert results[1]["head"]["stamp"] == head
    assert me.get(file("copy.md")).body == b"newer"
    assert answer.json["cursor"] == me.get(VAULT).json["cursor"]


def test_a_losing_change_is_kept_as_a_candidate_if_asked(me: Person) -> None:
    old = me.put("a.md", b"old").json["stamp"]
    me.put("a.md", b"newer", base=old)
    (result,) = push(me, [put("a.md", b"mine", base=old)], {"a.md": b"mine"}, keep=True).json["results"]
    assert result["status"] == "conflict"
    assert result["conflict"] == me.get(f"{VAULT}/conflicts").json["conflicts"][0]


def edits(me: Person, base: int, count: int, first: int = 0, **headers: str) -> Any:
    """A push of so many edits of `a.md` on that base, each of which becomes a candidate."""
    bodies = [b"%d" % number for number in range(first, first + count)]
    data = parcel([put("a.md", body, base) for body in bodies], [("a.md", body) for body in bodies])
    return me.post(f"{VAULT}/push?on_conflict=keep", data, **headers)


def disputed(me: Person) -> int:
    base: int = me.put("a.md", b"old").json["stamp"]
    me.put("a.md", b"newer", base=base)
    return base


def test_an_answer_grows_with_the_push_and_not_with_its_square(tmp_path: Path) -> None:
    """Many edits of one file in one conflict that a hundred devices have filled before."""
    sizes = []
    for count in (500, 1_500):
        folder = tmp_path / f"{count}"
        folder.mkdir()
        me = Site(folder).me
        base = disputed(me)
        for number in range(100):
            edits(me, base, 1, 10_000 + number, Gobi_Device=f"phone {number}")
        answer = edits(me, base, count, Gobi_Device="phone 0")
        assert [row["status"] for row in answer.json["results"]] == ["conflict"] * count
        sizes.append(len(answer.body))
    assert sizes[1] < 3 * sizes[0]
    assert sizes[1] < 1_500 * 2_000


def test_a_conflict_is_told_whole_in_the_last_of_its_rows_and_in_others_with_their_own_candidate(me: Person) -> None:
    rows = edits(me, disputed(me), 5).json["results"]
    (whole,) = me.get(f"{VAULT}/conflicts").json["conflicts"]
    assert rows[-1]["conflict"] == whole
    assert [row["conflict"] for row in rows[:-1]] == [whole | {"candidates": [one]} for one in whole["candidates"][:-1]]


def test_conflicts_with_too_many_candidates_for_an_answer_are_told_with_the_rows_own(
    me: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = disputed(me)
    edits(me, base, 3, Gobi_Device="phone")
    monkeypatch.setattr(bundles, "MOST_CANDIDATES", 3)
    (row,) = edits(me, base, 1, 3, Gobi_Device="tablet").json["results"]
    assert [(one["n"], one["device"]) for one in row["conflict"]["candidates"]] == [(4, "tablet")]
    (again,) = edits(me, base, 1, 2, Gobi_Device="phone").json["results"]
    assert [one["n"] for one in again["conflict"]["candidates"]] == [3], "a repeated request"


def test_a_file_that_too_many_devices_changed_takes_no_further_one(tmp_path: Path) -> None:
    site = Site(tmp_path, candidates=2)
    base = disputed(site.me)
    for number in range(2):
        edits(site.me, base, 1, number, Gobi_Device=f"phone {number}")
    with site.unchanged(orphans=True):
        (row,) = edits(site.me, base, 1, 2, Gobi_Device="phone 2").json["results"]
        assert (row["status"], row["code"]) == ("rejected", "too-many")
        answer = site.me.put("a.md", b"2", base, query="?on_conflict=keep", Gobi_Device="phone 2")
        refused(answer, 403, "too-many")


def test_a_push_that_is_no_archive_is_bad_request(me: Person) -> None:
    for body in (b"", b"no tar at all", b"\0" * 1024):
        refused(me.post(f"{VAULT}/push", body), 400, "bad-request")


def test_a_link_in_a_push_is_refused(site: Site) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        link = tarfile.TarInfo("manifest.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with site.unchanged():
        refused(site.me.post(f"{VAULT}/push", archive.getvalue()), 400, "bad-request")


def test_a_pull_brings_bodies_in_the_order_asked_with_their_mtimes(me: Person) -> None:
    large = b"x" * 700_000
    versions = [
        me.put("b.md", b"two", Gobi_Mtime="2000000").json,
        me.put("a/ä.md", b"one", Gobi_Mtime="1000000").json,
        me.put("large", large).json,
        me.put("empty", b"").json,
    ]
    wanted = [{"path": version["path"], "stamp": version["stamp"]} for version in versions]
    answer = me.post(f"{VAULT}/pull", {"files": wanted})
    assert answer.content_type == "application/x-tar"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
        entries = [(entry.name, tar.extractfile(entry).read(), entry.mtime) for entry in tar]  # type: ignore[union-attr]
    assert [(name, body) for name, body, _ in entries] == [
        ("b.md", b"two"),
        ("a/ä.md", b"one"),
        ("large", large),
        ("empty", b""),
    ]
    assert [mtime for _, _, mtime in entries[:2]] == [2, 1]


def test_the_archive_is_the_vault_as_it_stood(me: Person) -> None:
    old = me.put("a.md", b"old").json
    me.put("a.md", b"new", base=old["stamp"])
    me.put("b.md", b"later")
    assert files_in(me.get(f"{VAULT}/archive.tar").body) == {"a.md": b"new", "b.md": b"later"}
    answer = me.get(f"{VAULT}/archive.tar?stamp={old['stamp']}")
    assert files_in(answer.body) == {"a.md": b"old"}
    assert 'filename="notes.tar"' in answer.headers["Content-Disposition"]


def files_in(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def test_a_user_has_one_archive_at_a_time(site: Site) -> None:
    """Asked of the application itself, so that the first answer can be left unread."""
    site.me.put("a.md", b"text")
    environ = create_environ(path=f"{VAULT}/archive.tar", host="localhost", headers={"Authorization": GOOD})
    first: Any = site.application(environ, lambda *_: None)
    answer = site.me.get(f"{VAULT}/archive.tar")
    refused(answer, 429, "slow-down")
    assert answer.headers["Retry-After"]
    first.close()  # its reader went away
    assert site.me.get(f"{VAULT}/archive.tar").status_int == 200
    assert site.me.get(f"{VAULT}/archive.tar").status_int == 200


def test_asking_only_for_the_archives_headers_takes_no_turn(me: Person) -> None:
    assert me.ask("HEAD", f"{VAULT}/archive.tar").status_int == 200
    assert me.get(f"{VAULT}/archive.tar").status_int == 200


def test_a_turn_ends_once() -> None:
    ended: list[str] = []
    turn = _Turn(iter([b"x"]), lambda: ended.append("me"))
    turn.close()
    turn.close()
    assert ended == ["me"]
