"""What `gobi doctor` finds out about Redis."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from store.bus_options import check_options
from store.bus_seal import is_signed
from store.findings import Finding, ok, warning, wrong
from store.reach import knock, loses_its_end

SUBJECT = "Redis"
SETTING = "GOBI_REDIS_URL"
PATIENCE_S = 2.0

_ESCAPE = f"write such characters of the password as %XX in {SETTING}: @ is %40, / is %2F, ? is %3F, # is %23, : is %3A"


def check(url: str, channel: str) -> Iterator[Finding]:
    """`channel`: the one that workers use. Nothing is published on it."""
    if not url.startswith("unix:") and loses_its_end(url):
        yield wrong(SUBJECT, f"{SETTING} has an @ after the host", _ESCAPE, "setting")
        return
    try:
        check_options(url)
    except ValueError as error:
        text, _, advice = str(error).partition(": ")
        yield wrong(SUBJECT, f"{SETTING}: {text}", advice, "setting")
        return
    patience = {"socket_timeout": PATIENCE_S, "socket_connect_timeout": PATIENCE_S, "retry": Retry(NoBackoff(), 0)}
    try:
        client = redis.Redis.from_url(url, protocol=2, **patience)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # not connected: only to see that its options make sense
    except (ValueError, TypeError, redis.RedisError):  # whose words may hold part of the password
        advice = f"use an address like redis://:password@host:6379/0, rediss:// for TLS; {_ESCAPE}"
        yield wrong(SUBJECT, f"{SETTING} is no address that can be used", advice, "setting")
        return
    with client:
        try:
            yield from _look(client, channel)
        except (redis.RedisError, OSError) as error:
            yield _trouble(client, error)


def _look(client: redis.Redis, channel: str) -> Iterator[Finding]:
    start = time.perf_counter()
    client.ping()
    yield ok(SUBJECT, f"{_place(client)} answers within {1000 * (time.perf_counter() - start):.1f} ms")
    yield from _told(client, channel)


def _told(client: redis.Redis, channel: str) -> Iterator[Finding]:
    """Subscribes beside the workers, and publishes where they do not listen."""
    own, word = f"{channel}:doctor:{secrets.token_hex(8)}", secrets.token_bytes(8)
    start = time.perf_counter()
    deadline = time.monotonic() + PATIENCE_S
    arrived, unsigned = None, 0
    with client.pubsub() as subscription:  # type: ignore[no-untyped-call]  # it has no types
        subscription.subscribe(channel, own)
        while arrived is None and time.monotonic() < deadline:
            message = subscription.get_message(timeout=max(0.0, deadline - time.monotonic()))
            if message is None:
                continue
            if message["type"] == "subscribe" and message["channel"] == own.encode():
                start = time.perf_counter()
                client.publish(own, word)
            elif message["type"] == "message" and message["data"] == word:
                arrived = time.perf_counter() - start
            elif message["type"] == "message" and not is_signed(message["data"]):
                unsigned += 1
    if arrived is None:
        advice = "see whether it is one Redis, and not a cluster's replica; look into its log"
        yield warning(SUBJECT, f"a message did not arrive within {PATIENCE_S:.0f} s", advice)
    else:
        yield ok(SUBJECT, f"a message arrives after {1000 * arrived:.1f} ms")
    yield _believed(unsigned)


def _believed(unsigned: int) -> Finding:
    """Of what passed by meanwhile: workers count all that they refuse (gobi_bus_refused_messages)."""
    if not unsigned:
        return ok(SUBJECT, "workers believe only messages that the database's secret has signed")
    advice = "upgrade every host that shares this database; or see who else has access to Redis, and give it a password"
    return warning(SUBJECT, f"{unsigned} messages without a signature came by, which workers refuse", advice)


def _trouble(client: redis.Redis, error: Exception) -> Finding:
    text = str(error)
    lower = text.lower()
    match error:
        case NoPermissionError():
            return wrong(
                SUBJECT,
                f"its user may not do that ({text})",
                "allow it PING, SUBSCRIBE and PUBLISH on gobi's channels: ACL SETUSER NAME +ping +subscribe "
                "+unsubscribe +publish &gobi:*",
            )
        case redis.BusyLoadingError():
            return wrong(SUBJECT, "it is still loading its data", "wait, then look again", "reach")
        case redis.AuthenticationError() if "without any password" in lower:
            advice = f"take the password out of {SETTING}, or give Redis one (requirepass)"
            return wrong(SUBJECT, "it has no password, and is given one", advice, "setting")
        case redis.AuthenticationError() if "required" in lower:
            advice = f"put it into {SETTING}: redis://:password@host:6379/0"
            return wrong(SUBJECT, "it wants a password", advice, "setting")
        case redis.AuthenticationError():
            advice = f"correct it in {SETTING} (special characters as %XX)"
            return wrong(SUBJECT, "it refuses the password", advice, "setting")
        case redis.ResponseError():
            return wrong(SUBJECT, f"it refuses: {text[:200]}", "look into its log and redis.conf")
    return _silent(client, error)


def _silent(client: redis.Redis, error: Exception) -> Finding:
    options = client.connection_pool.connection_kwargs
    place = _place(client)
    if "path" in options:
        return _away(
            f"no connection to {place}", f"see that it runs, and that this user may write to it; or correct {SETTING}"
        )
    found = knock(SUBJECT, SETTING, options.get("host", "localhost"), int(options.get("port", 6379)))
    if found is not None:
        return found
    tls = issubclass(client.connection_pool.connection_class, redis.SSLConnection)
    if isinstance(error, redis.TimeoutError | TimeoutError) and not tls:
        return _away(f"{place} accepts connections and does not answer", "it hangs: look into its log, and restart it")
    if tls:
        advice = f"write redis:// in {SETTING} where it does without; for its own certificate add ?ssl_ca_certs=FILE"
        return _away(f"the TLS handshake with {place} fails", advice)
    advice = f"where it wants TLS write rediss:// in {SETTING}; look into its log"
    return _away(f"{place} closes the connection", advice)


def _place(client: redis.Redis) -> str:
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def _away(text: str, advice: str) -> Finding:
    return wrong(SUBJECT, text, advice, "reach")
