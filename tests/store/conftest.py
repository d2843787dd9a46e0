"""Fixtures for the tests of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.at(tmp_path)
