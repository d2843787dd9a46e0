"""How one sequence of lines became another: always right, whatever the lines are, and never long in coming."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import diff
from sync.diff import Change, changes

FEW = st.lists(st.integers(0, 4), max_size=30)
MANY = st.lists(st.integers(0, 40), max_size=30)


def replay(old: list[int], found: list[Change], new: list[int]) -> list[int]:
    """The old lines with the changes made."""
    lines: list[int] = []
    done = 0
    for one in found:
        lines += old[done : one.old[0]]
        assert len(lines) == one.new[0]
        lines += new[slice(*one.new)]
        done = one.old[1]
    return lines + old[done:]


@given(st.one_of(st.tuples(FEW, FEW), st.tuples(MANY, MANY)))
def test_what_is_said_to_have_changed_makes_the_old_lines_the_new_ones(texts: tuple[list[int], list[int]]) -> None:
    old, new = texts
    found = changes(old, new)
    assert replay(old, found, new) == new
    for one in found:
        assert one.old[0] < one.old[1] or one.new[0] < one.new[1]
    for one, following in pairwise(found):
        assert one.old[1] < following.old[0]
        assert one.new[1] < following.new[0]


@given(MANY)
def test_the_same_lines_have_no_changes(lines: list[int]) -> None:
    assert changes(lines, lines) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("", "ab", [((0, 0), (0, 2))]),
        ("ab", "", [((0, 2), (0, 0))]),
        ("abc", "aXc", [((1, 2), (1, 2))]),
        ("abcabc", "xabcabcx", [((0, 0), (0, 1)), ((6, 6), (7, 8))]),
        # One more of equal lines is the last one of them.
        ("aab", "aaab", [((2, 2), (2, 3))]),
        ("xababy", "xabababy", [((5, 5), (5, 7))]),
        ("aaab", "ab", [((1, 3), (1, 1))]),
        # What stands once in both is what the rest goes by.
        ("-a--b-", "-b--a-", [((1, 4), (1, 1)), ((6, 6), (3, 6))]),
    ],
)
def test_the_changes_are_those_that_a_person_would_name(
    old: str, new: str, found: list[tuple[tuple[int, int], tuple[int, int]]]
) -> None:
    assert changes([*map(ord, old)], [*map(ord, new)]) == [Change(*one) for one in found]


@pytest.mark.parametrize(("most_work", "most_different"), [(0, 0), (1, 1), (30, 3), (10_000, 2), (100, 1_000)])
def test_what_costs_too_much_is_said_more_coarsely_and_still_rightly(
    monkeypatch: pytest.MonkeyPatch, most_work: int, most_different: int
) -> None:
    monkeypatch.setattr(diff, "MOST_WORK", most_work)
    monkeypatch.setattr(diff, "MOST_DIFFERENT", most_different)
    chance = random.Random(7)
    for _ in range(300):
        old, new = ([chance.randrange(4) for _ in range(chance.randrange(40))] for _ in range(2))
        assert replay(old, changes(old, new), new) == new
