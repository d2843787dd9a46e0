"""Other people's code: what there is of it is listed, pinned, and asked about."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

import pytest

from deploy import audit, images
from deploy.package import sbom
from deploy.package.wheels import LOCK

DIGEST = "sha256:" + "ab" * 32
TODAY = datetime.date(2026, 12, 1)


# -- the bill of materials


def test_the_bill_of_materials_has_everything_that_the_packages_bring_and_nothing_else() -> None:
    made = sbom.document("0.1.0", 1_800_000_000)
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.5")
    listed = {one["purl"] for one in made["components"]}
    pinned = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", LOCK.read_text(), re.MULTILINE)
    assert len(pinned) > 15
    python = {f"pkg:pypi/{name.lower()}@{version}" for name, version in pinned}
    bundled = {
        f"pkg:npm/{place.removeprefix('node_modules/').replace('@', '%40')}@{one['version']}"
        for place, one in json.loads(sbom.NPM_LOCK.read_text())["packages"].items()
        if place and not one.get("dev")
    }
    assert len(bundled) > 5
    assert listed == python | bundled
    (all_of_it,) = made["dependencies"]
    assert set(all_of_it["dependsOn"]) == listed


def test_each_library_in_it_has_hashes_by_which_it_can_be_known() -> None:
    for one in sbom.document("0.1.0", 0)["components"]:
        hashes = [*one.get("hashes", ()), *(row for ref in one.get("externalReferences", ()) for row in ref["hashes"])]
        assert hashes, one["name"]
        for row in hashes:
            assert re.fullmatch({"SHA-256": "[0-9a-f]{64}", "SHA-512": "[0-9a-f]{128}"}[row["alg"]], row["content"])


def test_the_same_lock_files_make_the_same_bill(tmp_path: Path) -> None:
    first, second = (sbom.write(tmp_path / name, "0.1.0", 1_800_000_000) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


# -- the images


def test_an_image_is_pinned_by_what_its_tag_stands_for_now() -> None:
    older = f"FROM python:3.13-slim@sha256:{'00' * 32}\n"
    text = f"FROM python:3.13-slim AS build\n{older}    image: redis:8\n    image: gobi\n"
    pinned, missing = images.pin(text, lambda image: DIGEST)
    assert pinned == (
        f"FROM python:3.13-slim@{DIGEST} AS build\nFROM python:3.13-slim@{DIGEST}\n    image: redis:8@{DIGEST}\n"
        "    image: gobi\n"
    )
    assert missing == []


def test_where_no_digest_can_be_had_the_files_stay_as_they_are() -> None:
    text = f"FROM python:3.13-slim@{DIGEST}\n    image: redis:8\n"
    assert images.pin(text, lambda image: None) == (text, ["python:3.13-slim", "redis:8"])


@pytest.mark.parametrize("file", images.FILES, ids=lambda one: one.name)
def test_every_image_is_named_so_that_it_can_be_pinned(file: Path) -> None:
    named = re.findall(r"^(?:FROM +|\s+image: +)(\S+)", file.read_text(), re.MULTILINE)
    assert named
    assert [one for one in named if one != "gobi" and not images.REFERENCE.search(f"FROM {one}")] == []


# -- the audit


def pip_audit(**vulns: list[dict[str, object]]) -> str:
    rows = [{"name": name, "version": "1.0", "vulns": found} for name, found in vulns.items()]
    return json.dumps({"dependencies": rows, "fixes": []})


def test_a_known_hole_counts_by_any_of_its_names_until_it_is_let_pass() -> None:
    (hole,) = audit.python_holes(pip_audit(gevent=[{"id": "PYSEC-1", "aliases": ["CVE-1"]}], click=[]))
    assert list(audit.judge([hole], {})) == [(True, "gevent 1.0: PYSEC-1, CVE-1")]
    let_pass = audit.exceptions("# why\nCVE-1 2026-12-01 not gobi's\n", TODAY)
    assert list(audit.judge([hole], let_pass)) == [(False, "gevent 1.0: PYSEC-1, CVE-1, let pass: not gobi's")]


def test_what_was_let_pass_counts_again_when_its_day_is_over() -> None:
    assert audit.exceptions("CVE-1 2026-11-30 not gobi's\n", TODAY) == {}


@pytest.mark.parametrize("line", ["CVE-1", "CVE-1 2026-12-31", "CVE-1 soon because"])
def test_an_exception_has_a_day_and_a_reason(line: str) -> None:
    with pytest.raises(ValueError, match=r"audit-exceptions|isoformat"):
        audit.exceptions(line, TODAY)


def test_the_exceptions_that_there_are_can_be_read() -> None:
    audit.exceptions(audit.EXCEPTIONS.read_text(), TODAY)


@pytest.mark.parametrize(
    "answer",
    ["", "no json", "[]", "{}", json.dumps({"dependencies": [{"name": "gevent", "skip_reason": "not found"}]})],
)
def test_a_service_that_was_not_reached_is_no_clean_audit(answer: str) -> None:
    with pytest.raises(audit.NotDone):
        audit.python_holes(answer)
    with pytest.raises(audit.NotDone):
        audit.javascript_holes(answer)


def test_npms_holes_are_named_once_where_they_are() -> None:
    via = {"source": 1, "name": "preact", "url": "https://github.com/advisories/GHSA-1", "severity": "high"}
    answer = json.dumps({"vulnerabilities": {"preact": {"via": [via]}, "htm": {"via": ["preact"]}}})
    assert audit.javascript_holes(answer) == [audit.Hole("preact", ("GHSA-1",))]
    assert audit.javascript_holes(json.dumps({"vulnerabilities": {}})) == []


def test_an_audit_that_cannot_be_made_says_so_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "PYTHON", ["/nonexistent/pip-audit"])
    monkeypatch.setattr(audit, "JAVASCRIPT", ["true"])
    assert audit.main() == 0
    assert capsys.readouterr().out.count("AUDIT NOT DONE") == 2


def test_a_known_hole_fails_the_audit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(audit, "PYTHON", ["echo", pip_audit(gevent=[{"id": "PYSEC-1", "aliases": []}])])
    monkeypatch.setattr(audit, "JAVASCRIPT", ["echo", json.dumps({"vulnerabilities": {}})])
    assert audit.main() == 1
    assert "KNOWN HOLE: gevent 1.0: PYSEC-1" in capsys.readouterr().out
