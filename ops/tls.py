"""The certificate and the key that gobi does https with: checked before they are taken, and kept where what lies there
later cannot be used.

The master holds what it has checked and its workers inherit it, so none of them reads a file that a renewal may just be
writing. On SIGHUP the master looks again.
"""

from __future__ import annotations

import calendar
import logging
import os
import re
import signal
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ops.settings import Settings, SettingsError
from store.findings import Finding, ok, span, warning, wrong

log = logging.getLogger("gobi.tls")

SUBJECT = "https"
DAY_S = 24 * 3600.0
# Between looks at files that did not fit at a reload.
AGAIN_S = 5.0
# Warned of so long before the end, or for the last fifth of a certificate that is good for a few days only.
WARNED_S, WARNED_SHARE = 14 * DAY_S, 0.2
RENEW = "renew it, then let the server take it: systemctl reload gobi"


@dataclass(frozen=True, slots=True)
class Certificate:
    """`begins` and `expires` in seconds since 1970: of all in the chain the latest and the earliest."""

    path: Path
    context: ssl.SSLContext
    begins: float
    expires: float

    def finding(self, now: float) -> Finding:
        left = self.expires - now
        if left <= 0:
            return wrong(SUBJECT, f"{self.path} expired {span(-left)} ago: clients refuse it", RENEW)
        if self.begins > now:
            text = f"{self.path} is not valid for another {span(self.begins - now)}: clients refuse it"
            return wrong(SUBJECT, text, "set the clock if it is wrong (timedatectl), or wait")
        day = time.strftime("%Y-%m-%d", time.gmtime(self.expires))
        if left < min(WARNED_S, WARNED_SHARE * (self.expires - self.begins)):
            return warning(SUBJECT, f"{self.path} expires in {span(left)}, on {day}", RENEW)
        return ok(SUBJECT, f"with {self.path}, until {day}")


def load(settings: Settings) -> Certificate | None:
    """None where gobi does no https. Raises SettingsError, in one line, where it cannot with these files."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.tls_cert, settings.tls_key, lambda: b"")
        times = [_validity(der) for der in _certificates(settings.tls_cert.read_text(errors="replace"))]
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise SettingsError(
            f"GOBI_TLS_CERT and GOBI_TLS_KEY: cannot use {settings.tls_cert} with {settings.tls_key} ({reason}): name "
            "a certificate and its key, in PEM, without a password, that this user may read"
        ) from None
    begins, expires = max(begin for begin, _ in times), min(end for _, end in times)
    return Certificate(settings.tls_cert, context, begins, expires)


class Serving:
    """What the server does https with. `current` is None where it does not."""

    def __init__(self) -> None:
        self.current: Certificate | None = None
        self._refused: Settings | None = None  # at the last reload, what could not be used

    def take(self, settings: Settings) -> None:
        """At the start. Raises SettingsError."""
        self.current = load(settings)

    def take_again(self, settings: Settings) -> None:
        """What cannot be used is one line in the log, and the server goes on with what it has."""
        try:
            self.current = load(settings)
        except SettingsError as error:
            self._refused = settings
            log.error("%s. The server goes on with the certificate that it had, and looks again", error)
        else:
            self._refused = None
            self.tell(time.time())

    def fits_now(self) -> bool:
        """Whether what was refused at the last reload can be used: a renewal was in its middle, say."""
        if self._refused is None:
            return False
        try:
            load(self._refused)
        except SettingsError:
            return False
        return True

    def tell(self, now: float) -> None:
        """Whether its end is near."""
        if self.current is None:
            return
        finding = self.current.finding(now)
        if finding.level != "ok":
            write = log.error if finding.level == "wrong" else log.warning
            write("the certificate %s: %s", finding.text, finding.advice)

    def attach(self, arbiter: Any) -> None:  # noqa: ANN401  # gunicorn has no types
        """gunicorn has no hook for a turn of its loop. Once a day it is told again whether the end is near."""
        turn = arbiter.manage_workers
        due = look = time.monotonic()

        def manage_workers() -> None:
            nonlocal due, look
            turn()
            now = time.monotonic()
            if now >= due:
                due = now + DAY_S
                self.tell(time.time())
            if now >= look:
                look = now + AGAIN_S
                if self.fits_now():
                    os.kill(os.getpid(), signal.SIGHUP)  # the reload that was asked for

        arbiter.manage_workers = manage_workers

    def context(self) -> ssl.SSLContext:
        """The handshake is left to ops.worker, which gives it a deadline."""
        assert self.current is not None, "it does https"
        context = self.current.context
        wrap_later: Any = partial(type(context).wrap_socket, context, do_handshake_on_connect=False)
        context.wrap_socket = wrap_later  # type: ignore[method-assign]
        return context


serving = Serving()


# -- what a certificate says of its time (RFC 5280, section 4.1; ssl tells it of a peer's only)


_PEM = re.compile(
    r"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.*?-----END (?:X509 |TRUSTED )?CERTIFICATE-----", re.S
)
_VERSION, _UTC_TIME = 0xA0, 0x17


def _certificates(text: str) -> Iterator[bytes]:
    for block in _PEM.findall(text):
        lines = "".join(block.splitlines()[1:-1])
        yield ssl.PEM_cert_to_DER_cert(f"{ssl.PEM_HEADER}\n{lines}\n{ssl.PEM_FOOTER}")


def _validity(der: bytes) -> tuple[float, float]:
    """From and until when. Raises ValueError."""
    try:
        (_, certificate), *_ = _elements(der)
        (_, signed), *_ = _elements(certificate)
        _serial, _algorithm, _issuer, (_, validity), *_ = (one for one in _elements(signed) if one[0] != _VERSION)
        begins, expires = (_moment(*one) for one in _elements(validity))
    except (ValueError, IndexError):
        raise ValueError("it cannot be read") from None
    return begins, expires


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents of a sequence in DER."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        yield tag, data[at : at + length]
        at += length


def _moment(tag: int, text: bytes) -> float:
    said = text.decode()
    if tag == _UTC_TIME:
        said = ("20" if said[:2] < "50" else "19") + said
    return float(calendar.timegm(time.strptime(said, "%Y%m%d%H%M%SZ")))
