"""An address of MongoDB that cannot be: the start says which setting is wrong, and shows nothing of the password."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.mongo import TIMEOUT_MS, MongoMetadata
from tests.ops.looking import doctor
from tests.server import GobiServer
from tests.services import free_port


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


@pytest.mark.parametrize(
    "option",
    ["timeoutMS=abc", "timeoutMS=", "timeoutMS=0", "timeoutMS=-5", "tls=maybe", "maxPoolSize=many", "retryWrites=2"],
)
def test_an_option_that_cannot_be_used_stops_the_start(tmp_path: Path, option: str) -> None:
    """The driver would go on without it: without a deadline, say, or without TLS."""
    server = GobiServer(tmp_path / "server", GOBI_MONGO_URI=f"mongodb://me:s3c@127.0.0.1:{free_port()}/?{option}")
    done = server.gobi("serve")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert "GOBI_MONGO_URI" in done.stderr
    assert option.partition("=")[0].lower() in done.stderr.lower()
    assert "s3c" not in done.stderr
    report = doctor(server)
    assert report.exit_code == 78
    assert option.partition("=")[0].lower() in report.told("wrong", "MongoDB").lower()


@pytest.mark.parametrize("option", ["useNewUrlParser=true", "appName=timeoutMS", "tz_aware=true"])
def test_an_option_that_does_no_harm_is_let_be_and_every_command_has_its_deadline(option: str) -> None:
    metadata = MongoMetadata(f"mongodb://me:timeoutMS=x@127.0.0.1:{free_port()}/?{option}", "gobi")
    assert metadata._client._timeout == TIMEOUT_MS / 1000
    assert metadata._client.codec_options.tz_aware is False
    metadata.close()


def test_who_is_far_away_says_how_long_a_command_may_take() -> None:
    metadata = MongoMetadata(f"mongodb://127.0.0.1:{free_port()}/?TimeoutMs=10000", "gobi")
    assert metadata._client._timeout == 10
    metadata.close()
