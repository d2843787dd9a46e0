"""Every refusal has the one shape of RFC 9457, whoever refuses: Falcon, a handler, the store."""

from __future__ import annotations

import http

import pytest

from handlers.errors import CODES, as_problem
from handlers.problems import STATUS
from store import errors as store
from sync.model import Version
from tests.handlers.site import VAULT, Person, Site, file

VERSION = Version("a.md", "put", 5, None, "0" * 64, 3, None, "laptop", "me")


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/v1/nothing"),
        ("POST", "/healthz"),
        ("GET", file("none.md")),
        ("POST", f"{VAULT}/sync"),
        ("PUT", "/%ff"),
    ],
)
def test_a_refusal_is_a_problem_with_its_code_and_the_requests_id(me: Person, method: str, url: str) -> None:
    answer = me.ask(method, url)
    problem = answer.json
    assert answer.content_type == "application/problem+json"
    assert problem.keys() >= {"type", "title", "status", "detail", "code", "request_id"}
    assert problem["status"] == answer.status_int == STATUS[problem["code"]]
    assert problem["title"] == http.HTTPStatus(answer.status_int).phrase
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert problem["detail"]


def test_a_sane_request_id_is_taken_over_and_any_other_is_replaced(me: Person) -> None:
    assert me.get("/healthz", X_Request_ID="my-id_1.2").headers["X-Request-ID"] == "my-id_1.2"
    for bad in ("", "a b", 'x"', "x" * 65, "é"):
        made = me.get("/healthz", X_Request_ID=bad).headers["X-Request-ID"]
        assert made != bad
        assert len(made) == 16


def test_good_answers_carry_a_request_id_too(me: Person) -> None:
    assert me.get("/v1/vaults").headers["X-Request-ID"]


def test_a_refusal_says_nothing_of_the_file_that_it_does_not_send(site: Site) -> None:
    site.me.put("a.md", b"text")
    site.bodies.fail("open", store.BodyMissing("gone"))
    for wanted, status in (("bytes=0-1", 500), ("bytes=9-", 416)):
        answer = site.me.get(file("a.md"), Range=wanted)
        assert answer.status_int == status
        told = {name.lower() for name in answer.headers}
        assert not told & {"etag", "last-modified", "gobi-hash", "content-disposition", "accept-ranges"}


def test_a_refused_head_request_has_no_body(me: Person) -> None:
    answer = me.ask("HEAD", file("none.md"))
    assert (answer.status_int, answer.body) == (404, b"")


def test_every_error_of_the_store_has_an_answer() -> None:
    """A new error class must not end as a 500 by accident."""
    known = {kind for kind in vars(store).values() if isinstance(kind, type) and issubclass(kind, store.StoreError)}
    groups = {store.StoreError, store.Refused, store.Full}  # never raised themselves
    assert known - groups <= CODES.keys()
    assert set(CODES.values()) <= STATUS.keys()


def test_what_goes_with_a_refusal_is_told() -> None:
    assert as_problem(store.Stale("x", VERSION)).extras == {"head": VERSION.to_json()}
    assert as_problem(store.Stale("x", None)).extras == {"head": None}
    assert as_problem(store.PathTaken("x", VERSION)).extras == {"version": VERSION.to_json()}
    assert as_problem(store.NotFound("x")).extras == {}
    assert as_problem(store.NotFound("x", missing=[{"path": "a"}])).extras == {"missing": [{"path": "a"}]}
    assert as_problem(store.Unavailable("x", 9)).headers == {"Retry-After": "9"}


def test_no_answer_opens_the_door_to_other_sites_pages(site: Site) -> None:
    for method in ("GET", "OPTIONS"):
        answer = site.me.ask(method, "/v1/vaults", Origin="https://evil.example")
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
