"""Merging a conflict over HTTP, and vaults that do it by themselves (docs/protocol.md, sections 3 and 8)."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from store import merging
from store.errors import Unavailable
from sync.merge import Merge, merge
from sync.model import Json
from tests.handlers.site import VAULT, Person, Site, file, refused
from tests.store.world import change, parcel

BASE, SERVER, CLIENT, MERGED = b"1\n2\n3\n4\n", b"1\n2\n3\nfour\n", b"one\n2\n3\n4\n", b"one\n2\n3\nfour\n"


def dispute(me: Person, client: bytes = CLIENT, server: bytes = SERVER) -> Json:
    """The file `a.md`, of which the laptop and the phone made something else: the conflict as the phone is told."""
    base = me.put("a.md", BASE, Gobi_Device="laptop").json["stamp"]
    me.put("a.md", server, base=base, Gobi_Device="laptop")
    answer = me.put("a.md", client, base=base, query="?on_conflict=keep", Gobi_Device="phone")
    assert answer.status_int == 202
    found: Json = answer.json["conflict"]
    return found


def url_of(conflict: Json) -> str:
    return f"{VAULT}/conflicts/{conflict['id']}"


# -- looking


def test_a_merge_is_shown_and_then_settled_with(me: Person) -> None:
    conflict = dispute(me)
    answer = me.get(f"{url_of(conflict)}/merge")
    assert answer.status_int == 200
    assert answer.json == {
        "mergeable": True,
        "clean": True,
        "text": MERGED.decode(),
        "hunks": [
            {"kind": "client", "base": [0, 1], "client": [0, 1], "server": [0, 1], "text": [0, 1]},
            {"kind": "server", "base": [3, 4], "client": [3, 4], "server": [3, 4], "text": [3, 4]},
        ],
        "candidate": 1,
        "head": conflict["server"]["stamp"],
    }
    choice = {"keep": "merged"} | {name: answer.json[name] for name in ("candidate", "text", "head")}
    assert me.post(f"{url_of(conflict)}/resolve", choice).status_int == 200
    assert me.get(file("a.md")).body == MERGED
    assert me.get(f"{url_of(conflict)}/merge").json == {"mergeable": False, "reason": "settled"}


def test_what_touches_is_between_markers_with_the_devices_names(me: Person) -> None:
    answer = me.get(f"{url_of(dispute(me, client=b'mine', server=b'theirs'))}/merge").json
    assert (answer["mergeable"], answer["clean"]) == (True, False)
    assert answer["text"] == "<<<<<<< phone\nmine\n=======\ntheirs\n>>>>>>> laptop\n"
    assert [hunk["kind"] for hunk in answer["hunks"]] == ["conflict"]


def test_what_is_no_text_is_not_mergeable(me: Person) -> None:
    answer = me.get(f"{url_of(dispute(me, client=bytes(9)))}/merge")
    assert (answer.status_int, answer.json) == (200, {"mergeable": False, "reason": "not-text"})


def test_a_candidate_is_named_by_its_number(me: Person) -> None:
    conflict = dispute(me)
    me.put("a.md", b"x", base=conflict["base"]["stamp"], query="?on_conflict=keep", Gobi_Device="tablet")
    found = {query: me.get(f"{url_of(conflict)}/merge{query}").json["candidate"] for query in ("", "?candidate=1")}
    assert found == {"": 2, "?candidate=1": 1}
    for number in ("0", "3"):
        refused(me.get(f"{url_of(conflict)}/merge?candidate={number}"), 404, "not-found")
    for number in ("-1", "client", ""):
        refused(me.get(f"{url_of(conflict)}/merge?candidate={number}"), 400, "bad-request")
    refused(me.get(f"{VAULT}/conflicts/{'0' * 16}/merge"), 404, "not-found")


def test_a_merge_is_for_members(site: Site) -> None:
    address = f"{url_of(dispute(site.me))}/merge"
    you = site.person("you")
    refused(you.get(address), 404, "not-found")
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "read"})
    assert you.get(address).json["mergeable"]


def test_a_reader_who_asks_for_one_merge_thirty_times_has_it_made_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made anew where a side is another one by now."""
    made = list[bytes]()

    def counted(base: bytes, client: bytes, server: bytes, **names: str) -> Merge:
        made.append(server)
        return merge(base, client, server, **names)

    monkeypatch.setattr(merging, "merge", counted)
    conflict = dispute(site.me)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: site.me.get(f"{url_of(conflict)}/merge").json, range(30)))
    assert answers == [answers[0]] * 30
    assert made == [SERVER]
    site.me.put("a.md", b"1\n2\n3\nFOUR\n", base=conflict["server"]["stamp"], Gobi_Device="laptop")
    assert site.me.get(f"{url_of(conflict)}/merge").json["text"] == "one\n2\n3\nFOUR\n"
    assert len(made) == 2


def test_merges_that_one_person_has_waiting_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, merges=2)
    conflict = dispute(site.me)
    for number in range(4):
        site.me.put("a.md", b"%d" % number, base=conflict["base"]["stamp"], query="?on_conflict=keep")
    waiting, may_end = threading.Semaphore(0), threading.Event()

    def slow(base: bytes, client: bytes, server: bytes, **names: str) -> Merge:
        waiting.release()
        assert may_end.wait(10)
        return merge(base, client, server, **names)

    monkeypatch.setattr(merging, "merge", slow)
    urls = [f"{url_of(conflict)}/merge?candidate={number}" for number in range(1, 6)]
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(site.me.get, url) for url in urls]
        done, _ = wait(futures[:], timeout=10, return_when=FIRST_COMPLETED)
        while len(done) < 3:
            done, _ = wait(futures, timeout=0.05)
        may_end.set()
    answers = sorted((future.result() for future in futures), key=lambda answer: answer.status_int)
    assert [answer.status_int for answer in answers] == [200] * 2 + [429] * 3
    assert refused(answers[-1], 429, "slow-down")
    assert int(answers[-1].headers["Retry-After"]) > 0


# -- a text of one's own


@pytest.mark.parametrize("text", [r"\ud800", r"a\udc00", r"\ud800\ud800"])
def test_half_of_a_surrogate_pair_is_bad_request(site: Site, text: str) -> None:
    conflict = dispute(site.me)
    body = f'{{"keep": "merged", "head": {conflict["server"]["stamp"]}, "text": "{text}"}}'.encode()
    with site.unchanged():
        refused(site.me.ask("POST", f"{url_of(conflict)}/resolve", body), 400, "bad-request")


def test_a_text_over_the_file_limit_is_too_large(tmp_path: Path) -> None:
    site = Site(tmp_path, max_file=1 << 20)
    conflict = dispute(site.me)
    choice = {"keep": "merged", "head": conflict["server"]["stamp"], "text": "a" * ((1 << 20) + 1)}
    with site.unchanged():
        refused(site.me.post(f"{url_of(conflict)}/resolve", choice), 413, "too-large")


def test_an_empty_text_is_an_outcome(me: Person) -> None:
    conflict = dispute(me)
    choice = {"keep": "merged", "head": conflict["server"]["stamp"], "text": ""}
    assert me.post(f"{url_of(conflict)}/resolve", choice).status_int == 200
    assert me.get(file("a.md")).body == b""


# -- vaults that merge by themselves


@pytest.fixture
def automatic(me: Person) -> Person:
    answer = me.ask("PATCH", VAULT, {"auto_merge": True})
    assert (answer.status_int, answer.json["auto_merge"]) == (200, True)
    return me


def test_an_owner_switches_it_on_and_off(me: Person) -> None:
    assert me.get(VAULT).json["auto_merge"] is False
    for on in (True, True, False):
        answer = me.ask("PATCH", VAULT, {"auto_merge": on})
        assert answer.status_int == 200
        assert answer.json == me.get(VAULT).json
        assert answer.json["auto_merge"] is on


@pytest.mark.parametrize("body", [{}, [], {"auto_merge": 1}, {"auto_merge": None}, {"auto_merge": "on"}, b"{", b""])
def test_the_setting_is_true_or_false(site: Site, body: object) -> None:
    with site.unchanged():
        refused(site.me.ask("PATCH", VAULT, body), 400, "bad-request")


def test_the_setting_is_the_owners(site: Site) -> None:
    you = site.person("you")
    site.me.ask("PUT", f"{VAULT}/members/you", {"role": "write"})
    with site.unchanged():
        refused(you.ask("PATCH", VAULT, {"auto_merge": True}), 403, "forbidden")
        refused(site.me.ask("PATCH", "/v1/vaults/other", {"auto_merge": True}), 404, "not-found")
        headers = {"Origin": "https://elsewhere.example"}
        refused(site.me.ask("PATCH", VAULT, {"auto_merge": True}, **headers), 403, "cross-origin")


def test_a_candidate_that_merges_is_answered_with_its_settled_conflict(automatic: Person) -> None:
    conflict = dispute(automatic)
    assert (conflict["state"], conflict["resolution"]["keep"]) == ("settled", "merged")
    assert automatic.get(file("a.md")).body == MERGED
    assert automatic.get(f"{VAULT}/conflicts").json == {"conflicts": []}
    newest = automatic.get(f"{VAULT}/history/a.md").json["versions"][0]
    assert conflict["server"] == newest
    assert (newest["device"], newest["user"]) == ("phone", "me")


def test_so_is_one_in_a_push(automatic: Person) -> None:
    base = automatic.put("a.md", BASE).json["stamp"]
    automatic.put("a.md", SERVER, base=base)
    body = parcel([change("a.md", CLIENT, base)], [("a.md", CLIENT)])
    answer = automatic.ask("POST", f"{VAULT}/push?on_conflict=keep", body, Content_Type="application/x-tar")
    (row,) = answer.json["results"]
    assert (row["status"], row["conflict"]["state"]) == ("conflict", "settled")
    assert automatic.get(file("a.md")).body == MERGED


def test_a_body_that_cannot_be_read_is_no_fault_of_the_put(site: Site, automatic: Person) -> None:
    base = automatic.put("a.md", BASE).json["stamp"]
    automatic.put("a.md", SERVER, base=base)
    site.bodies.fail("open", Unavailable("the disk is away"))
    answer = automatic.put("a.md", CLIENT, base=base, query="?on_conflict=keep", Gobi_Device="phone")
    site.bodies.mend()
    assert (answer.status_int, answer.json["conflict"]["state"]) == (202, "open")
    assert automatic.get(f"{url_of(answer.json['conflict'])}/1").body == CLIENT
