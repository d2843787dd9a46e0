"""The server's settings: environment variables, and a file of them that the environment wins over.

`gather` collects, `parse` judges. Every error names its variable and ends the program with exit code 78 (EX_CONFIG).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sync.addresses import is_host

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

SYSTEM_FILE = Path("/etc/gobi/gobi.env")
PREFIX = "GOBI_"
SECRETS = ("GOBI_MONGO_URI", "GOBI_REDIS_URL", "GOBI_METRICS_TOKEN")
PATHS = ("GOBI_DATA_DIR", "GOBI_TLS_CERT", "GOBI_TLS_KEY", *(f"{name}_FILE" for name in SECRETS))
CLIENTS = "GOBI_ALLOW_ROOT"  # a client's, which may be in the same environment
MIB = 1 << 20


class SettingsError(Exception):
    """A setting is wrong; the message names it and says what it should be."""

    exit_code = 78


@dataclass(frozen=True, slots=True)
class Settings:
    """`listen` is `host:port`, `[host]:port` or `unix:/path`, a socket with the mode and the group (a number)
    `socket_…`; sizes are bytes, `quota` 0 is none; `_s` are seconds."""

    data_dir: Path
    listen: str = "127.0.0.1:8787"
    socket_mode: int = 0o660
    socket_group: int | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    mongo_uri: str | None = None
    mongo_db: str = "gobi"
    redis_url: str | None = None
    workers: int = 1
    max_file: int = 2048 * MIB
    quota: int = 0
    vault_creators: tuple[str, ...] | None = None
    most_vaults: int = 100
    candidates: int = 500
    day_versions: int = 1_000_000
    day_bytes: int = 4_194_304 * MIB
    merges: int = 8
    keep_days: int = 365
    public_url: str | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    metrics_token: str | None = None
    sweep_s: int = 30
    ping_s: int = 30
    stall_s: int = 30
    stranger_s: int = 10
    strangers: int = 600
    strangers_per_network: int = 100
    log_level: str = "info"
    log_format: str = "logfmt"

    @property
    def own_hosts(self) -> tuple[str, ...]:
        """Names and addresses that these settings say are this server's, beside the public address's."""
        if self.listen.startswith("unix:"):
            return self.allowed_hosts
        return (*self.allowed_hosts, self.listen.rpartition(":")[0].strip("[]"))


def load(environ: Mapping[str, str], env_file: Path | None = None) -> Settings:
    """`gather` and `parse` in one. Raises SettingsError."""
    return parse(gather(environ, env_file))


def gather(environ: Mapping[str, str], env_file: Path | None = None, system_file: Path = SYSTEM_FILE) -> dict[str, str]:
    """The GOBI_ variables as text, paths made absolute. `env_file` has to be readable, `system_file` may be missing.

    Raises SettingsError.
    """
    found: dict[str, str] = {}
    if env_file is not None:
        found = _read_env_file(env_file)
    elif os.access(system_file, os.R_OK):
        found = _read_env_file(system_file)
    found |= environ
    variables = {name: value for name, value in found.items() if name.startswith(PREFIX) and value}
    for name in PATHS:
        if name in variables:
            variables[name] = os.path.abspath(os.path.expanduser(variables[name]))
    listen = variables.get("GOBI_LISTEN", "")
    if listen.startswith("unix:"):
        variables["GOBI_LISTEN"] = "unix:" + os.path.abspath(listen.removeprefix("unix:"))
    variables.setdefault("GOBI_DATA_DIR", os.path.expanduser("~/.local/share/gobi"))
    return variables


def parse(variables: Mapping[str, str]) -> Settings:
    """Raises SettingsError. Names that are no settings are left alone: see `unknown`."""
    variables = _with_secrets(variables)
    if "GOBI_DATA_DIR" not in variables:
        raise SettingsError("GOBI_DATA_DIR is not set: name a folder")
    settings = Settings(**{field: read(name, variables[name]) for name, field, read in _TABLE if name in variables})
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "GOBI_TLS_KEY" if settings.tls_key is None else "GOBI_TLS_CERT"
        raise SettingsError(f"{missing} is not set: https needs both GOBI_TLS_CERT and GOBI_TLS_KEY")
    if settings.workers > 1 and settings.redis_url is None:
        raise SettingsError("GOBI_WORKERS is more than 1: set GOBI_REDIS_URL, over which they tell each other")
    return settings


def unknown(variables: Mapping[str, str]) -> list[str]:
    """The names among `variables` that no setting has: spelling mistakes, most likely."""
    known = {name for name, _, _ in _TABLE} | {f"{name}_FILE" for name in SECRETS} | {CLIENTS}
    return sorted(name for name in variables if name.startswith(PREFIX) and name not in known)


def names() -> list[str]:
    """Every variable there is."""
    return [name for name, _, _ in _TABLE]


# -- reading


_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def _read_env_file(path: Path) -> dict[str, str]:
    """Lines of NAME=value as systemd's EnvironmentFile has them: `#` and `;` begin comments, quotes go in pairs."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the settings in {path}: {error}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line[0] in "#;":
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise SettingsError(f"{path}, line {number}: write NAME=value, or # before a comment")
        name, value = match.group(1), match.group(2).strip()
        if len(value) >= 2 and value[0] in "\"'" and value[-1] == value[0]:
            value = value[1:-1]
        found[name] = value
    return found


def _with_secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """Secrets given as NAME_FILE, read from there."""
    found = dict(variables)
    for name in SECRETS:
        file = found.pop(f"{name}_FILE", None)
        if file is None:
            continue
        if name in found:
            raise SettingsError(f"{name} and {name}_FILE are both set: unset one of them")
        try:
            found[name] = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{name}_FILE: cannot read {file}: {error}") from None
    return found


def _text(_name: str, value: str) -> str:
    return value


def _path(_name: str, value: str) -> Path:
    return Path(value)


def _whole(least: int, most: int, factor: int = 1) -> Callable[[str, str], int]:
    def read(name: str, value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
            raise SettingsError(f"{name} is {value!r}: use a whole number from {least} to {most}")
        return int(value) * factor

    return read


def _one_of(*choices: str) -> Callable[[str, str], str]:
    def read(name: str, value: str) -> str:
        if value.lower() not in choices:
            raise SettingsError(f"{name} is {value!r}: use one of {', '.join(choices)}")
        return value.lower()

    return read


def _listen(name: str, value: str) -> str:
    if value.startswith("unix:/"):
        return value
    host, _, port = value.rpartition(":")
    if not _is_host(host) or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise SettingsError(
            f"{name} is {value!r}: use host:port, [IPv6 address]:port or unix:/path. Every network of this machine is "
            "0.0.0.0:8787, or [::]:8787"
        )
    return value


_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        from ipaddress import AddressValueError, IPv6Address

        try:
            IPv6Address(host[1:-1])
        except AddressValueError:
            return False
        return True
    return len(host) < 254 and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*\.?", host) is not None


def _mode(name: str, value: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", value) or not int(value, 8) & 0o600 == 0o600:
        raise SettingsError(f"{name} is {value!r}: use three octal digits, such as 660, of which the first is 6 or 7")
    return int(value, 8)


def _group(name: str, value: str) -> int:
    import grp

    try:
        return int(value) if re.fullmatch(r"[0-9]{1,9}", value) else grp.getgrnam(value).gr_gid
    except KeyError:
        raise SettingsError(f"{name} is {value!r}: name a group of this machine (getent group)") from None


_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def address(name: str, value: str) -> str:
    """`scheme://host[:port]` as browsers write it in `Origin` (RFC 6454, section 6.2), and the path below which the
    server is, without a slash at its end."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise SettingsError(f"{name} is {value!r}: use an address like https://gobi.example.org") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(
            f"{name} is {value!r}: use an address like https://gobi.example.org, or with a path below it"
        )
    path = parts.path.rstrip("/")
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise SettingsError(f"{name} is {value!r}: use letters, digits, '-', '.', '_', '~' and '/' in its path")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, usual) else "") + path


def _mongo_uri(name: str, value: str) -> str:
    """The driver judges the rest. Never says what the value is: it holds a password."""
    if not value.startswith(("mongodb://", "mongodb+srv://")):
        raise SettingsError(f"{name}: use an address like mongodb+srv://user:password@cluster.example.mongodb.net/")
    return value


def _mongo_db(name: str, value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,38}", value):
        raise SettingsError(f"{name} is {value!r}: use 1 to 38 letters, digits, '_' and '-'")
    return value


def _redis_url(name: str, value: str) -> str:
    """Never says what the value is: it may hold a password."""
    if not _may_be_redis(value):
        raise SettingsError(
            f"{name}: use an address like redis://:password@host:6379/0, rediss:// for TLS, or unix:///path/to/socket"
        )
    return value


def _may_be_redis(url: str) -> bool:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is none
    except ValueError:
        return False
    if parts.fragment:  # a `#` of the password that should be %23
        return False
    if url.startswith("unix://"):
        return not parts.hostname and len(parts.path) > 1
    database = re.fullmatch(r"(/[0-9]*)?", parts.path)
    return url.startswith(("redis://", "rediss://")) and bool(parts.hostname) and database is not None


def _creators(name: str, value: str) -> tuple[str, ...] | None:
    from sync.paths import is_name

    if value in ("all", "nobody"):
        return None if value == "all" else ()
    names = tuple(one.strip() for one in value.split(","))
    if not all(map(is_name, names)):
        raise SettingsError(f"{name} is {value!r}: use all, nobody, or users' names with commas between: anna,ben")
    return names


def _networks(name: str, value: str) -> tuple[IPv4Network | IPv6Network, ...]:
    from ipaddress import ip_network

    try:
        return tuple(ip_network(one.strip()) for one in value.split(","))
    except ValueError:
        raise SettingsError(
            f"{name} is {value!r}: use addresses or networks, with commas between: 127.0.0.1,10.0.0.0/8"
        ) from None


def _hosts(name: str, value: str) -> tuple[str, ...]:
    hosts = tuple(host.strip() for host in value.split(","))
    for host in hosts:
        if not is_host(host.removeprefix("[").removesuffix("]")):
            raise SettingsError(
                f"{name} is {value!r}: use names or addresses without a port, with commas between: "
                "nas.example.org,192.168.1.5"
            )
    return tuple(host.removeprefix("[").removesuffix("]") for host in hosts)


# fmt: off
_TABLE: list[tuple[str, str, Callable[[str, str], Any]]] = [
    ("GOBI_LISTEN", "listen", _listen),
    ("GOBI_SOCKET_MODE", "socket_mode", _mode),
    ("GOBI_SOCKET_GROUP", "socket_group", _group),
    ("GOBI_DATA_DIR", "data_dir", _path),
    ("GOBI_TLS_CERT", "tls_cert", _path),
    ("GOBI_TLS_KEY", "tls_key", _path),
    ("GOBI_MONGO_URI", "mongo_uri", _mongo_uri),
    ("GOBI_MONGO_DB", "mongo_db", _mongo_db),
    ("GOBI_REDIS_URL", "redis_url", _redis_url),
    ("GOBI_WORKERS", "workers", _whole(1, 64)),
    ("GOBI_MAX_FILE_MB", "max_file", _whole(1, 1_000_000, MIB)),
    ("GOBI_VAULT_QUOTA_MB", "quota", _whole(0, 100_000_000, MIB)),
    ("GOBI_VAULT_CREATORS", "vault_creators", _creators),
    ("GOBI_VAULTS_PER_USER", "most_vaults", _whole(0, 1_000_000)),
    ("GOBI_CANDIDATES_PER_FILE", "candidates", _whole(1, 10_000)),
    ("GOBI_VERSIONS_PER_DAY", "day_versions", _whole(0, 999_999_999)),
    ("GOBI_UPLOAD_MB_PER_DAY", "day_bytes", _whole(0, 999_999_999, MIB)),
    ("GOBI_MERGES_PER_USER", "merges", _whole(1, 1_000)),
    ("GOBI_KEEP_DAYS", "keep_days", _whole(1, 36_500)),
    ("GOBI_PUBLIC_URL", "public_url", address),
    ("GOBI_TRUSTED_PROXIES", "trusted_proxies", _networks),
    ("GOBI_ALLOWED_HOSTS", "allowed_hosts", _hosts),
    ("GOBI_METRICS_TOKEN", "metrics_token", _text),
    ("GOBI_SWEEP_S", "sweep_s", _whole(1, 3_600)),
    ("GOBI_PING_S", "ping_s", _whole(1, 3_600)),
    ("GOBI_STALL_S", "stall_s", _whole(1, 3_600)),
    ("GOBI_STRANGER_S", "stranger_s", _whole(1, 300)),
    ("GOBI_STRANGERS", "strangers", _whole(10, 10_000)),
    ("GOBI_STRANGERS_PER_NETWORK", "strangers_per_network", _whole(1, 10_000)),
    ("GOBI_LOG_LEVEL", "log_level", _one_of("debug", "info", "warning", "error")),
    ("GOBI_LOG_FORMAT", "log_format", _one_of("logfmt", "json")),
]
# fmt: on
