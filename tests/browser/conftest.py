"""A browser for all tests, and windows on a vault of the test's own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.browser import WIDE, Window, program, running
from tests.e2e.machines import House, Machine
from tests.server import GobiServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if program() is None and not os.environ.get("CI"):
        pytest.skip("no browser: install Chromium (Debian: apt install chromium) to have the page tested")
    with running() as one:
        yield one


@pytest.fixture
def house(shared_server: GobiServer, tmp_path: Path) -> House:
    return House([shared_server], f"page-{next(_numbers)}", tmp_path)


@pytest.fixture
def phone(house: House) -> Machine:
    return house.machine("phone")


@pytest.fixture
def laptop(house: House, phone: Machine) -> Machine:
    return house.machine("laptop")


@pytest.fixture
def open_window(browser: Browser, house: House) -> Iterator[Callable[..., Window]]:
    """Opens a window that is signed in. At the end none of them may have had a fault, or met the page's policy."""
    windows: list[Window] = []

    def make(size: tuple[int, int] = WIDE, scheme: str = "light") -> Window:
        windows.append(Window(browser, house.servers[0], house.vault, size, scheme).sign_in())
        return windows[-1]

    yield make
    troubles = [(one.faults, one.violations) for one in windows if one.faults or one.violations]
    for one in windows:
        one.close()
    assert troubles == []


@pytest.fixture
def window(open_window: Callable[..., Window]) -> Window:
    return open_window()
