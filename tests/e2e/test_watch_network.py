"""Two watched folders and a network that goes away and comes back: they agree again, with nobody doing anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.machines import House, Machine
from tests.e2e.watching import Watching, wait_until_in_step
from tests.proxy import Proxy
from tests.services import wait_until

NO_SWEEP = {"GOBI_SWEEP_S": "3600"}
OUTAGE_S = 60
# Until the last one finds out that its connection is dead: a request waits two minutes for an answer, then the client
# a minute at most before it tries again.
RECOVERY_S = 240


@pytest.fixture
def deployed() -> str:
    return "embedded"


@pytest.fixture
def network(own_house: House) -> Iterator[Proxy]:
    """Between both machines and a server that looks for nothing by itself."""
    own_house.server.restart(**NO_SWEEP)
    with own_house.proxy() as one:
        yield one


@pytest.fixture
def machines(own_house: House, network: Proxy) -> list[Machine]:
    laptop, desktop = (own_house.machine(name, url=network.url) for name in ("laptop", "desktop"))
    for machine in (laptop, desktop):
        for number in range(20):
            machine.write(f"{machine.name}/kept-{number}.md", f"note {number}")
    for machine in (laptop, desktop, laptop):
        machine.sync()
    return [laptop, desktop]


def edit(machine: Machine, turn: int) -> None:
    """What a person does all day: each in their own corner, so that nothing is a conflict."""
    machine.write(f"{machine.name}/diary.md", f"day {turn}")
    machine.write(f"{machine.name}/page-{turn}.md", f"page {turn}")
    if turn >= 3:
        machine.delete(f"{machine.name}/page-{turn - 3}.md")
    if turn % 5 == 4:
        machine.rename(f"{machine.name}/page-{turn}.md", f"{machine.name}/kept/{turn}.md")
        machine.write(f"{machine.name}/page-{turn}.md", f"page {turn} again")


def cut_off(network: Proxy, watching: list[Watching]) -> None:
    network.cut()
    for one in watching:
        one.machine.write(f"{one.machine.name}/cut.md", "first words of the outage")
        one.wait_for("offline")


def stalled(network: Proxy, watching: list[Watching]) -> None:
    network.stall()
    for one in watching:
        one.machine.write(f"{one.machine.name}/stalled.md", "first words of the outage")
    wait_until(lambda: network.held >= len(watching), "both to have sent what does not arrive")


@pytest.mark.parametrize("outage", [cut_off, stalled])
def test_after_a_short_outage_both_folders_are_the_same(
    own_house: House, network: Proxy, machines: list[Machine], outage: Callable[[Proxy, list[Watching]], None]
) -> None:
    with ExitStack() as stack:
        watching = [stack.enter_context(Watching(machine)) for machine in machines]
        outage(network, watching)
        for turn in range(10):
            for machine in machines:
                edit(machine, turn)
        own_house.put("elsewhere.md", b"somebody had a network")
        network.mend()
        wait_until_in_step(*machines)
        wait_until(lambda: set(machines[0].files()) == own_house.live(), "the server to have the same")
        edit(machines[0], 10)  # and so it goes on
        wait_until(lambda: machines[1].has("laptop/page-10.md"), "the next edit")
        wait_until_in_step(*machines)
        wait_until(lambda: set(machines[0].files()) == own_house.live(), "the server to have that too")
    agreed(own_house, machines, turn=9)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["refused", "silent", "silent and forgotten"])
def test_after_a_minute_without_a_network_both_folders_are_the_same(
    own_house: House, network: Proxy, machines: list[Machine], kind: str
) -> None:
    """Edits go on before, during and after it, on both machines and elsewhere."""
    with ExitStack() as stack:
        for machine in machines:
            stack.enter_context(Watching(machine))
        began = time.monotonic()
        turn = -1
        away = False
        while (now := time.monotonic() - began) < OUTAGE_S + 10:
            if not away and 5 < now < 5 + OUTAGE_S:
                network.cut() if kind == "refused" else network.stall()
                away = True
            elif away and now >= 5 + OUTAGE_S:
                network.mend(forget=kind == "silent and forgotten")
                away = False
            turn += 1
            for machine in machines:
                edit(machine, turn)
            own_house.put(f"elsewhere/{turn}.md", b"somebody had a network")
            time.sleep(0.25)  # people pause
        assert not away
        wait_until(lambda: machines[0].has(f"elsewhere/{turn}.md"), "the laptop to hear again", RECOVERY_S)
        wait_until_in_step(*machines, patience_s=RECOVERY_S)
        wait_until(lambda: set(machines[0].files()) == own_house.live(), "the server to have the same", RECOVERY_S)
    agreed(own_house, machines, turn)


def agreed(house: House, machines: list[Machine], turn: int) -> None:
    """Nothing was lost, nothing came back, and no edit of one's own became a conflict."""
    laptop, desktop = machines
    assert int(laptop.read("desktop/diary.md").removeprefix("day ")) >= turn
    assert int(desktop.read("laptop/diary.md").removeprefix("day ")) >= turn
    assert not laptop.has(f"desktop/page-{turn - 3}.md")
    assert not desktop.has(f"laptop/page-{turn - 3}.md")
    assert house.conflicts() == []
    for machine in machines:
        report = machine.sync("--json").json
        assert report["uploaded"] == report["downloaded"] == report["deleted_here"] == report["deleted_there"] == 0
