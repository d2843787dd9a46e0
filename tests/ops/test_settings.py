"""Settings: what the environment says is taken, what is wrong is named."""

from __future__ import annotations

from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from client.owner import ALLOW
from ops.settings import PATHS, Settings, SettingsError, gather, load, names, parse, unknown

NOWHERE = Path("/nonexistent/gobi.env")
MIB = 1 << 20


def read(**environ: str) -> Settings:
    return parse(gather({"GOBI_DATA_DIR": "/srv/gobi"} | environ, system_file=NOWHERE))


def test_every_field_has_a_variable() -> None:
    assert len(names()) == len(fields(Settings))


def test_nothing_has_to_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    settings = parse(gather({}, system_file=NOWHERE))
    assert settings == Settings(data_dir=Path("/home/me/.local/share/gobi"))
    assert (settings.listen, settings.max_file, settings.quota) == ("127.0.0.1:8787", 2048 * MIB, 0)


@pytest.mark.parametrize(("value", "creators"), [("all", None), ("nobody", ()), ("anna", ("anna",))])
def test_who_may_make_vaults_is_everybody_nobody_or_some(value: str, creators: tuple[str, ...] | None) -> None:
    assert read(GOBI_VAULT_CREATORS=value).vault_creators == creators


def test_each_variable_is_read(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    settings = read(
        GOBI_LISTEN="[::1]:80",
        GOBI_TLS_CERT="/etc/cert.pem",
        GOBI_TLS_KEY="/etc/key.pem",
        GOBI_MAX_FILE_MB="5",
        GOBI_VAULT_QUOTA_MB="7",
        GOBI_KEEP_DAYS="30",
        GOBI_VAULT_CREATORS="anna, ben",
        GOBI_VAULTS_PER_USER="5",
        GOBI_CANDIDATES_PER_FILE="4",
        GOBI_VERSIONS_PER_DAY="6",
        GOBI_UPLOAD_MB_PER_DAY="7",
        GOBI_MERGES_PER_USER="3",
        GOBI_PUBLIC_URL="https://Notes.example:443/",
        GOBI_TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8",
        GOBI_ALLOWED_HOSTS="nas.example, [2001:db8::1]",
        GOBI_METRICS_TOKEN_FILE=str(token),
        GOBI_STALL_S="5",
        GOBI_STRANGER_S="20",
        GOBI_STRANGERS="50",
        GOBI_STRANGERS_PER_NETWORK="7",
        GOBI_LOG_LEVEL="DEBUG",
        GOBI_LOG_FORMAT="json",
    )
    assert settings == Settings(
        data_dir=Path("/srv/gobi"),
        listen="[::1]:80",
        tls_cert=Path("/etc/cert.pem"),
        tls_key=Path("/etc/key.pem"),
        max_file=5 * MIB,
        quota=7 * MIB,
        keep_days=30,
        vault_creators=("anna", "ben"),
        most_vaults=5,
        candidates=4,
        day_versions=6,
        day_bytes=7 * MIB,
        merges=3,
        public_url="https://notes.example",
        trusted_proxies=(ip_network("127.0.0.1"), ip_network("10.0.0.0/8")),
        allowed_hosts=("nas.example", "2001:db8::1"),
        metrics_token="s3cret",
        stall_s=5,
        stranger_s=20,
        strangers=50,
        strangers_per_network=7,
        log_level="debug",
        log_format="json",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOBI_LISTEN", "8787"),
        ("GOBI_LISTEN", ":8787"),
        ("GOBI_LISTEN", "127.0.0.1:99999"),
        ("GOBI_LISTEN", "::1:80"),
        ("GOBI_LISTEN", "127.0.0.1:http"),
        ("GOBI_LISTEN", "*:8787"),
        ("GOBI_LISTEN", "a..b:8787"),
        ("GOBI_LISTEN", f"{'a' * 64}.example:8787"),
        ("GOBI_LISTEN", "http://127.0.0.1:8787"),
        ("GOBI_LISTEN", "127.0.0.1:8787,[::1]:8787"),
        ("GOBI_LISTEN", "[nonsense]:8787"),
        ("GOBI_SOCKET_MODE", "rw"),
        ("GOBI_SOCKET_MODE", "060"),
        ("GOBI_SOCKET_GROUP", "no-such-group"),
        ("GOBI_WORKERS", "0"),
        ("GOBI_WORKERS", "2"),
        ("GOBI_WORKERS", "two"),
        ("GOBI_MAX_FILE_MB", "0"),
        ("GOBI_MAX_FILE_MB", "1.5"),
        ("GOBI_VAULT_QUOTA_MB", "-1"),
        ("GOBI_VAULT_CREATORS", "anna,Ben"),
        ("GOBI_VAULT_CREATORS", ","),
        ("GOBI_VAULTS_PER_USER", "-1"),
        ("GOBI_CANDIDATES_PER_FILE", "0"),
        ("GOBI_VERSIONS_PER_DAY", "many"),
        ("GOBI_UPLOAD_MB_PER_DAY", "-1"),
        ("GOBI_MERGES_PER_USER", "0"),
        ("GOBI_KEEP_DAYS", "²"),
        ("GOBI_PUBLIC_URL", "notes.example"),
        ("GOBI_PUBLIC_URL", "https://notes.example/gobi?x"),
        ("GOBI_PUBLIC_URL", "https://notes.example/gobi#x"),
        ("GOBI_PUBLIC_URL", "https://notes.example//gobi"),
        ("GOBI_PUBLIC_URL", "https://notes.example/../gobi"),
        ("GOBI_PUBLIC_URL", "https://notes.example/my gobi"),
        ("GOBI_PUBLIC_URL", "https://notes.example:port"),
        ("GOBI_TRUSTED_PROXIES", "localhost"),
        ("GOBI_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("GOBI_ALLOWED_HOSTS", "*"),
        ("GOBI_ALLOWED_HOSTS", "nas.example:8787"),
        ("GOBI_ALLOWED_HOSTS", "https://nas.example"),
        ("GOBI_ALLOWED_HOSTS", "nas.example,"),
        ("GOBI_LOG_LEVEL", "loud"),
        ("GOBI_LOG_FORMAT", "xml"),
        ("GOBI_SWEEP_S", "0"),
        ("GOBI_PING_S", "x"),
        ("GOBI_STALL_S", "0"),
        ("GOBI_STRANGER_S", "0"),
        ("GOBI_STRANGERS", "9"),
        ("GOBI_STRANGERS", "lots"),
        ("GOBI_STRANGERS_PER_NETWORK", "0"),
        ("GOBI_MONGO_URI", "me:s3cret@cluster.example"),
        ("GOBI_MONGO_URI", "https://me:s3cret@cluster.example"),
        ("GOBI_MONGO_DB", "notes/2"),
        ("GOBI_MONGO_DB", "$external"),
        ("GOBI_MONGO_DB", "n" * 39),
        ("GOBI_REDIS_URL", "s3cret"),
        ("GOBI_REDIS_URL", "http://:s3cret@localhost"),
        ("GOBI_REDIS_URL", "REDIS://:s3cret@localhost"),
        ("GOBI_REDIS_URL", "redis://:s3cret@localhost:port"),
        ("GOBI_REDIS_URL", "redis://:s3cret@localhost/notes"),
        ("GOBI_REDIS_URL", "redis://:s3cret"),
        ("GOBI_REDIS_URL", "redis://:123#s3cret@localhost"),
        ("GOBI_REDIS_URL", "unix:/s3cret/redis.sock"),
        ("GOBI_REDIS_URL", "unix://s3cret/redis.sock"),
        ("GOBI_TLS_CERT", "/etc/cert.pem"),
        ("GOBI_TLS_KEY", "/etc/key.pem"),
        ("GOBI_METRICS_TOKEN_FILE", "/nonexistent/token"),
    ],
)
def test_a_wrong_value_names_its_variable_and_shows_no_secret(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(**{name: value})
    assert name in str(error.value)
    assert "s3cret" not in str(error.value)
    assert error.value.exit_code == 78


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:s3cr%23t@[::1]:6380/3",
        "rediss://me:s3cret@redis.example:6380/0?ssl_ca_certs=/etc/ca.pem",
        "unix:///run/redis/redis.sock?db=2",
        "unix://me:s3cret@/run/redis/redis.sock",
    ],
)
def test_redis_is_reached_over_tcp_tls_or_a_socket(url: str) -> None:
    assert read(GOBI_REDIS_URL=url).redis_url == url


@pytest.mark.parametrize(
    "uri", ["mongodb://127.0.0.1:27017/?replicaSet=gobi", "mongodb+srv://me:s3cret@cluster.example/"]
)
def test_mongodb_is_reached_by_hosts_or_by_a_name(uri: str) -> None:
    settings = read(GOBI_MONGO_URI=uri, GOBI_MONGO_DB="notes-2_b")
    assert (settings.mongo_uri, settings.mongo_db) == (uri, "notes-2_b")


def test_several_workers_need_redis() -> None:
    with pytest.raises(SettingsError, match=r"GOBI_WORKERS.*set GOBI_REDIS_URL"):
        read(GOBI_WORKERS="2")
    assert read(GOBI_WORKERS="2", GOBI_REDIS_URL="redis://localhost").workers == 2
    assert read(GOBI_WORKERS="1").workers == 1


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both set"):
        read(GOBI_METRICS_TOKEN="x", GOBI_METRICS_TOKEN_FILE=str(tmp_path / "token"))


def test_an_empty_variable_is_an_unset_one() -> None:
    assert read(GOBI_MONGO_URI="", GOBI_LISTEN="") == read()


def test_relative_paths_are_settled_before_the_server_changes_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    found = gather(
        dict.fromkeys(PATHS, "here/it is") | {"GOBI_LISTEN": "unix:gobi.sock", "GOBI_DATA_DIR": "~/gobi"},
        system_file=NOWHERE,
    )
    assert found["GOBI_LISTEN"] == f"unix:{tmp_path}/gobi.sock"
    assert found["GOBI_DATA_DIR"] == "/home/me/gobi"
    assert {found[name] for name in PATHS if name != "GOBI_DATA_DIR"} == {f"{tmp_path}/here/it is"}


FILE = """
# a comment
; another
GOBI_MAX_FILE_MB=5
export GOBI_KEEP_DAYS = 30
GOBI_LOG_LEVEL="debug"
GOBI_PUBLIC_URL='https://notes.example'
OTHER=x
"""


def test_a_file_of_settings_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "gobi.env"
    file.write_text(FILE.replace("export GOBI_KEEP_DAYS = 30", "export GOBI_KEEP_DAYS=30"))
    settings = load({"GOBI_DATA_DIR": "/srv/gobi", "GOBI_MAX_FILE_MB": "6"}, file)
    assert (settings.max_file, settings.keep_days, settings.log_level) == (6 * MIB, 30, "debug")
    assert settings.public_url == "https://notes.example"
    assert gather({}, system_file=file)["GOBI_KEEP_DAYS"] == "30"


def test_a_file_that_is_named_has_to_be_there_and_the_usual_one_has_not() -> None:
    assert gather({}, system_file=NOWHERE)
    with pytest.raises(SettingsError, match=r"gobi\.env"):
        gather({}, NOWHERE)


def test_a_line_that_is_no_setting_is_named(tmp_path: Path) -> None:
    file = tmp_path / "gobi.env"
    file.write_text("GOBI_KEEP_DAYS=30\nwhat is this\n")
    with pytest.raises(SettingsError, match="line 2"):
        gather({}, file)


def test_a_clients_variable_is_no_misspelled_setting() -> None:
    assert unknown({ALLOW: "1"}) == []


def test_a_misspelt_variable_is_noticed() -> None:
    assert unknown({"GOBI_DATADIR": "/x", "GOBI_DATA_DIR": "/x", "GOBI_METRICS_TOKEN_FILE": "/x", "HOME": "/"}) == [
        "GOBI_DATADIR"
    ]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://Notes.example/gobi", "https://notes.example/gobi"),
        ("https://notes.example:8443/a/b-c/", "https://notes.example:8443/a/b-c"),
        ("http://notes.example:80/", "http://notes.example"),
    ],
)
def test_the_public_address_may_have_a_path(given: str, read: str) -> None:
    assert parse({"GOBI_DATA_DIR": "/data", "GOBI_PUBLIC_URL": given}).public_url == read
