"""What `gobi doctor` says of a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.looking import doctor
from tests.server import GobiServer
from tests.services import Redis, free_port


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    one = Redis(tmp_path / "redis").start()
    yield one
    one.stop()


def test_a_redis_that_is_down(offline: GobiServer) -> None:
    port = free_port()
    report = doctor(offline, GOBI_REDIS_URL=f"redis://127.0.0.1:{port}/0")
    assert report.exit_code == 69
    assert f"nothing listens on 127.0.0.1:{port}" in report.told("wrong", "Redis")


def test_a_redis_that_hangs(offline: GobiServer, own_redis: Redis) -> None:
    own_redis.pause()
    report = doctor(offline, GOBI_REDIS_URL=own_redis.url)
    assert (report.exit_code, "does not answer" in report.told("wrong", "Redis")) == (69, True)


def test_a_redis_that_wants_another_password(offline: GobiServer, own_redis: Redis) -> None:
    own_redis.client().config_set("requirepass", "geheim")
    report = doctor(offline, GOBI_REDIS_URL=own_redis.url.replace("//", "//:wrong@"))
    assert (report.exit_code, "it refuses the password" in report.told("wrong", "Redis")) == (78, True)
    report = doctor(offline, GOBI_REDIS_URL=own_redis.url)
    assert (report.exit_code, "it wants a password" in report.told("wrong", "Redis")) == (78, True)


def test_a_redis_whose_user_may_not_publish(offline: GobiServer, own_redis: Redis) -> None:
    commands = ["+ping", "+subscribe", "+unsubscribe"]
    own_redis.client().acl_setuser("weak", enabled=True, passwords=["+geheim"], commands=commands, channels=["*"])
    offline.add_user()
    report = doctor(offline, GOBI_REDIS_URL=own_redis.url.replace("//", "//weak:geheim@"))
    assert (report.exit_code, "ACL SETUSER" in report.told("wrong", "Redis")) == (1, True)


@pytest.mark.parametrize("option", ["decode_responses=True", "protocol=3", "encoding=latin-1", "max_connections=1"])
def test_an_option_that_would_make_workers_deaf_is_refused(offline: GobiServer, option: str) -> None:
    url = f"redis://:geheim@127.0.0.1:{free_port()}/0?{option}"
    report = doctor(offline, GOBI_REDIS_URL=url)
    name = option.partition("=")[0]
    assert (report.exit_code, f"the option {name}" in report.told("wrong", "Redis")) == (78, True)
    done = offline.gobi("serve")
    assert (done.returncode, done.stderr.count("\n"), "geheim" in done.stderr) == (78, 1, False)
    assert f"GOBI_REDIS_URL: the option {name}" in done.stderr
