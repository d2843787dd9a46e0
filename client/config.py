"""Which vault a folder belongs to, and the password for it.

`DIR/.gobi/config.json` says which vault; the password is in a file of mode 0600 under the user's configuration folder,
never in DIR, which people copy, share and back up. The password file repeats the address it was given for: a folder
whose config.json was changed by somebody else does not get to send the password elsewhere.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from client.owner import check_owner
from client.ports import Stopped
from client.state import check_state, read_own
from sync.addresses import is_host, is_loopback
from sync.model import Json
from sync.paths import is_device, is_name

STATE = ".gobi"
CONFIG = 78  # the exit code for wrong settings

_ID = re.compile(r"[0-9a-f]{32}")


class BadUrl(ValueError):
    """The message says what is wrong with the address and how it should look."""


class Bound(NamedTuple):
    """What is kept outside the folder of how it was connected.

    `vault_id`: the vault's, None where that is not known yet. `here`: whether it is this folder that was connected, and
    not one that was moved or copied, and has not been seen since to belong to that vault.
    """

    password: str
    vault_id: str | None
    here: bool

    @property
    def proven(self) -> bool:
        return self.here and self.vault_id is not None


class Config(NamedTuple):
    """`id` names the password file; `insecure`: plain http beyond this machine was asked for."""

    url: str
    vault: str
    user: str
    device: str
    insecure: bool
    id: str


def new_id() -> str:
    return os.urandom(16).hex()


def state_folder(folder: Path) -> Path:
    return folder / STATE


# ------------------------------------------------------------------------------------------------------- the address


def normalise_url(text: str, insecure: bool = False) -> str:
    """`scheme://host[:port][/prefix]`, lower case, without the scheme's own port and without a trailing slash.

    Raises BadUrl, also for plain http to anything but this machine unless `insecure`.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise BadUrl(f"{text!r} is not an address: {error}") from None
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise BadUrl(f"{text!r} is not an address; write it like https://pi.example.org or http://127.0.0.1:8787")
    if not is_host(host):
        raise BadUrl(f"{text!r} is not an address: no machine can be called {host!r}; look for a slip of the keyboard")
    if parts.username is not None or parts.password is not None:
        raise BadUrl("leave user and password out of the address: give --user, and gobi asks for the password")
    if parts.query or parts.fragment:
        raise BadUrl("leave out everything from '?' or '#' on: the address is the server's, not a page's")
    if parts.scheme == "http" and not insecure and not is_loopback(host):
        raise BadUrl(
            f"http://{host} would send password and files unencrypted; use https, or add --insecure if you trust "
            "every machine on the way"
        )
    shown = f"[{host}]" if ":" in host else host
    own_port = 443 if parts.scheme == "https" else 80
    place = shown if port in (None, own_port) else f"{shown}:{port}"
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")  # RFC 3986, section 3.3
    return f"{parts.scheme}://{place}{path}"


# ------------------------------------------------------------------------------------------------- what a folder is


def load(folder: Path) -> Config:
    """The folder's own word on where it belongs.

    Raises Stopped, also for root in another user's folder, and for a `.gobi` that is not this user's own.
    """
    if not folder.is_dir():
        raise Stopped(f"{shown(folder)} is not a folder; is its disk mounted? Nothing was changed anywhere", CONFIG)
    check_owner(folder, state_folder(folder))
    check_state(folder)
    path = state_folder(folder) / "config.json"
    try:
        config = _parse(read_own(path))
    except FileNotFoundError:
        raise Stopped(
            f"{shown(folder)} is not connected; run gobi connect (if it was, is its disk mounted?)", CONFIG
        ) from None
    except OSError as error:
        raise Stopped(f"{shown(path)} cannot be read: {error.strerror}; mend its permissions", CONFIG) from None
    except ValueError:
        raise _broken(path) from None
    try:
        if normalise_url(config.url, config.insecure) != config.url:
            raise _broken(path)
    except BadUrl as error:
        raise Stopped(f"{shown(path)}: {error}", CONFIG) from None
    return config


def save(
    folder: Path, config: Config, password: str, authority: str | None = None, vault_id: str | None = None
) -> None:
    """Binds the folder: first the password and the authority, then the folder's word. Raises Stopped."""
    secret = _secret(folder, config, password, vault_id)
    try:
        home = _password_file(config.id).parent
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(_password_file(config.id), secret)
        _keep_authority(config.id, authority)
        state_folder(folder).mkdir(mode=0o700, exist_ok=True)
        check_state(folder)  # once more: whoever may write to `folder` may have been faster
        _write(state_folder(folder) / "config.json", config._asdict())
    except OSError as error:
        raise Stopped(f"cannot write {shown(Path(error.filename or folder))}: {error.strerror}", CONFIG) from None


def _secret(folder: Path, config: Config, password: str, vault_id: str | None) -> Json:
    secret: Json = {"url": config.url, "user": config.user, "folder": str(folder), "password": password}
    return secret | {"vault": config.vault} | ({} if vault_id is None else {"vault_id": vault_id})


def password(folder: Path, config: Config) -> str:
    """Raises Stopped where it is lost, or was given for another server, user or vault."""
    return bound(folder, config).password


def bound(folder: Path, config: Config) -> Bound:
    """Raises as `password` does."""
    again = f"run gobi connect {shown(folder)} {config.url} {config.vault} --user {config.user} again"
    path = _password_file(config.id)
    try:
        row = json.loads(path.read_bytes())
        given_for = (row["url"], row["user"], row.get("vault", config.vault))  # an earlier gobi did not say which
        secret, vault_id = row["password"], row.get("vault_id")
        here = row.get("folder") is None or _is_same(row["folder"], folder)
    except FileNotFoundError:
        raise Stopped(
            f"the password for {shown(folder)} is not on this machine (there is no {shown(path)}); {again}", CONFIG
        ) from None
    except OSError as error:
        raise Stopped(f"{shown(path)} cannot be read: {error.strerror}; {again}", CONFIG) from None
    except (ValueError, TypeError, KeyError):
        raise Stopped(f"{shown(path)} is damaged; {again}", CONFIG) from None
    if given_for != (config.url, config.user, config.vault) or not isinstance(secret, str):
        raise Stopped(
            f"{shown(folder)} was connected to {shown(str(given_for[2]))} and the password was given for "
            f"{shown(str(given_for[0]))}, as {shown(str(given_for[1]))}; its config.json now names {config.vault} on "
            f"{config.url}, as {config.user}. Nothing was sent. If that is right, {again}",
            CONFIG,
        )
    return Bound(secret, vault_id if isinstance(vault_id, str) else None, here and not row.get("unproven"))


def note_vault(folder: Path, config: Config, vault_id: str | None) -> None:
    """The folder was seen to belong to that vault. Where nothing can be written, that has to be seen again."""
    try:
        _write(_password_file(config.id), _secret(folder, config, password(folder, config), vault_id))
    except (OSError, Stopped):
        pass


def _is_same(named: str, folder: Path) -> bool:
    try:
        return named == str(folder) or os.path.samefile(named, folder)
    except OSError:
        return False


def folder_of(config: Config) -> Path | None:
    """The folder that the password was given for, or was last used in; None where that is not known.

    Raises Stopped where nobody can say where passwords are.
    """
    try:
        named = json.loads(_password_file(config.id).read_bytes())["folder"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return Path(named) if isinstance(named, str) else None


def authority(config: Config) -> str | None:
    """The certificates (PEM) that are believed for this binding beside the system's; None for none. Raises Stopped."""
    path = _authority_file(config.id)
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Stopped(f"{shown(path)} cannot be read ({error}); run gobi connect again with --ca", CONFIG) from None


def _keep_authority(config_id: str, pem: str | None) -> None:
    """Raises OSError."""
    if pem is not None:
        path = _authority_file(config_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_text(path, pem)


def take_over(folder: Path, config: Config, own: Config) -> None:
    """Makes `folder` the one of the binding `own`, whose password is that of `config`. Raises OSError, Stopped.

    That a folder somewhere else belongs to the same vault is yet to be proven.
    """
    known = bound(folder, config)
    secret = _secret(folder, config, known.password, known.vault_id)
    _write(_password_file(own.id), secret | ({} if known.here else {"unproven": True}))
    if own != config:
        _keep_authority(own.id, authority(config))
        _write(state_folder(folder) / "config.json", own._asdict())


def forget_password(config: Config) -> None:
    """And the authority."""
    _password_file(config.id).unlink(missing_ok=True)
    _authority_file(config.id).unlink(missing_ok=True)


def invented_password(secret: str, invent: Callable[[], str]) -> str:
    """The password to ask for with this invitation's secret: the same until `forget_invented`, so that whoever lost the
    server's reply can ask again. Raises Stopped."""
    path = _invented_file(secret)
    try:
        known = json.loads(path.read_bytes())
        if isinstance(known, str):
            return known
    except (OSError, ValueError):
        pass  # there is none, or none that is whole
    password = invent()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, password)
    except OSError as error:
        raise Stopped(f"cannot write {shown(Path(error.filename or path))}: {error.strerror}", CONFIG) from None
    return password


def forget_invented(secret: str) -> None:
    _invented_file(secret).unlink(missing_ok=True)


def default_device() -> str:
    """This machine's name, made printable ASCII."""
    name = "".join(letter if "!" <= letter <= "~" else "-" for letter in os.uname().nodename)[:64]
    return name or "device"


def shown(path: Path | str) -> str:
    """A name for a terminal or a log: what is not printable is escaped, so that it stays one harmless line."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(path))


def _invented_file(secret: str) -> Path:
    import hashlib  # here: every command starts with this module

    return _password_file("invited-" + hashlib.sha256(secret.encode()).hexdigest()[:32])


def _password_file(config_id: str) -> Path:
    return _home() / "gobi" / "passwords" / config_id


def _authority_file(config_id: str) -> Path:
    return _home() / "gobi" / "authorities" / config_id


def _home() -> Path:
    """Where this user's settings are. Raises Stopped."""
    for name, below in (("XDG_CONFIG_HOME", ""), ("HOME", ".config")):
        place = os.environ.get(name, "")
        if place.startswith("/"):  # the XDG Base Directory Specification: a relative path is to be ignored
            return Path(place) / below
    from pwd import getpwuid

    try:
        return Path(getpwuid(os.geteuid()).pw_dir) / ".config"
    except KeyError:
        raise Stopped(
            f"the user that gobi runs as (uid {os.geteuid()}) has no home folder, where the password would be; set "
            "HOME, or XDG_CONFIG_HOME, to a folder of this user's",
            CONFIG,
        ) from None


def _parse(raw: bytes) -> Config:
    """Raises ValueError for anything but what save() wrote: the file lies in a folder that others may write to."""
    row = json.loads(raw)
    if not isinstance(row, dict) or not isinstance(row.get("insecure"), bool):
        raise ValueError("no configuration")
    texts = [text for name in ("url", "vault", "user", "device", "id") if isinstance(text := row.get(name), str)]
    if len(texts) != 5:
        raise ValueError("no configuration")
    url, vault, user, device, config_id = texts
    if not (is_name(vault) and is_name(user) and is_device(device) and _ID.fullmatch(config_id)):
        raise ValueError("no configuration")
    return Config(url, vault, user, device, row["insecure"], config_id)


def _broken(path: Path) -> Stopped:
    return Stopped(f"{shown(path)} is damaged; run gobi connect again, which mends it and loses nothing", CONFIG)


def _write(path: Path, value: object) -> None:
    _write_text(path, json.dumps(value, indent=1) + "\n")


def _write_text(path: Path, text: str) -> None:
    """All or nothing, and readable by the owner alone."""
    temporary = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
