"""A site of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.handlers.site import Person, Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    yield one
    one.metadata.close()


@pytest.fixture
def me(site: Site) -> Person:
    return site.me
