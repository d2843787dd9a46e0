"""Reading a vault's log: the promises of store.base.Metadata."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.base import LOOKED_AT, Metadata, Query, Totals, Transaction, Vault
from sync.model import Version
from sync.plan import evidence
from tests.contract.backends import Backend
from tests.contract.log import append, hash_of
from tests.sync.one_path import Log, report

# By UTF-8 bytes. By UTF-16 code units the last two would stand the other way round.
BYTE_ORDER = ["A", "a", "a b", "a!", "a.b", "a/b", "a0", "b", "é", "日", "\uff21", "🌱"]


def paths(versions: list[Version]) -> list[str]:
    return [version.path for version in versions]


# -- single versions


def test_a_versions_every_field_comes_back(metadata: Metadata, vault: Vault) -> None:
    written = append(metadata, vault.id, ("Bücher/日記 🌱.md", "A"), ("Bücher/日記 🌱.md", "-"))
    assert metadata.changes(vault.id, 0, 10) == written
    assert metadata.history(vault.id, "Bücher/日記 🌱.md", before=None, limit=10) == written[::-1]
    assert metadata.find(vault.id, {(one.path, one.stamp) for one in written}) == {
        (one.path, one.stamp): one for one in written
    }


def test_the_head_is_the_newest_version_tombstones_included(metadata: Metadata, vault: Vault) -> None:
    append(metadata, vault.id, ("a", "A"), ("b", "B"))
    edited, deleted = append(metadata, vault.id, ("a", "C"), ("b", "-"))
    assert metadata.heads(vault.id, ["a", "b", "never"]) == {"a": edited, "b": deleted}
    assert metadata.heads(vault.id, []) == {}


def test_a_version_is_found_by_path_and_stamp_together(metadata: Metadata, vault: Vault) -> None:
    a, b = append(metadata, vault.id, ("a", "A"), ("b", "B"))
    assert metadata.find(vault.id, [("a", a.stamp), ("a", b.stamp), ("b", 1)]) == {("a", a.stamp): a}
    assert metadata.find(vault.id, []) == {}


def test_a_stamp_is_known_where_a_version_has_it(metadata: Metadata, vault: Vault) -> None:
    (a,) = append(metadata, vault.id, ("a", "A"))
    assert metadata.has_stamp(vault.id, a.stamp)
    assert not metadata.has_stamp(vault.id, a.stamp - 1)


def test_history_is_newest_first_in_pages(metadata: Metadata, vault: Vault) -> None:
    one, _, two, three = append(metadata, vault.id, ("a", "A"), ("a/b", "X"), ("a", "-"), ("a", "B"))
    assert metadata.history(vault.id, "a", before=None, limit=2) == [three, two]
    assert metadata.history(vault.id, "a", before=two.stamp, limit=2) == [one]
    assert metadata.history(vault.id, "a", before=one.stamp, limit=2) == []
    assert metadata.history(vault.id, "never", before=None, limit=2) == []


def test_no_vault_sees_another_ones_log(metadata: Metadata, vault: Vault) -> None:
    other = metadata.create_vault("other", "me")
    (mine,) = append(metadata, vault.id, ("a", "A"))
    (theirs,) = append(metadata, other.id, ("a", "B"))
    assert metadata.heads(vault.id, ["a"]) == {"a": mine}
    assert metadata.find(vault.id, [("a", theirs.stamp)]) == {}
    assert metadata.changes(vault.id, 0, 10) == [mine]
    assert metadata.live(vault.id, at=theirs.stamp, limit=10) == [mine]
    assert metadata.history(vault.id, "a", before=None, limit=10) == [mine]
    facts = metadata.facts(vault.id, [Query("a", None, (hash_of("B"),))])["a"]
    assert (facts.head, facts.base) == (mine, None)


# -- changes


def test_changes_come_in_stamp_order_after_the_cursor(metadata: Metadata, vault: Vault) -> None:
    written = append(metadata, vault.id, ("b", "A"), ("a", "B"), ("b", "-"), ("c", "C"))
    assert metadata.changes(vault.id, 0, 3) == written[:3]
    assert metadata.changes(vault.id, written[1].stamp, 10) == written[2:]
    assert metadata.changes(vault.id, written[-1].stamp, 10) == []


# -- what lives


def test_live_paths_come_in_byte_order_in_pages(metadata: Metadata, vault: Vault) -> None:
    """Not in the order of UTF-16 code units, nor by any language's rules."""
    assert sorted(BYTE_ORDER, key=str.encode) == BYTE_ORDER
    last = append(metadata, vault.id, *((path, "A") for path in reversed(BYTE_ORDER)))[-1].stamp
    assert paths(metadata.live(vault.id, at=last, limit=100)) == BYTE_ORDER
    for limit in (1, 2, 3):
        seen: list[str] = []
        while page := metadata.live(vault.id, at=last, after=seen[-1] if seen else "", limit=limit):
            assert len(page) <= limit
            seen += paths(page)
        assert seen == BYTE_ORDER


def test_live_at_an_older_moment_is_what_stood_then(metadata: Metadata, vault: Vault) -> None:
    a1, b1, c1 = append(metadata, vault.id, ("a", "A"), ("b", "B"), ("c", "C"))
    a2, b2, d1 = append(metadata, vault.id, ("a", "a"), ("b", "-"), ("d", "D"))
    (b3,) = append(metadata, vault.id, ("b", "again"))
    moments = {
        a1.stamp - 1: [],
        a1.stamp: [a1],
        c1.stamp: [a1, b1, c1],
        a2.stamp: [a2, b1, c1],
        b2.stamp: [a2, c1],
        d1.stamp: [a2, c1, d1],
        b3.stamp: [a2, b3, c1, d1],
        b3.stamp + 10**9: [a2, b3, c1, d1],
    }
    for moment, stood in moments.items():
        assert metadata.live(vault.id, at=moment, limit=10) == stood
        assert metadata.live(vault.id, at=moment, limit=1) == stood[:1]


PREFIXED = sorted(
    [
        "100%/a",
        "100%/b",
        "100x/a",
        "a_b/x",
        "aXb/x",
        "notes",
        "notes.md",
        "notes/a",
        "notes0",
        "é/x",
        "é/y",
        "ê",
        "🌱",
        "🌱🌱",
    ],
    key=str.encode,
)


@pytest.mark.parametrize(
    "prefix",
    ["", "100%", "100%/", "a_b", "a_", "notes", "notes/", "n", "é", "é/", "🌱", "\U0010ffff", "x", "%", "_", "NOTES"],
)
def test_a_prefix_means_its_very_letters(metadata: Metadata, vault: Vault, prefix: str) -> None:
    """No letter of it is a wildcard, and capitals are letters of their own."""
    last = append(metadata, vault.id, *((path, "A") for path in PREFIXED))[-1].stamp
    matching = [path for path in PREFIXED if path.startswith(prefix)]
    assert paths(metadata.live(vault.id, at=last, prefix=prefix, limit=100)) == matching
    for cut in range(len(matching)):
        after = matching[cut]
        page = metadata.live(vault.id, at=last, after=after, prefix=prefix, limit=2)
        assert paths(page) == matching[cut + 1 : cut + 3]
    assert paths(metadata.live(vault.id, at=last, after="", prefix=prefix, limit=1)) == matching[:1]


# -- a first listing


def snapshot(metadata: Metadata, vault_id: str, at: int, limit: int) -> list[Version]:
    after: str | None = ""
    seen: list[Version] = []
    while after is not None:
        page, after = metadata.listing(vault_id, at=at, after=after, limit=limit)
        assert len(page) <= limit
        seen += page
    return seen


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_a_first_listing_has_every_live_head_once(metadata: Metadata, vault: Vault, limit: int) -> None:
    written = append(
        metadata, vault.id, ("d", "D"), ("c", "-"), ("b", "B"), ("a", "A"), ("b", "b"), ("e", "E"), ("e", "-")
    )
    assert snapshot(metadata, vault.id, written[-1].stamp, limit) == [written[3], written[4], written[0]]


def test_a_first_listing_of_nothing_is_over_at_once(metadata: Metadata, vault: Vault) -> None:
    assert metadata.listing(vault.id, at=0, after="", limit=1) == ([], None)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_what_changes_during_a_first_listing_comes_after_its_moment(
    metadata: Metadata, backend: Backend, vault: Vault, limit: int
) -> None:
    """A writer edits, deletes and adds between the pages: listing and later changes together are the whole truth."""
    writer = backend.open()
    names = [f"{number:02}" for number in range(30)]
    moment = append(metadata, vault.id, *((name, "A") for name in names))[-1].stamp
    seen: dict[str, str | None] = {}
    after: str | None = ""
    pages = 0
    while after is not None:
        page, after = metadata.listing(vault.id, at=moment, after=after, limit=limit)
        assert all(version.stamp <= moment for version in page)
        assert not seen.keys() & set(paths(page))
        seen.update((version.path, version.hash) for version in page)
        pages += 1
        append(writer, vault.id, (names[pages * 7 % 30], "-" if pages % 3 else "B"), (f"{names[pages % 30]}+", "new"))
    for version in metadata.changes(vault.id, moment, 1000):
        seen[version.path] = version.hash
    now = metadata.live(vault.id, at=1 << 60, limit=1000)
    assert {path: digest for path, digest in seen.items() if digest} == {one.path: one.hash for one in now}


# -- the facts for a sync

letters = st.sampled_from("ABC-")
logs = st.lists(st.tuples(st.sampled_from("pqr"), letters), max_size=12)
asked = st.fixed_dictionaries(
    {
        path: st.tuples(st.integers(-1, 13), st.none() | st.sampled_from("ABC"), st.text("ABC", max_size=3))
        for path in "pqrs"
    }
)


@given(logs, asked)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_facts_are_head_and_settled_base_of_every_path_asked(
    metadata: Metadata,
    changes: list[tuple[str, str]],
    asked: dict[str, tuple[int, str | None, str]],
) -> None:
    """What the log's own words say, for bases that are known, unknown, older and newer, with and without hashes."""
    there = metadata.vault("fresh")
    if there is not None:
        metadata.remove_vault(there.id)
    vault = metadata.create_vault("fresh", "me")
    metadata.set_purge_mark(vault.id, 7)
    written = append(metadata, vault.id, *changes) if changes else []
    first = written[0].stamp if written else 100
    queries, expected = [], {}
    for path, (index, letter, sent) in asked.items():
        base = first + index if index >= 0 else None
        change = report("put", letter, base=base, sent=sent, path=path)
        queries.append(Query(path, base, evidence(change)))
        log = Log(tuple(version for version in written if version.path == path), purged=7)
        expected[path] = log.facts(change)
    assert metadata.facts(vault.id, queries) == expected


def test_facts_about_nothing_are_none(metadata: Metadata, vault: Vault) -> None:
    assert metadata.facts(vault.id, []) == {}


# -- one folder


def names(entries: list[Version | str]) -> list[str]:
    return [entry if isinstance(entry, str) else entry.path for entry in entries]


def in_pages(metadata: Metadata, vault_id: str, prefix: str, limit: int) -> list[Version | str]:
    found: list[Version | str] = []
    while True:
        page = metadata.folder(vault_id, prefix=prefix, after=names(found)[-1] if found else "", limit=limit)
        assert len(page) <= limit
        found += page
        if len(page) < limit:
            return found


def lies_in(live: list[Version], prefix: str) -> list[Version | str]:
    """What a folder shows, from all live heads: the rule in a few lines."""
    found: dict[str, Version | str] = {}
    for version in live:
        if version.path.startswith(prefix):
            inner, slash, _ = version.path[len(prefix) :].partition("/")
            found[prefix + inner + slash] = prefix + inner + slash if slash else version
    return [found[name] for name in sorted(found, key=str.encode)]


def test_a_folder_shows_its_files_and_each_folder_in_it_once(metadata: Metadata, vault: Vault) -> None:
    written = append(
        metadata, vault.id, *((path, "A") for path in ("n/b/x", "n/b/y/z", "n/a", "n/c", "n/é/x", "m", "n.md", "o/x"))
    )
    assert metadata.folder(vault.id, prefix="n/", after="", limit=10) == [written[2], "n/b/", written[3], "n/é/"]
    assert metadata.folder(vault.id, prefix="", after="", limit=10) == [written[5], written[6], "n/", "o/"]
    assert metadata.folder(vault.id, prefix="n", after="", limit=10) == [written[6], "n/"]
    assert metadata.folder(vault.id, prefix="none/", after="", limit=10) == []


def test_what_was_deleted_is_in_no_folder(metadata: Metadata, vault: Vault) -> None:
    append(metadata, vault.id, ("dead/a", "A"), ("dead/b/c", "A"), ("half/a", "A"), ("half/b", "A"), ("x", "A"))
    append(metadata, vault.id, ("dead/a", "-"), ("dead/b/c", "-"), ("half/a", "-"), ("x", "-"))
    (edited,) = append(metadata, vault.id, ("half/b", "B"))
    assert metadata.folder(vault.id, prefix="", after="", limit=10) == ["half/"]
    assert metadata.folder(vault.id, prefix="half/", after="", limit=10) == [edited]


def test_a_folder_goes_on_after_any_name(metadata: Metadata, vault: Vault) -> None:
    """A folder's name comes before all that lies in it: whoever names that has passed the folder."""
    append(metadata, vault.id, *((path, "A") for path in ("a", "b!", "b/x", "b/y", "b0", "c")))
    after = {"": "ab!b/b0c", "a": "b!b/b0c", "b": "b!b/b0c", "b!": "b/b0c", "b/": "b0c", "b/x": "b0c", "b/zz": "b0c"}
    after |= {"b0": "c", "bb": "c", "c": "", "\U0010ffff": ""}
    for name, left in after.items():
        assert "".join(names(metadata.folder(vault.id, prefix="", after=name, limit=10))) == left
    for name, inner in {"": "b/xb/y", "b/": "b/xb/y", "a": "b/xb/y", "b/x": "b/y", "b0": ""}.items():
        assert "".join(names(metadata.folder(vault.id, prefix="b/", after=name, limit=10))) == inner


def test_a_folders_names_come_in_byte_order(metadata: Metadata, vault: Vault) -> None:
    live = ["A", "a b/x", "a!", "a.b/y", "a/b", "a0", "é/x", "日", "\uff21/x", "🌱/x", "🌱🌱"]
    append(metadata, vault.id, *((path, "A") for path in reversed(live)))
    expected = ["A", "a b/", "a!", "a.b/", "a/", "a0", "é/", "日", "\uff21/", "🌱/", "🌱🌱"]
    for limit in (1, 2, 3, 100):
        assert names(in_pages(metadata, vault.id, "", limit)) == expected


def test_a_folder_of_thousands_is_shown_page_by_page(metadata: Metadata, vault: Vault) -> None:
    """More than is looked at in one go: side by side, in one folder among them, in many folders, and deleted ones."""
    paths_ = [f"a/{n:04}" for n in range(1_200)] + [f"b{n:04}" for n in range(1_100)] + ["c/1", "d"]
    paths_ += [f"e/{n:04}/{m:03}" for n in range(20) for m in range(100)] + ["f"]
    append(metadata, vault.id, *((path, "A") for path in paths_))
    append(metadata, vault.id, *((path, "-") for path in paths_ if path.startswith("a/") and path != "a/1199"))
    live = metadata.live(vault.id, at=1 << 60, limit=10_000)
    for prefix, limit in [("", 1_000), ("", 700), ("", 5_000), ("e/", 7), ("a/", 10), ("b", 300)]:
        assert in_pages(metadata, vault.id, prefix, limit) == lies_in(live, prefix)


parts = st.sampled_from(["a", "b", "a!", "é", "🌱"])
deep = st.lists(parts, min_size=1, max_size=3).map("/".join)


@given(st.lists(st.tuples(deep, st.sampled_from("A-")), max_size=15), st.integers(1, 4))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_folder_shows_what_lies_in_it(metadata: Metadata, changes: list[tuple[str, str]], limit: int) -> None:
    there = metadata.vault("fresh")
    if there is not None:
        metadata.remove_vault(there.id)
    vault = metadata.create_vault("fresh", "me")
    if changes:
        append(metadata, vault.id, *changes)
    live = metadata.live(vault.id, at=1 << 60, limit=100)
    for prefix in ["", "a", "a/", "a/b/", "é/", "🌱/a"]:
        assert in_pages(metadata, vault.id, prefix, limit) == lies_in(live, prefix)


# -- recent changes


def written_by(metadata: Metadata, vault_id: str, *changes: tuple[str, str, str]) -> list[Version]:
    """One put a change (path, device, user)."""

    def work(tx: Transaction) -> list[Version]:
        versions = [
            Version(path, "put", stamp, None, hash_of("A"), 1, None, device, user)
            for stamp, (path, device, user) in enumerate(changes, tx.first_stamp)
        ]
        tx.append(versions, Totals())
        return versions

    return metadata.transact(vault_id, work)


def recent(metadata: Metadata, vault_id: str, **chosen: Any) -> tuple[list[Version], int | None]:
    asked = {"before": 1 << 62, "since": 0, "device": None, "user": None, "prefix": "", "limit": 100}
    return metadata.recent(vault_id, **(asked | chosen))


def test_recent_changes_are_newest_first_between_two_stamps(metadata: Metadata, vault: Vault) -> None:
    written = append(metadata, vault.id, ("a", "A"), ("b", "B"), ("a", "-"), ("c", "C"), ("a", "D"))
    assert recent(metadata, vault.id) == (written[::-1], None)
    assert recent(metadata, vault.id, before=written[3].stamp) == (written[2::-1], None)
    assert recent(metadata, vault.id, since=written[1].stamp) == (written[:1:-1], None)
    assert recent(metadata, vault.id, before=written[3].stamp, since=written[1].stamp) == ([written[2]], None)
    assert recent(metadata, vault.id, before=written[0].stamp) == ([], None)
    assert recent(metadata, metadata.create_vault("other", "me").id) == ([], None)


def test_recent_changes_go_on_from_page_to_page(metadata: Metadata, vault: Vault) -> None:
    written = append(metadata, vault.id, ("a", "A"), ("b", "B"), ("a", "-"), ("c", "C"), ("a", "D"))
    seen: list[Version] = []
    before: int | None = 1 << 62
    while before is not None:
        page, before = recent(metadata, vault.id, before=before, limit=2)
        assert len(page) <= 2
        seen += page
    assert seen == written[::-1]


def test_recent_changes_can_be_those_of_a_device_a_user_and_below_a_prefix(metadata: Metadata, vault: Vault) -> None:
    a, b, c, d, e = written_by(
        metadata,
        vault.id,
        ("n/a", "laptop", "me"),
        ("n/b", "phone", "me"),
        ("n.md", "laptop", "me"),
        ("n/c", "laptop", "you"),
        ("N/d", "Laptop", "me"),
    )
    assert recent(metadata, vault.id, device="laptop") == ([d, c, a], None)
    assert recent(metadata, vault.id, user="me") == ([e, c, b, a], None)
    assert recent(metadata, vault.id, prefix="n/") == ([d, b, a], None)
    assert recent(metadata, vault.id, prefix="n/", device="laptop", user="me") == ([a], None)
    assert recent(metadata, vault.id, device="") == ([], None)
    assert recent(metadata, vault.id, device="laptop", limit=2) == ([d, c], c.stamp)
    assert recent(metadata, vault.id, device="laptop", since=a.stamp, before=d.stamp) == ([c], None)


def test_a_page_of_recent_changes_looks_at_a_bounded_number_of_versions(metadata: Metadata, vault: Vault) -> None:
    """It may be empty and yet not the last."""
    (first,) = written_by(metadata, vault.id, ("a", "phone", "me"))
    others = written_by(metadata, vault.id, *((f"b{n}", "laptop", "me") for n in range(LOOKED_AT + 10)))
    page, before = recent(metadata, vault.id, device="phone")
    assert (page, before) == ([], others[10].stamp)
    assert recent(metadata, vault.id, device="phone", before=before) == ([first], None)
