"""How messages travel between processes: as JSON, so that `redis-cli SUBSCRIBE` shows them.

Each carries the version of this format. Hosts are not updated in one moment: what a newer or older gobi says, and this
one does not understand, is read as a Gap, which is always right and only costs a look at the log.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from store.base import Gap, Message, Notice, PeopleChanged, SessionsChanged

VERSION = 1
# A notice above either goes without its changes: every process parses it, and only some have a reader for the vault.
MOST_CHANGES = 100
MOST_BYTES = 64 << 10


class Malformed(ValueError):
    """No gobi of any version has sent this."""


class _Envelope(msgspec.Struct, omit_defaults=True):
    """`gobi` and `sender` are there in every version to come; `kind` decides which other field there is."""

    gobi: int
    sender: str
    kind: str
    notice: msgspec.Raw = msgspec.Raw()


_envelopes = msgspec.json.Decoder(_Envelope)
_notices = msgspec.json.Decoder(Notice)


def encode(sender: str, message: Message) -> bytes:
    """The message, or as much of it as may be sent: a notice without its changes, or a Gap where even that is long."""
    match message:
        case Notice():
            return _encode_notice(sender, message)
        case PeopleChanged():
            return _wrap(sender, "people")
        case SessionsChanged():
            return _wrap(sender, "sessions")
        case Gap():
            return _wrap(sender, "gap")


def decode(data: bytes) -> tuple[str, Message]:
    """The sender and the message. Raises Malformed."""
    try:
        envelope = _envelopes.decode(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from None
    return envelope.sender, _open(envelope)


def _encode_notice(sender: str, notice: Notice) -> bytes:
    if len(notice.changes) > MOST_CHANGES:
        notice = replace(notice, changes=())
    encoded = _wrap(sender, "notice", notice)
    if len(encoded) > MOST_BYTES:
        encoded = _wrap(sender, "notice", replace(notice, changes=()))
    return encoded if len(encoded) <= MOST_BYTES else _wrap(sender, "gap")


def _wrap(sender: str, kind: str, notice: Notice | None = None) -> bytes:
    envelope = _Envelope(VERSION, sender, kind)
    if notice is not None:
        envelope.notice = msgspec.Raw(msgspec.json.encode(notice))
    return msgspec.json.encode(envelope)


def _open(envelope: _Envelope) -> Message:
    if envelope.gobi == VERSION and envelope.kind == "people":
        return PeopleChanged()
    if envelope.gobi == VERSION and envelope.kind == "sessions":  # to a gobi that does not know it, a gap
        return SessionsChanged()
    if envelope.gobi == VERSION and envelope.kind == "notice":
        try:
            return _notices.decode(envelope.notice)
        except (ValueError, RecursionError):
            return Gap()
    return Gap()
