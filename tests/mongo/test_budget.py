"""How many commands a request costs: at 100 a second and 50 ms each, every one counts.

Counted between a running server and a real MongoDB. A number that rises here is a change for the worse.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.machines import House
from tests.mongo_proxy import MongoProxy
from tests.store.world import change, parcel, removal


@pytest.fixture
def house(far_house: House, proxy: MongoProxy) -> House:
    """A vault with a file in it, on a server that knows its caller and is connected."""
    far_house.api("PUT", "")
    far_house.put("notes/first.md", b"first")
    proxy.reset()
    return far_house


def push(house: House, count: int) -> None:
    files = [(f"folder {number % 40}/note {number}.md", b"note %d" % number) for number in range(count)]
    body = parcel([change(path, content) for path, content in files], files)
    answer = json.loads(house.request("POST", "/push", body, Content_Type="application/x-tar"))
    assert [one["status"] for one in answer["results"]] == ["stored"] * count


def test_a_push_of_a_thousand_new_files(house: House, proxy: MongoProxy) -> None:
    push(house, 1_000)
    assert proxy.commands == ["find", "aggregate", "update", "insert", "commitTransaction"]


def test_a_sync_with_nothing_new(house: House, proxy: MongoProxy) -> None:
    cursor = house.api("GET", "")["cursor"]
    proxy.reset()
    answer = house.api("POST", "/sync", {"cursor": cursor, "changes": [], "last": True})
    assert (answer["actions"], answer["cursor"], answer["more"]) == ([], cursor, False)
    assert proxy.commands == ["find", "find"]


def test_a_put(house: House, proxy: MongoProxy) -> None:
    house.put("notes/second.md", b"second")
    assert proxy.commands == ["aggregate", "aggregate", "update", "insert", "commitTransaction"]


def test_an_edit(house: House, proxy: MongoProxy) -> None:
    head = house.history("notes/first.md")[0]["stamp"]
    proxy.reset()
    house.put("notes/first.md", b"edited", base=head)
    assert proxy.commands == ["aggregate", "aggregate", "update", "insert", "commitTransaction"]


def test_a_put_of_what_is_there(house: House, proxy: MongoProxy) -> None:
    house.put("notes/first.md", b"first")
    assert proxy.commands == ["aggregate", "aggregate"]


def test_a_delete(house: House, proxy: MongoProxy) -> None:
    head = house.history("notes/first.md")[0]["stamp"]
    proxy.reset()
    house.request("DELETE", "/files/notes/first.md", If_Match=f'"{head}"')
    assert proxy.commands == ["aggregate", "aggregate", "update", "insert", "commitTransaction"]


def test_a_candidate_of_a_conflict(house: House, proxy: MongoProxy) -> None:
    house.request("PUT", "/files/notes/first.md?on_conflict=keep", b"mine")
    commit = ["aggregate", "update", "update", "commitTransaction"]
    assert proxy.commands == ["aggregate", *commit, "aggregate"]


def test_a_download(house: House, proxy: MongoProxy) -> None:
    assert house.body("/files/notes/first.md") == b"first"
    assert proxy.commands == ["aggregate"]


def test_what_one_edit_elsewhere_costs_a_client(house: House, proxy: MongoProxy) -> None:
    """The vault, whether the cursor is known, the changes, their heads."""
    cursor = house.api("GET", "")["cursor"]
    house.put("notes/second.md", b"second")
    proxy.reset()
    answer = house.api("POST", "/sync", {"cursor": cursor, "changes": [], "last": True})
    assert [action["do"] for action in answer["actions"]] == ["download"]
    assert proxy.commands == ["find", "find", "find", "aggregate"]


def test_the_first_listing_of_a_thousand_files(house: House, proxy: MongoProxy) -> None:
    """The vault, where the page ends, and the page."""
    push(house, 1_000)
    proxy.reset()
    answer = house.api("GET", "/changes?cursor=0&limit=5000")
    assert len(answer["changes"]) == 1_001
    assert not answer["more"]
    assert proxy.commands == ["find", "find", "aggregate"]


def test_a_report_of_five_thousand_files(house: House, proxy: MongoProxy) -> None:
    """A full sync of a client that has lost its index: all that it has is on the server already."""
    push(house, 5_000)
    changes = [
        change(f"folder {number % 40}/note {number}.md", b"note %d" % number, kind="put") for number in range(5_000)
    ]
    proxy.reset()
    answer = house.api("POST", "/sync", {"cursor": "0", "changes": changes, "last": True, "limit": 5000})
    assert {action["do"] for action in answer["actions"]} == {"adopt"}
    assert proxy.commands == ["find", "find", "aggregate", "aggregate"]


def test_a_page_of_a_folder(house: House, proxy: MongoProxy) -> None:
    """The vault, and a page's worth of entries; one command more for what comes after the folder that they end in."""
    push(house, 2_000)
    proxy.reset()
    assert len(house.api("GET", "/files?prefix=folder 7/&delimiter=/")["files"]) == 50
    assert proxy.commands == ["find", "aggregate"]
    proxy.reset()
    assert len(house.api("GET", "/files?delimiter=/")["folders"]) == 41
    assert proxy.commands == ["find", "aggregate", "aggregate"]


def test_a_page_of_the_log(house: House, proxy: MongoProxy) -> None:
    """The vault and the page; where not all versions match, also where the page ends."""
    push(house, 1_000)
    proxy.reset()
    assert len(house.api("GET", "/log?limit=500")["versions"]) == 500
    assert proxy.commands == ["find", "find"]
    proxy.reset()
    assert house.api("GET", "/log?device=nobody") == {"versions": [], "next": None}
    assert proxy.commands == ["find", "find", "find"]


def test_an_undo_of_five_hundred_deleted_files(house: House, proxy: MongoProxy) -> None:
    """The vault, the log since then, what stood there; and a transaction."""
    push(house, 500)
    since = int(house.api("GET", "")["cursor"].partition(".")[2])
    gone = [one for one in house.api("GET", "/files")["files"] if one["path"].startswith("folder")]
    removals = [removal(one["path"], one["stamp"]) for one in gone]
    house.request("POST", "/push", parcel(removals), Content_Type="application/x-tar")
    proxy.reset()
    preview = house.api("POST", "/restore", {"since": since, "dry_run": True})
    assert proxy.commands == ["find", "find", "find", "aggregate"]
    proxy.reset()
    done = house.api("POST", "/restore", {"since": since, "until": preview["until"]})
    assert (len(preview["changes"]), len(done["changes"]), done["skipped"]) == (500, 500, [])
    assert proxy.commands == ["find", "find", "find", "aggregate", "update", "insert", "commitTransaction"]


def test_letting_somebody_in_and_inviting_a_machine(house: House, proxy: MongoProxy) -> None:
    """The vault; then a transaction: its turn, by what the caller came in, what that changes, and the commit."""
    house.server.add_user("you")
    proxy.reset()
    house.api("PUT", "/members/you", {"role": "write"})
    assert proxy.commands == ["find", "findAndModify", "find", "find", "update", "update", "commitTransaction"]
    house.api("GET", "")  # for whoever is let in somewhere, what is remembered of logins is looked at anew
    proxy.reset()
    house.api("POST", "/invitations", {})
    looks = ["find", "find", "find", "aggregate", "delete", "aggregate"]
    assert proxy.commands == ["find", "findAndModify", *looks, "insert", "commitTransaction"]
