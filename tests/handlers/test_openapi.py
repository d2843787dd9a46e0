"""/openapi.json: everybody may read it, and it is the whole contract, no less and no more."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import falcon
import falcon.inspect

import gobi
from handlers.openapi.document import document
from handlers.openapi.refusals import MEANING
from handlers.problems import STATUS
from handlers.wire import Wire
from ops.settings import Settings
from tests.handlers.site import Site


def test_everybody_gets_it_and_asks_about_it_next_time(site: Site) -> None:
    nobody = site.person(None)
    answer = nobody.get("/openapi.json")
    assert answer.content_type == "application/json"
    assert answer.json == document()
    assert answer.headers["Cache-Control"] == "no-cache"
    assert nobody.get("/openapi.json", If_None_Match=answer.headers["ETag"]).status_int == 304


def test_it_is_openapi_3_1() -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator

    made = document()
    assert made["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(made).iter_errors()) == []


def test_every_method_of_every_address_is_in_it_and_no_other(tmp_path: Path) -> None:
    app = gobi.create_app(Settings(tmp_path))
    assert isinstance(app, Wire)
    assert isinstance(app._app, falcon.App)
    there = {
        (re.sub(r":\w+}", "}", route.path), method.method.lower())
        for route in falcon.inspect.inspect_routes(app._app)
        for method in route.methods
        if not method.internal
    }
    said = {(address, method) for address, at in document()["paths"].items() for method in at if method != "parameters"}
    assert said == there


def test_every_refusal_of_the_protocol_is_in_it_and_explained() -> None:
    made = document()
    assert MEANING.keys() == STATUS.keys()
    assert made["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(STATUS)
    told = set()
    for response in made["components"]["responses"].values():
        part = response["content"]["application/problem+json"]["schema"]["properties"]
        told |= {(code, part["status"]["const"]) for code in part["code"]["enum"]}
    assert told == set(STATUS.items())


def test_a_client_can_be_made_of_it() -> None:
    """Generators name their functions by the ids, and run their patterns in languages that know no \\A."""
    operations = [
        operation for at in document()["paths"].values() for name, operation in at.items() if name != "parameters"
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] for operation in operations)
    assert "\\A" not in str(document())
    assert "\\Z" not in str(document())


def test_a_server_that_nobody_asks_for_it_does_not_make_it(tmp_path: Path) -> None:
    program = (
        "import sys, gobi; from pathlib import Path; from ops.settings import Settings;"
        "gobi.create_app(Settings(Path(sys.argv[1])));"
        "print([name for name in sys.modules if name.startswith('handlers.openapi.')])"
    )
    root = Path(gobi.__file__).parent
    done = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "['handlers.openapi.address']", done.stderr
