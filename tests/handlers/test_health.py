"""Whether the server lives, and whether it could do its work."""

from __future__ import annotations

from store.errors import DiskFull, Unavailable
from tests.handlers.site import Site


def test_a_living_server_says_so_to_anybody_even_without_its_database(site: Site) -> None:
    site.metadata.fail("user", Unavailable("away"))
    site.metadata.fail("ping", Unavailable("away"))
    assert site.person(None).get("/healthz").json == {"status": "ok"}
    assert site.person(None).ask("HEAD", "/healthz").status_int == 200


def test_a_ready_server_has_all_it_needs(site: Site) -> None:
    answer = site.me.get("/readyz")
    assert answer.json == {"status": "ok", "checks": {"metadata": "ok", "bodies": "ok", "notify": "ok"}}


def test_a_server_that_lacks_something_is_not_ready_and_says_what(site: Site) -> None:
    site.metadata.fail("ping", Unavailable("the database does not answer"))
    site.bodies.fail("check", DiskFull("no room"))
    answer = site.me.get("/readyz")
    assert answer.status_int == 503
    assert answer.json == {
        "status": "failing",
        "checks": {"metadata": "the database does not answer", "bodies": "no room", "notify": "ok"},
    }
    assert answer.headers["Retry-After"]
