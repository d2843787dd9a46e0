"""Whether a service can be reached, told apart as far as names and connections go. The rest is the service's own."""

from __future__ import annotations

import socket
import threading
from typing import Any

from store.findings import Finding, wrong

PATIENCE_S = 2.0
# A machine may have many addresses; two that do not answer are enough.
_ADDRESSES = 2


def knock(subject: str, setting: str, host: str, port: int, patience_s: float = PATIENCE_S) -> Finding | None:
    """Why no connection to there can be made; None where one can. `setting` is the variable that names the place."""
    place = f"{host}:{port}"
    looked_up = _addresses(host, port, patience_s)
    if looked_up is None:
        return _away(subject, f"the name {host} cannot be looked up now", "see to this machine's network and its DNS")
    if isinstance(looked_up, socket.gaierror):
        if looked_up.errno == socket.EAI_AGAIN:
            advice = "see to this machine's network and its DNS"
            return _away(subject, f"the name {host} cannot be looked up now", advice)
        return _away(
            subject, f"there is no host {host}", f"correct the name in {setting}, or see to this machine's DNS"
        )
    trouble: OSError | None = None
    for family, kind, protocol, _, address in looked_up[:_ADDRESSES]:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.settimeout(patience_s)
                probe.connect(address)
        except OSError as error:
            trouble = error
        else:
            return None
    return _no_connection(subject, setting, place, trouble)


def loses_its_end(uri: str) -> bool:
    """Whether an @ comes after the host's part: most likely a password with an unescaped / or ? in it.

    Part of the password would be taken for a host then, and told to everybody as one that cannot be reached.
    """
    rest = uri.partition("://")[2]
    place, _, path = rest.partition("/")
    if "?" in place:
        place, _, path = rest.partition("?")
    return "@" in path.partition("?")[0] or ("@" in path and "@" not in place)


def _no_connection(subject: str, setting: str, place: str, error: OSError | None) -> Finding:
    match error:
        case ConnectionRefusedError():
            return _away(subject, f"nothing listens on {place}", f"start it there, or correct {setting}")
        case TimeoutError():
            return _away(
                subject,
                f"{place} does not answer",
                f"see that it runs and that no firewall is between; or correct {setting}",
            )
        case _:
            reason = (error.strerror if error else None) or "no address"
            return _away(
                subject, f"no way leads to {place} ({reason})", f"see to this machine's network, and to {setting}"
            )


def _addresses(host: str, port: int, patience_s: float) -> list[Any] | socket.gaierror | None:
    """None where nobody answers in time: the resolver itself may wait for half a minute."""
    found: list[list[Any] | socket.gaierror] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except socket.gaierror as error:
            found.append(error)
        except UnicodeError:  # a label that is empty or too long
            found.append(socket.gaierror(socket.EAI_NONAME, "no host name"))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(patience_s)
    return found[0] if found else None


def _away(subject: str, text: str, advice: str) -> Finding:
    return wrong(subject, text, advice, "reach")
