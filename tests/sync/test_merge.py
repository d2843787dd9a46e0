"""Three texts into one: nothing that a side wrote is lost, nothing is decided that is not certain."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync import merge as merging
from sync.merge import Hunk, Merge, NotMergeable, merge

BOM = "\ufeff".encode()

# -- texts that hypothesis makes: few different lines, so that sides have some in common, and every style


def written(lines: list[str], ending: str, closed: bool, bom: bool) -> bytes:
    text = ending.join(lines) + (ending if closed and lines else "")
    return (BOM if bom else b"") + text.encode()


LINES = st.lists(st.sampled_from(["", "a", "b", "c", "d\u2028e", " f"]), max_size=8)
PLAIN = st.builds(written, LINES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
MIXED = st.lists(st.sampled_from(["a\n", "a\r\n", "b\r", "b\r\r\n", "\n", "\r", "c"]), max_size=8).map(
    lambda pieces: "".join(pieces).encode()
)
TEXTS = st.one_of(PLAIN, PLAIN, MIXED)


def numbered(text: str) -> list[str]:
    """Lines as the ranges count them."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def words(raw: bytes) -> list[str]:
    """Lines without what is merged as a style."""
    return [line.rstrip("\r") for line in numbered(raw.decode().removeprefix("\ufeff"))]


def conflicting(one: Merge) -> list[Hunk]:
    return [hunk for hunk in one.hunks if hunk.kind == "conflict"]


def side_of(hunk: Hunk) -> tuple[int, int]:
    return hunk.server if hunk.kind == "server" else hunk.client


# -- what always holds


@given(TEXTS, TEXTS, TEXTS)
def test_every_line_that_a_side_added_is_in_the_result(base: bytes, client: bytes, server: bytes) -> None:
    """As often as it was added."""
    found = Counter(words(merge(base, client, server).text.encode()))
    for side in (client, server):
        added = Counter(words(side)) - Counter(words(base))
        assert added <= found


@given(TEXTS, TEXTS, TEXTS)
def test_all_that_a_side_has_in_a_conflict_is_between_its_markers(base: bytes, client: bytes, server: bytes) -> None:
    found = merge(base, client, server, client_name="phone", server_name="laptop")
    lines, mine, yours = words(found.text.encode()), words(client), words(server)
    for hunk in conflicting(found):
        expected = ["<<<<<<< phone", *mine[slice(*hunk.client)], "=======", *yours[slice(*hunk.server)]]
        assert lines[slice(*hunk.text)] == [*expected, ">>>>>>> laptop"]
    assert found.clean == (not conflicting(found))


@given(TEXTS, TEXTS)
def test_a_side_that_changed_nothing_leaves_the_other_byte_for_byte(base: bytes, other: bytes) -> None:
    for found in (merge(base, other, base), merge(base, base, other)):
        assert found.clean
        assert found.text.encode() == other
    assert {hunk.kind for hunk in merge(base, other, base).hunks} <= {"client"}
    assert {hunk.kind for hunk in merge(base, base, other).hunks} <= {"server"}


@given(TEXTS, TEXTS)
def test_two_sides_that_are_the_same_are_the_result(base: bytes, other: bytes) -> None:
    found = merge(base, other, other)
    assert found.clean
    assert found.text.encode() == other
    assert {hunk.kind for hunk in found.hunks} <= {"same"}


@given(TEXTS, TEXTS, TEXTS)
@example(b"", b"a\nb\n", b"b\na\n")
def test_it_does_not_matter_which_side_is_called_the_client(base: bytes, client: bytes, server: bytes) -> None:
    one, other = merge(base, client, server), merge(base, server, client)
    swapped = {"client": "server", "server": "client"}
    assert [Hunk(h.kind, h.base, h.client, h.server, h.text) for h in one.hunks] == [
        Hunk(swapped.get(h.kind, h.kind), h.base, h.server, h.client, h.text)  # type: ignore[arg-type]
        for h in other.hunks
    ]
    assert one.clean == other.clean
    if one.clean:
        assert one.text == other.text


@given(TEXTS, TEXTS, TEXTS)
def test_the_result_is_the_base_with_the_hunks_in_their_places(base: bytes, client: bytes, server: bytes) -> None:
    """What is between two hunks is the same in all of them."""
    found = merge(base, client, server)
    lines, b, c, s = words(found.text.encode()), words(base), words(client), words(server)
    rebuilt: list[str] = []
    at = [0, 0, 0]
    for hunk in found.hunks:
        assert hunk.base[0] >= at[0]
        between = b[at[0] : hunk.base[0]]
        assert between == c[at[1] : hunk.client[0]] == s[at[2] : hunk.server[0]]
        rebuilt += between
        assert hunk.text[0] == len(rebuilt)
        rebuilt += lines[slice(*hunk.text)]
        if hunk.kind != "conflict":
            assert lines[slice(*hunk.text)] == (s if hunk.kind == "server" else c)[slice(*side_of(hunk))]
        if hunk.kind == "same":
            assert c[slice(*hunk.client)] == s[slice(*hunk.server)]
        at = [hunk.base[1], hunk.client[1], hunk.server[1]]
    assert b[at[0] :] == c[at[1] :] == s[at[2] :]
    assert rebuilt + b[at[0] :] == lines


# -- who changed what


@pytest.mark.parametrize(
    ("base", "client", "server", "kinds", "text"),
    [
        ("abcde", "aBcde", "abcdE", ["client", "server"], "aBcdE"),
        ("abcde", "aBcde", "aBcde", ["same"], "aBcde"),
        ("abcde", "aBcdE", "aBcde", ["same", "client"], "aBcdE"),
        ("abc", "", "abc", ["client"], ""),
        ("abc", "abc", "", ["server"], ""),
        ("abc", "", "", ["same"], ""),
        ("abc", "abcd", "xabc", ["server", "client"], "xabcd"),
        ("abcd", "bcd", "abc", ["client", "server"], "bc"),
        # No unchanged line between the two.
        ("ab", "Ab", "aB", ["conflict"], "<Ab=aB>"),
        ("ab", "axb", "ab" + "y", ["client", "server"], "axby"),
        ("ab", "axb", "ayb", ["conflict"], "a<x=y>b"),
        ("abc", "abc" + "x", "ab", ["conflict"], "ab<cx=>"),
        ("abc", "aBc", "ac", ["conflict"], "a<B=>c"),
        # Both new: what they have in common is no conflict, what only one of them has is one.
        ("", "abc", "abc", ["same"], "abc"),
        ("", "abc", "aXc", ["same", "conflict", "same"], "a<b=X>c"),
        ("", "ab", "abc", ["same", "conflict"], "ab<=c>"),
        ("", "a", "b", ["conflict"], "<a=b>"),
        ("", "a", "", ["client"], "a"),
        # The same in a place where both added to a text that was there.
        ("ab", "axyb", "axzb", ["same", "conflict"], "ax<y=z>b"),
    ],
)
def test_whose_change_a_region_is(base: str, client: str, server: str, kinds: list[str], text: str) -> None:
    """A letter is a line; `<`, `=` and `>` are the markers."""
    markers = {"<": "<<<<<<< client", "=": "=======", ">": ">>>>>>> server"}
    found = merge(*("".join(f"{line}\n" for line in side).encode() for side in (base, client, server)))
    assert [hunk.kind for hunk in found.hunks] == kinds
    assert found.text == "".join(f"{markers.get(line, line)}\n" for line in text)


def test_a_hunk_says_where_it_is_in_all_four_texts() -> None:
    found = merge(b"1\n2\n3\n4\n5\n", b"1\nx\ny\n3\n4\nours\n", b"0\n1\n2\n3\n4\n")
    assert found.hunks == (
        Hunk("server", (0, 0), (0, 0), (0, 1), (0, 1)),
        Hunk("client", (1, 2), (1, 3), (2, 3), (2, 4)),
        Hunk("conflict", (4, 5), (5, 6), (5, 5), (6, 10)),
    )
    assert found.text.split("\n")[6:10] == ["<<<<<<< client", "ours", "=======", ">>>>>>> server"]


# -- endings, the last newline, byte order marks


@pytest.mark.parametrize(
    ("base", "client", "server", "text"),
    [
        # One side changed every ending, the other one edited.
        (b"a\nb\nc\n", b"a\r\nb\r\nc\r\n", b"a\nB\nc\n", "a\r\nB\r\nc\r\n"),
        (b"a\r\nb\r\nc\r\n", b"a\nb\nc\n", b"a\r\nB\r\nc\r\n", "a\nB\nc\n"),
        (b"a\nb\n", b"a\r\nb\r\n", b"a\r\nb\r\n", "a\r\nb\r\n"),
        # A side without any ending tells nothing about the style.
        (b"a\r\nb\r\n", b"b", b"a\r\nb\r\n", "b"),
        # The last newline, and an edit elsewhere, or of that very line.
        (b"a\nb\nc\n", b"a\nb\nc", b"A\nb\nc\n", "A\nb\nc"),
        (b"a\nb\nc", b"a\nb\nc\n", b"a\nb\nC", "a\nb\nC\n"),
        # Lines are never glued together.
        (b"a\nb", b"a\nb\nc", b"X\na\nb", "X\na\nb\nc"),
        (b"a\nb\n", b"a\nb", b"a\nb\nc\n", "a\nb\nc"),
        (b"a\nb", b"b", b"a\nb\nc", "b\nc"),
        # An empty line at the end is there only by its newline.
        (b"\nb\n", b"\nb", b"\n", "\n"),
        # A byte order mark.
        (b"a\nb\n", BOM + b"a\nb\n", b"A\nb\n", "\ufeffA\nb\n"),
        (BOM + b"a\nb\n", b"a\nb\n", BOM + b"a\nB\n", "a\nB\n"),
        # Two new texts in different styles.
        (b"", b"a\r\nb\r\n", b"a\nb", "a\nb\n"),
        # Mixed endings are compared as they are.
        (b"a\r\nb\nc\n", b"a\r\nb\nC\n", b"A\r\nb\nc\n", "A\r\nb\nC\n"),
        (b"a\r\nb\nc\nd\n", b"a\nb\nc\nd\n", b"a\r\nb\nc\nD\n", "a\nb\nc\nD\n"),
        # A return that is no part of an ending stays what it is.
        (b"a\r\r\nb\r\nc\r\n", b"a\r\r\nb\r\nC\r\n", b"A\r\nb\r\nc\r\n", "A\r\nb\r\nC\r\n"),
        # Other characters that end lines elsewhere do not here.
        ("a\u2028b\x0bc\x85\nd\n".encode(), "a\u2028b\x0bc\x85\nd\ne\n".encode(), b"d\n", "d\ne\n"),
    ],
)
def test_style_is_merged_beside_the_words(base: bytes, client: bytes, server: bytes, text: str) -> None:
    found = merge(base, client, server)
    assert found.clean
    assert found.text == text


def test_mixed_endings_that_both_changed_are_a_conflict() -> None:
    assert not merge(b"a\r\nb\n", b"a\nb\n", b"A\r\nb\n").clean


def test_markers_have_the_endings_of_the_text_and_always_one_of_their_own() -> None:
    found = merge(b"a\r\nb", b"a\r\nours", b"a\r\ntheirs", client_name="phone", server_name="desk top")
    assert found.text == "a\r\n<<<<<<< phone\r\nours\r\n=======\r\ntheirs\r\n>>>>>>> desk top\r\n"


# -- declined


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"a\xff\n", "not-text"),
        (b"\xed\xa0\x80\n", "not-text"),  # half of a surrogate pair
        (b"a\0b\n", "not-text"),
        ("ä\n".encode("utf-16"), "not-text"),
        (b"a" * (merging.MOST_BYTES + 1), "too-large"),
        (b"\n" * (merging.MOST_LINES + 1), "too-large"),
        (b"\n" * merging.MOST_LINES + b"a", "too-large"),
    ],
)
def test_what_is_no_text_or_too_much_is_declined_on_whichever_side(raw: bytes, reason: str) -> None:
    for place in range(3):
        texts = [b"", b"", b""]
        texts[place] = raw
        with pytest.raises(NotMergeable) as declined:
            merge(*texts)
        assert declined.value.reason == reason


def test_as_much_as_is_allowed_is_merged() -> None:
    long, many = b"a" * merging.MOST_BYTES, b"\n" * merging.MOST_LINES
    assert merge(b"", long, b"").text.encode() == long
    assert merge(b"", many, many).text.encode() == many


# -- beside git


def random_side(chance: random.Random, lines: list[str], fresh: Callable[[], str]) -> list[str]:
    """Lines with up to four places added to, cut or replaced."""
    side = list(lines)
    for _ in range(chance.randrange(5)):
        at, what = chance.randrange(len(side) + 1), chance.random()
        new = [fresh() for _ in range(chance.randrange(1, 4))]
        if what < 0.4:
            side[at:at] = new
        elif what < 0.7:
            del side[at : at + chance.randrange(1, 4)]
        else:
            side[at : at + len(new)] = new
    return side


def triple(chance: random.Random, different: int | None) -> list[bytes]:
    """Client, base and server, of so many different lines (None: no two lines are equal)."""
    numbers = iter(range(1_000_000))

    def fresh() -> str:
        return f"line {next(numbers) if different is None else chance.randrange(different)}\n"

    base = [fresh() for _ in range(chance.randrange(40))]
    sides = [random_side(chance, base, fresh), base, random_side(chance, base, fresh)]
    return ["".join(side).encode() for side in sides]


def git_merge(folder: Path, texts: list[bytes]) -> tuple[bool, str]:
    names = ["client", "base", "server"]
    for name, text in zip(names, texts, strict=True):
        (folder / name).write_bytes(text)
    done = subprocess.run(["git", "merge-file", "-p", *names], cwd=folder, capture_output=True)
    assert done.returncode < 128, done.stderr
    return done.returncode == 0, done.stdout.decode()


def test_where_no_line_stands_twice_git_says_the_same(tmp_path: Path) -> None:
    """Then there is one way only in which a side can have come of the base."""
    chance, clean = random.Random(20261124), 0
    for _ in range(500):
        client, base, server = texts = triple(chance, None)
        found = merge(base, client, server)
        is_clean, text = git_merge(tmp_path, texts)
        assert found.clean == is_clean, texts
        if is_clean:
            clean += 1
            assert found.text == text
    assert 100 < clean < 400


def test_where_lines_stand_twice_git_hardly_ever_says_otherwise(tmp_path: Path) -> None:
    """Which of two equal lines was removed cannot be known, so one program may see two changes apart where the other
    one sees them touch: in at most 2 of 100. Where both are clean, the lines are the same, at most in another order; or
    both sides added a line, and only one program sees that it was the same one."""
    chance, otherwise, clean = random.Random(20261124), 0, 0
    for number in range(500):
        client, base, server = texts = triple(chance, (4, 10, 40)[number % 3])
        found = merge(base, client, server)
        is_clean, text = git_merge(tmp_path, texts)
        clean += is_clean
        if found.clean != is_clean:
            otherwise += 1
            assert any(count > 1 for count in Counter(b"".join(texts).split(b"\n")).values())
        elif is_clean and found.text != text:
            otherwise += 1
            in_one_place = any(hunk.kind == "same" for hunk in found.hunks)
            assert in_one_place or Counter(found.text.split("\n")) == Counter(text.split("\n")), texts
    assert otherwise <= 10
    assert 100 < clean < 450
