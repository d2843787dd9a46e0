"""Where the server listens: what would go wrong there is said before gunicorn tries for five seconds, and a Unix socket
that another server serves is left alone."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from ops.settings import Settings, SettingsError

UNIX = "unix:"
# sockaddr_un has so many bytes for it, and an end.
LONGEST_PATH = 107
_PATIENCE_S = 2.0
_NOT_A_MEMBER = (
    "name a group of the server's user, or have the proxy's user join the group that the socket has without it"
)


def check(settings: Settings) -> None:
    """Raises SettingsError."""
    if path := unix_path(settings):
        _check_path(path)
        if settings.socket_group not in (None, os.getegid(), *os.getgroups()) and os.geteuid() != 0:
            raise SettingsError(f"GOBI_SOCKET_GROUP: {_NOT_A_MEMBER}")
    else:
        _check_address(settings.listen)


def unix_path(settings: Settings) -> str | None:
    return settings.listen.removeprefix(UNIX) if settings.listen.startswith(UNIX) else None


def open_socket_to_its_group(settings: Settings) -> None:
    """After gunicorn has made it, closed to all but its owner. Raises SettingsError."""
    path = unix_path(settings)
    if path is None:
        return
    if settings.socket_group is not None:
        try:
            os.chown(path, -1, settings.socket_group)
        except OSError as error:
            raise SettingsError(
                f"GOBI_SOCKET_GROUP: {path} cannot be given to that group ({error.strerror}): {_NOT_A_MEMBER}"
            ) from None
    os.chmod(path, settings.socket_mode)


def _check_path(path: str) -> None:
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise SettingsError(
            f"GOBI_LISTEN: {path} is longer than the {LONGEST_PATH} bytes that a socket's name may have"
        )
    folder = os.path.dirname(path)
    if not os.access(folder, os.W_OK):
        raise SettingsError(f"GOBI_LISTEN: cannot make a socket in {folder}: name a folder that exists, writable")
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SettingsError(
            f"GOBI_LISTEN: {path} is there already and is no socket: move it away, or name another path"
        )
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return  # a server was killed, and left it
        except PermissionError:
            pass  # somebody else's
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            # Whoever is too busy to answer is there.
    raise SettingsError(f"GOBI_LISTEN: another server listens on {path}: stop that, or name another path")


def _check_address(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        *_, address = socket.getaddrinfo(host, int(port), family, socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SettingsError(
            f"GOBI_LISTEN: cannot listen on {listen} ({error.strerror}): stop what listens there, or name another"
        ) from None
