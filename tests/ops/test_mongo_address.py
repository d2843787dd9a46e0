"""An address of MongoDB that cannot be: the start says which setting is wrong, and shows nothing of the password."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server import GobiServer


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://me:s3cret@127.0.0.1:99999/",
        "mongodb://me:s3cret@127.0.0.1,127.0.0.2/?directConnection=true",
        "mongodb://me:s3cret@127.0.0.1/?tls=true&tlsCAFile=/nonexistent.pem",
        "mongodb://me:s3c/s3cret@127.0.0.1/",
        "mongodb://me:s3cret@/",
    ],
)
def test_an_address_that_cannot_be_stops_the_start(tmp_path: Path, uri: str) -> None:
    server = GobiServer(tmp_path / "server", GOBI_MONGO_URI=uri)
    done = server.gobi("serve")
    assert done.returncode == 78, done.stderr
    assert done.stderr.count("\n") == 1
    assert "GOBI_MONGO_URI" in done.stderr
    assert "s3c" not in done.stderr
