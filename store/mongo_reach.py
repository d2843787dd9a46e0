"""Why a MongoDB cannot be used, for `gobi doctor`: what drivers and servers say, translated."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, NetworkTimeout, OperationFailure, ProtocolError, PyMongoError
from pymongo.monitoring import (
    ServerHeartbeatFailedEvent,
    ServerHeartbeatListener,
    ServerHeartbeatStartedEvent,
    ServerHeartbeatSucceededEvent,
)

from store.findings import Finding, warning, wrong
from store.mongo_documents import Document
from store.mongo_errors import ATLAS, AUTHENTICATION_FAILED, OUT_OF_DISK, UNAUTHORIZED
from store.mongo_options import complaints
from store.reach import knock, loses_its_end

SUBJECT = "MongoDB"
SETTING = "GOBI_MONGO_URI"

# Shorter than the server's own: a person waits.
SELECTION_S, CONNECT_S, COMMAND_S = 3.0, 2.0, 5.0

Client = MongoClient[Document]
Address = tuple[str, int | None]


class Hellos(ServerHeartbeatListener):
    """What each server last said of itself, also one that the driver then dropped: it is not what the URI asks for."""

    def __init__(self) -> None:
        self.last: dict[Address, Document] = {}

    def started(self, event: ServerHeartbeatStartedEvent) -> None: ...

    def succeeded(self, event: ServerHeartbeatSucceededEvent) -> None:
        self.last[event.connection_id] = event.reply.document

    def failed(self, event: ServerHeartbeatFailedEvent) -> None: ...


@dataclass(frozen=True, slots=True)
class Connection:
    """A client that has not connected yet, and the places that the URI names; none where it leaves that to DNS."""

    client: Client
    named: frozenset[Address]
    hellos: Hellos


_REPLICA_SET = (
    "gobi needs transactions: start mongod with --replSet gobi (or `replication: {replSetName: gobi}` in mongod.conf), "
    "then run rs.initiate() in mongosh, once"
)
_ESCAPE = f"write such characters of the password as %XX in {SETTING}: @ is %40, / %2F, ? %3F, : %3A, and % itself %25"
_ACCESS_LIST = (
    "on Atlas, add this machine's address under Network Access, and see that the cluster is not paused; elsewhere "
    "look into mongod's log"
)


def connect(uri: str) -> tuple[Connection | None, list[Finding]]:
    """None where the URI cannot be used; and what there is to say about it."""
    if loses_its_end(uri):
        return None, [wrong(SUBJECT, f"{SETTING} has an @ after the host", _ESCAPE, "setting")]
    hellos = Hellos()
    options: dict[str, Any] = {
        "appname": "gobi doctor",
        "connect": False,
        "event_listeners": [hellos],
        "serverSelectionTimeoutMS": SELECTION_S * 1000,
        "connectTimeoutMS": CONNECT_S * 1000,
        "timeoutMS": COMMAND_S * 1000,
    }
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            client: Client = MongoClient(uri, **options)
        except (PyMongoError, ValueError, OSError) as error:
            return None, [_unusable(error, "@" in uri)]
    named = frozenset(client.topology_description.server_descriptions())
    bad, passed_over = complaints(uri, said)
    advice = f"correct the options at the end of {SETTING}"
    if bad:
        client.close()
        return None, [wrong(SUBJECT, f"{SETTING}: {text}", advice, "setting") for text in bad]
    return Connection(client, named, hellos), [warning(SUBJECT, f"{SETTING}: {text}", advice) for text in passed_over]


def _unusable(error: Exception, with_password: bool) -> Finding:
    """The driver's own words: it says nothing of what the URI holds but options and the name that DNS does not know."""
    text = str(error)
    if isinstance(error, ConfigurationError) and "DNS" in text:
        return wrong(SUBJECT, text.rstrip("."), f"correct the name in {SETTING}, or see to this machine's DNS", "reach")
    if isinstance(error, ConfigurationError) and "resolution lifetime" in text:
        return wrong(SUBJECT, "DNS does not answer", "see to this machine's network and its DNS", "reach")
    if isinstance(error, OSError):
        advice = f"name a file that this user may read in {SETTING}"
        return wrong(SUBJECT, f"{SETTING}: {error.strerror}", advice, "setting")
    if "escaped" in text and with_password:
        return wrong(SUBJECT, f"{SETTING} is no address that can be used", _ESCAPE, "setting")
    advice = (
        "use an address like mongodb+srv://user:password@cluster.example.mongodb.net or mongodb://host/?replicaSet=gobi"
    )
    return wrong(SUBJECT, f"{SETTING}: {text.partition('. Hint')[0].rstrip('.')}", advice, "setting")


# -- it answers with a no


def refused(error: OperationFailure, database: str) -> Finding:
    text = str((error.details or {}).get("errmsg") or error)
    lower = text.lower()
    if error.code == AUTHENTICATION_FAILED or (error.code == ATLAS and "bad auth" in lower):
        return wrong(
            SUBJECT,
            "it refuses the user or the password",
            f"correct them in {SETTING} (special characters as %XX); a user of another database than admin needs "
            "authSource=",
            "setting",
        )
    if error.code == UNAUTHORIZED and "requires authentication" in lower:
        advice = f"put a user and the password into {SETTING}: mongodb://user:password@host/"
        return wrong(SUBJECT, "it wants a user and a password", advice, "setting")
    if error.code == UNAUTHORIZED or (error.code == ATLAS and "not a" in lower):  # not allowed, not authorized
        return wrong(
            SUBJECT,
            f"its user may not read and write in {database} ({_short(text)})",
            f"give it the role readWrite on {database}: db.grantRolesToUser() in mongosh, or Atlas's Database Access",
        )
    if error.code == OUT_OF_DISK or (error.code == ATLAS and "quota" in lower):
        return wrong(
            SUBJECT,
            f"it is full and takes no change ({_short(text)})",
            "move to a larger tier, or remove vaults that nobody needs: gobi vault list shows what they hold",
        )
    return wrong(SUBJECT, f"it refuses: {_short(text)}", "look into mongod's log")


# -- it does not answer


def unreachable(connection: Connection, error: PyMongoError) -> Finding:
    """Why no server was found that takes writes, or why the one that was there went away."""
    if isinstance(error, ConfigurationError):  # where DNS is to say which hosts there are
        return _unusable(error, with_password=False)
    known = connection.client.topology_description.server_descriptions()
    for one in known.values():
        if one.error is not None:
            named = one.address in connection.named or not connection.named
            return _silent(one.address, one.error, named)
    types = {one.server_type_name for one in known.values()}
    if "RSGhost" in types:
        return never_initiated()
    if types & {"RSSecondary", "RSOther", "RSArbiter"}:
        advice = (
            "wait a minute for an election; then see rs.status() in mongosh: more than half of the members have to run"
        )
        return wrong(SUBJECT, "its replica set has no primary, which takes the writes", advice, "reach")
    for hello in connection.hellos.last.values():
        if not known:  # it was dropped: no member of the set that the URI names
            return _another(hello)
    for host, port in known:
        if port is not None and (found := knock(SUBJECT, SETTING, host, port)):
            return found
    return _away(f"it did not answer in time ({type(error).__name__})", "see that it runs, and try again")


def no_replica_set() -> Finding:
    return wrong(SUBJECT, "it is no replica set", _REPLICA_SET)


def never_initiated() -> Finding:
    return wrong(SUBJECT, "its replica set was never initiated", "run rs.initiate() in mongosh, once")


def old(what: str) -> Finding:
    return wrong(
        SUBJECT, f"it is too old ({what})", "gobi needs MongoDB 5.0 or later: upgrade it, or use the embedded database"
    )


def _silent(address: Address, error: Exception, named: bool) -> Finding:
    host, port = address
    place = f"{host}:{port}" if port is not None else host
    found = knock(SUBJECT, SETTING, host, port) if port is not None else None
    if found is None:
        return _connected(place, error)
    if not named:
        return _away(
            f"the replica set calls a member {place}, and {found.text}",
            "give it a name that is known here (rs.reconfig() in mongosh), or, for a set of one, add "
            f"directConnection=true to {SETTING}",
        )
    return found


def _connected(place: str, error: Exception) -> Finding:
    """Somebody accepts connections there."""
    text = str(error)
    if isinstance(error, NetworkTimeout):
        return _away(f"{place} accepts connections and does not answer", "it hangs: look into its log, and restart it")
    if isinstance(error, ProtocolError):
        return _away(f"what listens on {place} is no MongoDB", f"correct host and port in {SETTING}")
    if isinstance(error, ConfigurationError):  # a replica set of another name, or a server from long ago
        return old(text) if "wire version" in text else wrong(SUBJECT, text, f"correct {SETTING}", "setting")
    if failed := re.search(r"certificate verify failed: (.+?)\.? \(", text):
        return _away(f"{place} has a certificate that does not hold: {failed[1]}", _certificate(failed[1]))
    if "TLSV1_ALERT" in text or "SSLV3_ALERT" in text:
        return _away(f"{place} breaks off the TLS handshake", _ACCESS_LIST)
    without = f"take tls=true out of {SETTING} where mongod does without"
    if "[SSL" in text:
        return _away(f"{place} does not answer in TLS", f"{without}; {_ACCESS_LIST}")
    # A mongod without TLS that is asked in TLS may close before it says anything: which of both it is, is not known.
    advice = f"where it wants TLS, as Atlas does, add tls=true to {SETTING}; {without}; {_ACCESS_LIST}"
    return _away(f"{place} closes the connection", advice)


def _certificate(reason: str) -> str:
    if "expired" in reason or "not yet valid" in reason:
        return "see whether this machine's clock is right; if it is, the certificate has to be renewed"
    if "mismatch" in reason:
        return f"use a name in {SETTING} that the certificate is for"
    return f"install ca-certificates, or name the certificate of who signed it: tlsCAFile=FILE in {SETTING}"


def _another(hello: Document) -> Finding:
    name = hello.get("setName")
    if name is None:
        return no_replica_set()
    text = f"its replica set is called {name}, and not as {SETTING} says"
    return wrong(SUBJECT, text, f"write replicaSet={name} there", "setting")


def _away(text: str, advice: str) -> Finding:
    return wrong(SUBJECT, text, advice, "reach")


def _short(text: str) -> str:
    return text.partition(", full error")[0][:200]
