"""How one sequence of lines became another: the changed ranges, in bounded time whatever the lines are.

Lines that stand once in both are matched first (patience diff): they tell more than blank lines and brackets do.
Between them the shortest edit is looked for (Myers). Work is counted, not timed: where it is used up, the rest of a
stretch counts as changed as a whole. So a result is always right, and on hostile input only coarser than it could be.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# Lines looked at and steps taken. An ordinary edit of 20,000 lines takes a tenth of this.
MOST_WORK = 800_000
# Lines that differ in one stretch without a unique line. What is remembered on the way grows with its square.
MOST_DIFFERENT = 1_000

Pair = tuple[int, int]


class Change(NamedTuple):
    """Lines `old` (half-open, 0-based) became lines `new`. One of the two may be empty, never both."""

    old: tuple[int, int]
    new: tuple[int, int]


def changes(old: Sequence[int], new: Sequence[int]) -> list[Change]:
    """The changed ranges in order, with at least one unchanged line between any two. Lines are given as numbers."""
    return _slide_down(old, new, _between(_matched(old, new), len(old), len(new)))


def _matched(old: Sequence[int], new: Sequence[int]) -> list[tuple[int, int, int]]:
    """Runs of equal lines: (start in old, start in new, length). Not in order."""
    runs: list[tuple[int, int, int]] = []
    work = MOST_WORK
    open_stretches = [(0, len(old), 0, len(new))]
    while open_stretches:
        a, a_end, b, b_end = open_stretches.pop()
        head = _equal_ahead(old, new, a, a_end, b, b_end)
        tail = _equal_behind(old, new, a + head, a_end, b + head, b_end)
        runs += [(a, b, head), (a_end - tail, b_end - tail, tail)]
        a, a_end, b, b_end = a + head, a_end - tail, b + head, b_end - tail
        work -= head + tail + (a_end - a) + (b_end - b)
        if a == a_end or b == b_end or work <= 0:
            continue
        anchors = _unique(old, new, a, a_end, b, b_end)
        if not anchors:
            found, spent = _shortest(old, new, (a, a_end), (b, b_end), work)
            work -= spent
            runs += [(i, j, 1) for i, j in found]
            continue
        runs += [(i, j, 1) for i, j in anchors]
        for i, j in [*anchors, (a_end, b_end)]:
            if a < i and b < j:
                open_stretches.append((a, i, b, j))
            a, b = i + 1, j + 1
    return runs


def _equal_ahead(old: Sequence[int], new: Sequence[int], a: int, a_end: int, b: int, b_end: int) -> int:
    length, most = 0, min(a_end - a, b_end - b)
    while length < most and old[a + length] == new[b + length]:
        length += 1
    return length


def _equal_behind(old: Sequence[int], new: Sequence[int], a: int, a_end: int, b: int, b_end: int) -> int:
    length, most = 0, min(a_end - a, b_end - b)
    while length < most and old[a_end - length - 1] == new[b_end - length - 1]:
        length += 1
    return length


def _unique(old: Sequence[int], new: Sequence[int], a: int, a_end: int, b: int, b_end: int) -> list[Pair]:
    """The longest row, in the order of both, of lines that stand once in each stretch."""
    before, after = Counter(old[a:a_end]), Counter(new[b:b_end])
    where = {line: index for index, line in enumerate(new[b:b_end], b) if after[line] == 1 == before[line]}
    pairs = [(index, where[line]) for index, line in enumerate(old[a:a_end], a) if line in where]
    ends: list[int] = []  # the smallest last place, in new, of a row of each length
    rows: list[int] = []  # which pair that is
    behind: list[int] = []  # by pair: the one before it in its row
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        ends[length : length + 1] = [place]
        rows[length : length + 1] = [number]
        behind.append(rows[length - 1] if length else -1)
    row: list[Pair] = []
    number = rows[-1] if rows else -1
    while number >= 0:
        row.append(pairs[number])
        number = behind[number]
    return row[::-1]


def _shortest(
    old: Sequence[int], new: Sequence[int], here: tuple[int, int], there: tuple[int, int], work: int
) -> tuple[list[Pair], int]:
    """Pairs of a longest common subsequence, and what finding it took; no pairs where it would take more than `work`.

    Myers, "An O(ND) Difference Algorithm" (1986), after lines that the other stretch does not have are left out.
    """
    known = set(old[slice(*here)]) & set(new[slice(*there)])
    xs = [index for index in range(*here) if old[index] in known]
    ys = [index for index in range(*there) if new[index] in known]
    x_end, y_end = len(xs), len(ys)
    most = min(x_end + y_end, MOST_DIFFERENT)
    zero = most + 1  # where the diagonal x - y = 0 stands in `reached`
    reached = array("i", [-1]) * (2 * most + 3)  # by diagonal: how far in xs
    reached[zero + 1] = 0
    rounds: list[array[int]] = []
    spent = 0
    for different in range(most + 1):
        rounds.append(reached[zero - different - 1 : zero + different + 2])
        for place in range(zero - different, zero + different + 1, 2):
            x = start = _step(reached, place, zero - different, zero + different)[1]
            y = x - (place - zero)
            while x < x_end and y < y_end and old[xs[x]] == new[ys[y]]:
                x, y = x + 1, y + 1
            reached[place] = x
            spent += 1 + x - start
            if x >= x_end and y >= y_end:
                return [(xs[i], ys[j]) for i, j in _way_back(rounds, x_end, y_end)], spent
        if spent > work:
            break
    return [], spent


def _step(reached: array[int], place: int, lowest: int, highest: int) -> tuple[int, int]:
    """From which place the diagonal at `place` is entered, and at which x."""
    if place == lowest or (place != highest and reached[place - 1] < reached[place + 1]):
        return place + 1, reached[place + 1]
    return place - 1, reached[place - 1] + 1


def _way_back(rounds: list[array[int]], x: int, y: int) -> Iterator[Pair]:
    """The equal pairs on the way that the rounds found, from the end to the beginning."""
    for different in range(len(rounds) - 1, -1, -1):
        reached, zero = rounds[different], different + 1
        before, entered = _step(reached, x - y + zero, 1, 2 * different + 1)
        while x > entered:
            x, y = x - 1, y - 1
            yield x, y
        x = reached[before]
        y = x - (before - zero)


def _between(runs: list[tuple[int, int, int]], old_end: int, new_end: int) -> list[Change]:
    """What lies between the runs."""
    found: list[Change] = []
    a = b = 0
    for i, j, length in [*sorted(run for run in runs if run[2]), (old_end, new_end, 0)]:
        if a < i or b < j:
            found.append(Change((a, i), (b, j)))
        a, b = i + length, j + length
    return found


def _slide_down(old: Sequence[int], new: Sequence[int], found: list[Change]) -> list[Change]:
    """Lines that were only added, or only removed, are said to be as far down as is true: of "one more of three equal
    lines", both sides then say the same."""
    settled: list[Change] = []  # from the last to the first
    for change in reversed(found):
        (a, a_end), (b, b_end) = change
        while True:
            following = settled[-1].old[0] if settled else len(old)
            while a_end < following and (
                (a == a_end and new[b] == new[b_end]) or (b == b_end and old[a] == old[a_end])
            ):
                a, a_end, b, b_end = a + 1, a_end + 1, b + 1, b_end + 1
            if not settled or a_end < following:
                break
            touched = settled.pop()
            a_end, b_end = touched.old[1], touched.new[1]
        settled.append(Change((a, a_end), (b, b_end)))
    return settled[::-1]
