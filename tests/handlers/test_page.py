"""The web page's own files: small, kept by browsers, and under a strict policy."""

from __future__ import annotations

import gzip
import http.client
import re

import pytest

from handlers.page import FOLDER, Pages
from tests.handlers.site import Site, refused
from tests.server import GobiServer

MOST = 400_000


def own_files(html: str) -> list[str]:
    """As seen from the page, which is at the root."""
    return [f"/{place}" for place in re.findall(r'(?:href|src)="(web/[^"]+)"', html)]


def test_everybody_gets_the_page(site: Site) -> None:
    answer = site.person(None).get("/")
    assert answer.content_type == "text/html"
    for url in own_files(answer.text):
        assert site.person(None).get(url).status_int == 200


def test_the_page_may_load_and_run_nothing_but_its_own_files(site: Site) -> None:
    headers = site.person(None).get("/").headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy.pop("default-src") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'", "'script'"}
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


def test_a_browser_keeps_the_files_and_asks_about_the_page(site: Site) -> None:
    page = site.person(None).get("/")
    assert page.headers["Cache-Control"] == "no-cache"
    assert site.person(None).get("/", If_None_Match=page.headers["ETag"]).status_int == 304
    for url in own_files(page.text):
        assert "immutable" in site.person(None).get(url).headers["Cache-Control"]


def test_an_address_of_before_an_upgrade_is_answered_and_not_kept(site: Site) -> None:
    answer = site.person(None).get("/web/0123456789abcdef/app.js")
    assert (answer.status_int, answer.headers["Cache-Control"]) == (200, "no-cache")


def test_all_of_it_is_small() -> None:
    pages = Pages()
    files = [path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()]
    packed = [file.packed for name in files if (file := pages.file(name)) is not None]
    assert len(packed) > 20
    assert sum(map(len, packed)) < MOST


def test_what_does_not_exist_takes_no_room() -> None:
    pages = Pages()
    assert all(pages.file(f"made-up-{number}") is None for number in range(1_000))
    assert pages._packed.cache_info().currsize == 0


@pytest.mark.parametrize(
    "name", ["index.html", "../page.py", "..%2Fpage.py", "nothing.js", "", "vendor", "/etc/passwd"]
)
def test_nothing_else_is_given_away(site: Site, name: str) -> None:
    refused(site.person(None).get(f"/web/x/{name}"), 404, "not-found")


def test_the_licences_of_other_peoples_code_are_there(site: Site) -> None:
    text = site.person(None).get("/web/x/vendor/LICENCES.txt").text
    for name in ("preact", "htm", "@codemirror/view", "@codemirror/merge"):
        assert re.search(rf"^{name} [0-9.]+ \((MIT|Apache-2\.0)\)$", text, re.MULTILINE)


def test_without_gzip_it_is_sent_as_it_is(shared_server: GobiServer) -> None:
    bodies = []
    for accepted in ("gzip, br", "identity"):
        connection = http.client.HTTPConnection(*shared_server.address, timeout=30)
        connection.request("GET", "/web/x/app.js", headers={"Accept-Encoding": accepted})
        answer = connection.getresponse()
        assert answer.getheader("Vary") == "Accept-Encoding"
        assert answer.getheader("Content-Encoding") == ("gzip" if "gzip" in accepted else None)
        bodies.append(answer.read())
        connection.close()
    assert gzip.decompress(bodies[0]) == bodies[1]
    assert bodies[1].startswith(b"// The page")


def test_the_page_names_no_place_but_those_beside_it(site: Site) -> None:
    """So it works wherever a proxy puts it."""
    html = site.person(None).get("/").text
    assert len(re.findall(r'(?:href|src)="', html)) == len(own_files(html)) > 3
    for path in FOLDER.rglob("*.js"):
        if "vendor" not in path.parts:
            assert not re.search(r"""["'`]/(v1|web)\b(?!["'`]?\))""", path.read_text().replace('at("/v1', "")), path
