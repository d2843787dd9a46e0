"""Which vault a folder belongs to, and where the password is kept."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from client import config as configuration
from client.config import BadUrl, Config, normalise_url, shown
from client.ports import Stopped
from sync.addresses import is_loopback

URL = "https://pi.example.org"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path / "home"


def config(url: str = URL, insecure: bool = False) -> Config:
    return Config(url, "notes", "me", "laptop", insecure, configuration.new_id())


# ------------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("https://pi.example.org", "https://pi.example.org"),
        ("HTTPS://Pi.Example.org:443/", "https://pi.example.org"),
        (" https://pi.example.org:8443//", "https://pi.example.org:8443"),
        ("https://pi.example.org/gobi/", "https://pi.example.org/gobi"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8787", "http://[::1]:8787"),
        ("http://localhost:8787", "http://localhost:8787"),
        ("https://pi.example.org/gö", "https://pi.example.org/g%C3%B6"),
        ("https://pi.example.org/a b/%C3%B6", "https://pi.example.org/a%20b/%C3%B6"),
        ("https://münchen.example.org", "https://münchen.example.org"),
        ("https://my_pi.local.:8443", "https://my_pi.local.:8443"),
    ],
)
def test_one_server_has_one_address(given: str, meant: str) -> None:
    assert normalise_url(given) == meant
    assert normalise_url(meant) == meant


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("pi.example.org", "write it like"),
        ("ftp://pi.example.org", "write it like"),
        ("https://", "write it like"),
        ("https://pi:port", "not an address"),
        ("https://a..b", "slip of the keyboard"),
        ("https://.example.org", "slip of the keyboard"),
        (f"https://{'a' * 64}.example.org", "slip of the keyboard"),
        (f"https://{'ü' * 64}.example.org", "slip of the keyboard"),
        (f"https://{'a.' * 130}org", "slip of the keyboard"),
        ("https://pi example.org", "slip of the keyboard"),
        ("https://-pi.example.org", "slip of the keyboard"),
        ("https://pi,example.org", "slip of the keyboard"),
        ("https://[::g]", "not an address"),
        ("https://me:secret@pi.example.org", "--user"),
        ("https://pi.example.org/?a=1", "leave out"),
        ("https://pi.example.org/#top", "leave out"),
    ],
)
def test_a_wrong_address_is_refused_with_advice(url: str, advice: str) -> None:
    with pytest.raises(BadUrl, match=advice) as refused:
        normalise_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "host", ["pi.example.org", "192.168.1.5", "127.0.0.1.example.org", "notlocalhost", "1270.0.0.1"]
)
def test_plain_http_to_another_machine_needs_to_be_asked_for(host: str) -> None:
    with pytest.raises(BadUrl, match="--insecure"):
        normalise_url(f"http://{host}:8787")
    assert normalise_url(f"http://{host}:8787", insecure=True) == f"http://{host}:8787"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.3.4", "::1", "localhost", "LOCALHOST.", "pi.localhost"])
def test_loopback_is_this_machine_only(host: str) -> None:
    assert is_loopback(host)


# ------------------------------------------------------------------------------------------------ what is remembered


def test_a_folder_remembers_its_vault_and_the_password_stays_outside_it(folder: Path) -> None:
    mine = config()
    configuration.save(folder, mine, "correct horse")
    assert configuration.load(folder) == mine
    assert configuration.password(folder, mine) == "correct horse"
    assert all("correct horse" not in path.read_text() for path in folder.rglob("*") if path.is_file())


def test_only_the_owner_can_read_the_password(folder: Path, home: Path) -> None:
    configuration.save(folder, config(), "correct horse")
    (secret,) = (home / ".config" / "gobi" / "passwords").iterdir()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700


def test_the_configuration_folder_can_be_elsewhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    configuration.save(folder, config(), "correct horse")
    assert len(list((tmp_path / "elsewhere" / "gobi" / "passwords").iterdir())) == 1


def test_a_forgotten_password_is_gone_and_forgetting_twice_is_harmless(folder: Path) -> None:
    mine = config()
    configuration.save(folder, mine, "correct horse")
    configuration.forget_password(mine)
    configuration.forget_password(mine)
    with pytest.raises(Stopped, match="gobi connect") as stopped:
        configuration.password(folder, mine)
    assert stopped.value.exit_code == 78


def test_a_folder_whose_address_was_changed_does_not_get_the_password_sent_there(folder: Path) -> None:
    """Whoever may write into a synced folder must not be able to collect its owner's password."""
    mine = config()
    configuration.save(folder, mine, "correct horse")
    path = folder / ".gobi" / "config.json"
    path.write_text(path.read_text().replace("pi.example.org", "evil.example.org"))
    with pytest.raises(Stopped, match="was given for https://pi"):
        configuration.password(folder, configuration.load(folder))


def test_a_damaged_password_file_says_to_connect_again(folder: Path, home: Path) -> None:
    mine = config()
    configuration.save(folder, mine, "correct horse")
    (home / ".config" / "gobi" / "passwords" / mine.id).write_text("{")
    with pytest.raises(Stopped, match="damaged"):
        configuration.password(folder, mine)


def test_a_folder_that_is_not_connected_says_how(folder: Path) -> None:
    with pytest.raises(Stopped, match="gobi connect"):
        configuration.load(folder)


def test_a_folder_that_is_not_there_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="disk mounted"):
        configuration.load(tmp_path / "gone")


@pytest.mark.parametrize(
    "change",
    [
        {"url": "nonsense"},
        {"url": None},
        {"vault": "../other"},
        {"user": "Me!"},
        {"device": "\n"},
        {"id": "../../x"},
        {"insecure": 1},
    ],
)
def test_a_damaged_configuration_is_refused_whole(folder: Path, change: dict[str, object]) -> None:
    configuration.save(folder, config(), "correct horse")
    path = folder / ".gobi" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(Stopped) as stopped:
        configuration.load(folder)
    assert stopped.value.exit_code == 78


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"null"])
def test_a_configuration_cut_short_is_refused(folder: Path, raw: bytes) -> None:
    (folder / ".gobi").mkdir()
    (folder / ".gobi" / "config.json").write_bytes(raw)
    with pytest.raises(Stopped, match="damaged"):
        configuration.load(folder)


def test_plain_http_allowed_once_does_not_slip_in_later(folder: Path) -> None:
    configuration.save(folder, config("http://pi.example.org", insecure=True), "correct horse")
    path = folder / ".gobi" / "config.json"
    path.write_text(path.read_text().replace('"insecure": true', '"insecure": false'))
    with pytest.raises(Stopped, match="--insecure"):
        configuration.load(folder)


def test_names_are_shown_as_one_harmless_line() -> None:
    assert shown("a\nb\x1b[31m\udcff.md") == "a\\nb\\x1b[31m\\udcff.md"
    assert shown("größe ✓.md") == "größe ✓.md"
