"""Every refusal as RFC 9457 `application/problem+json`: one shape, and one table from the store's errors to codes."""

from __future__ import annotations

import errno
import logging
from http import HTTPStatus

import falcon
import msgspec

from handlers.bodies import Disconnected
from handlers.exchange import request_id
from handlers.problems import Problem, challenge
from handlers.wire import Detached
from store import errors as store
from sync.paths import BadPath

log = logging.getLogger("gobi.http")

# The nearest class wins, so that a subclass of StoreError can never be left without an answer.
# fmt: off
CODES: dict[type[Exception], str] = {
    BadPath: "bad-path",
    store.NotFound: "not-found",
    store.Unauthorized: "unauthorized",
    store.Forbidden: "forbidden",
    store.BadRequest: "bad-request",
    store.BadCursor: "bad-cursor",
    store.Stale: "conflict",
    store.PathTaken: "path-taken",
    store.NameTaken: "name-taken",
    store.OtherVault: "other-vault",
    store.LastOwner: "last-owner",
    store.TooMany: "too-many",
    store.HashMismatch: "hash-mismatch",
    store.LengthMismatch: "length-mismatch",
    store.TooLarge: "too-large",
    store.CursorExpired: "cursor-expired",
    store.Purged: "purged",
    store.SlowDown: "slow-down",
    store.DiskFull: "disk-full",
    store.MetadataFull: "metadata-full",
    store.QuotaExceeded: "quota",
    store.Unavailable: "store-unavailable",
    store.InUse: "store-unavailable",
    store.Unusable: "store-unavailable",
    store.Misconfigured: "store-unavailable",
    store.WrongClock: "store-unavailable",
    store.BodyMissing: "internal",
    store.BodyDamaged: "internal",
    store.StoreError: "internal",
}
# fmt: on


def as_problem(error: Exception) -> Problem:
    """The answer to an error of the store. Raises KeyError for any other exception."""
    code = next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)
    problem = Problem(code, str(error))
    match error:
        case store.Stale():
            problem.extras["head"] = error.head.to_json() if error.head else None
        case store.PathTaken():
            problem.extras["version"] = error.version.to_json()
        case store.NotFound():
            if error.head is not None:
                problem.extras["head"] = error.head.to_json()
            if error.missing is not None:
                problem.extras["missing"] = error.missing
        case store.Unavailable() | store.SlowDown():
            problem.headers["Retry-After"] = str(error.retry_after)
    return problem


def install(app: falcon.App[falcon.Request, falcon.Response]) -> None:
    """Has every exception that leaves a handler answered in the one shape."""
    app.add_error_handler(Exception, _internal)
    app.add_error_handler(falcon.HTTPError, _from_falcon)
    app.add_error_handler(Problem, _from_problem)
    app.add_error_handler(store.StoreError, _from_store)
    app.add_error_handler(BadPath, _from_store)
    app.add_error_handler(Disconnected, _gone)
    app.add_error_handler(Detached, _detached)


def write(req: falcon.Request, resp: falcon.Response, problem: Problem) -> None:
    status = HTTPStatus(problem.status)
    resp.status = status
    for name in resp.headers:  # what a handler said of an answer that did not come to be
        resp.delete_header(name)
    for name, value in problem.headers.items():
        resp.set_header(name, value)
    resp.content_type = "application/problem+json"
    resp.stream = None
    resp.data = msgspec.json.encode(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": problem.detail,
            "code": problem.code,
            "request_id": request_id(req.env),
            **problem.extras,
        }
    )


def _from_problem(req: falcon.Request, resp: falcon.Response, error: Problem, _params: object) -> None:
    write(req, resp, error)


def _from_store(req: falcon.Request, resp: falcon.Response, error: Exception, _params: object) -> None:
    problem = as_problem(error)
    if isinstance(error, store.Unauthorized):
        problem.headers |= challenge(req)
    # Nobody has to look after a server because somebody's vault is full.
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, store.QuotaExceeded):
        log.error("%s %s failed: %s", req.method, req.path, error)
    write(req, resp, problem)


def _from_falcon(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: object) -> None:
    """What Falcon itself refuses: an unknown address, a method that an address does not have, a malformed request."""
    match error:
        case falcon.HTTPNotFound():
            problem = Problem("not-found", "there is nothing at this address")
        case falcon.HTTPMethodNotAllowed():
            problem = Problem("method-not-allowed", f"{req.method} is not for this address: see Allow for what is")
        case _ if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            problem = Problem("bad-request", error.description or error.title or "the request is malformed")
        case _:
            _internal(req, resp, error, _params)
            return
    problem.headers |= dict(error.headers or {})
    write(req, resp, problem)


def _internal(req: falcon.Request, resp: falcon.Response, error: Exception, _params: object) -> None:
    log.error("%s %s failed", req.method, req.path, exc_info=error)
    reason = f"the server failed at this; its log has the reason under request={request_id(req.env)}"
    write(req, resp, Problem("internal", reason))


def _gone(req: falcon.Request, _resp: falcon.Response, _error: Disconnected, _params: object) -> None:
    log.info("%s %s was cut off by the client", req.method, req.path)
    # gunicorn closes the connection on this and does not mind.
    raise ConnectionResetError(errno.ECONNRESET, "the client went away")


def _detached(_req: falcon.Request, _resp: falcon.Response, error: Detached, _params: object) -> None:
    raise error
