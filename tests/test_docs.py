"""Nothing that people can use is undocumented, and nothing documented is made up."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import click
import falcon
import falcon.inspect
import pytest

import gobi
from client.owner import ALLOW as ALLOW_ROOT
from handlers.metrics import Looked
from handlers.wire import Wire
from ops import settings

ROOT = Path(__file__).resolve().parent.parent
DOCS = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
README = (ROOT / "README.md").read_text()
PARTS = ("sync", "store", "handlers", "client", "ops")


def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for child in command.list_commands(context):
        found = command.get_command(context, child)
        assert found is not None
        yield from leaves(found, f"{name} {child}")


def commands() -> Iterator[tuple[str, click.Command]]:
    for name, (place, _) in {**gobi.CLIENT_COMMANDS, **gobi.SERVER_COMMANDS}.items():
        module, _, attribute = place.partition(":")
        yield from leaves(getattr(importlib.import_module(module), attribute), f"gobi {name}")


COMMANDS = dict(commands())


def test_every_setting_is_documented() -> None:
    documented = set(re.findall(r"`(GOBI_[A-Z_]+)`", DOCS["operating.md"]))
    assert set(settings.names()) <= documented


def test_the_example_of_a_settings_file_has_every_setting_and_no_other_and_can_be_used(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "gobi.env.example").read_text()
    file = tmp_path / "gobi.env"
    file.write_text(re.sub(r"^#(?=GOBI_)", "", text, flags=re.MULTILINE))
    variables = settings.gather({}, file)
    assert set(variables) == {*settings.names(), *(f"{name}_FILE" for name in settings.SECRETS)}
    settings.parse({name: value for name, value in variables.items() if not name.endswith("_FILE")})


def test_what_the_example_of_a_settings_file_calls_a_default_is_one() -> None:
    text = (ROOT / "deploy" / "gobi.env.example").read_text()
    defaults = dict(
        re.findall(r"^\| `(GOBI_\w+)` \| `?([\w.:]+?)`?(?:: no limit)? \|", DOCS["operating.md"], re.MULTILINE)
    )
    said = dict(re.findall(r"^#(GOBI_\w+)=(.*)", text, re.MULTILINE))
    shown = {name: value for name, value in defaults.items() if value != "none" and name in said}
    assert len(shown) > 10
    for name, value in shown.items():
        assert said[name] == value


def test_every_documented_setting_exists() -> None:
    secrets = {f"{name}_FILE" for name in settings.SECRETS}
    for name, text in [*DOCS.items(), ("README.md", README)]:
        for variable in re.findall(r"\b(GOBI_[A-Z_]+[A-Z])\b", text):
            assert variable in {*settings.names(), *secrets, ALLOW_ROOT}, f"{name} speaks of {variable}"


def test_every_measure_is_documented_and_the_dashboard_shows_none_that_there_is_not(tmp_path: Path) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    app = gobi.create_app(settings.Settings(tmp_path))
    assert isinstance(app, Wire)
    text = app._measures.text(Looked([], {})).decode()
    named = {family.name for family in text_string_to_metric_families(text)}
    documented = set(re.findall(r"`(gobi_[a-z_]+)`", DOCS["operating.md"]))
    shown = set(re.findall(r"gobi_[a-z_]+", (ROOT / "deploy" / "grafana.json").read_text()))
    endings = ("", "_total", "_sum", "_count", "_bucket")
    assert len(named) > 12
    for name in named:
        assert documented & {name + ending for ending in endings}, f"{name} is not in docs/operating.md"
    for name in documented | shown:
        assert name in {one + ending for one in named for ending in endings}, f"there is no {name}"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_documented(name: str) -> None:
    place = DOCS["client.md"] + DOCS["operating.md"]
    assert re.search(rf"^\| `{name}\b", place, re.MULTILINE), f"{name} is in no table"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    command = COMMANDS[name]
    words = name.split()
    text = command.get_help(click.Context(command, info_name=words[-1]))
    assert re.search(rf"\b{name}\b", text), f"{name} --help shows no example"


@pytest.mark.parametrize("name", ["user", "vault"])
def test_the_list_of_commands_names_whatever_a_group_has(name: str) -> None:
    place, line = gobi.SERVER_COMMANDS[name]
    module, _, attribute = place.partition(":")
    group = getattr(importlib.import_module(module), attribute)
    assert set(group.list_commands(click.Context(group))) == set(re.findall(r"[a-z]+", line.partition(": ")[2]))


def test_every_documented_command_exists() -> None:
    groups = {name.rsplit(" ", 1)[0] for name in COMMANDS} | {"gobi"}
    for text in DOCS.values():
        for row in re.findall(r"^\| `(gobi [a-z-]+(?: [a-z-]+)?)", text, re.MULTILINE):
            assert row in COMMANDS or row.rsplit(" ", 1)[0] in COMMANDS or row in groups, f"{row} does not exist"


def test_every_endpoint_is_documented(tmp_path: Path) -> None:
    app = gobi.create_app(settings.Settings(tmp_path))
    assert isinstance(app, Wire)
    assert isinstance(app._app, falcon.App)
    routes = {re.sub(r":\w+}", "}", route.path) for route in falcon.inspect.inspect_routes(app._app)}
    assert len(routes) > 15
    for route in sorted(routes):
        assert re.search(rf"[ |`]{re.escape(route)}[`?]", DOCS["protocol.md"]), f"{route} is not in docs/protocol.md"


def test_whatever_the_page_for_trouble_quotes_is_what_the_program_says() -> None:
    files = [ROOT / "gobi.py", *(file for part in PARTS for file in sorted((ROOT / part).rglob("*.py")))]
    said = re.sub(r'"\s+f?"', "", "\n".join(file.read_text() for file in files))
    quoted = re.findall(r'"([^"]+)"|\| `(GOBI_[^`]+: [^`]+)`', DOCS["troubleshooting.md"])
    pieces = [piece.strip(" ,:;()") for pair in quoted for piece in "".join(pair).split("…")]
    long = [piece for piece in pieces if len(piece) > 6]
    assert len(long) > 40
    for piece in long:
        assert piece in said, f"nothing says {piece!r}"


def test_every_claim_about_security_names_a_test_that_exists() -> None:
    text = DOCS["security.md"]
    claims = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| gobi |", "|---"))]
    assert len(claims) > 40
    for claim in claims:
        named = re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", claim.rpartition(" | ")[2])
        assert named, f"no test stands behind: {claim}"
        for file, name in named:
            assert (ROOT / file).exists(), f"docs/security.md names {file}, which is not there"
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file} has no {name}"


def test_links_to_a_heading_lead_to_one() -> None:
    heads = {
        name: {_anchor(line) for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)} for name, text in DOCS.items()
    }
    for name, text in [*DOCS.items(), ("README.md", README)]:
        for page, anchor in re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", text):
            assert anchor in heads[Path(page).name or name], f"{name} links to {page}#{anchor}"


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def test_the_layout_in_the_architecture_names_modules_that_exist() -> None:
    layout = DOCS["architecture.md"].partition("## Layout")[2].split("```")[1]
    part, count = ROOT, 0
    for line in layout.splitlines():
        if heading := re.match(r"([a-z]+)/ ", line):
            part = ROOT / heading[1]
        for name in re.findall(r"[a-z_*]+\.py\b", line):
            where = part if line.startswith(" ") else ROOT
            assert list(where.rglob(name)), f"there is no {name} in {where.name}"
            count += 1
    assert count > 80


def test_each_release_has_its_kinds_of_changes_once_and_in_order() -> None:
    kinds = ["Added", "Changed", "Fixed", "Removed"]
    for release in re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]:
        named = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert named == [kind for kind in kinds if kind in named]
        entries = re.findall(r"^- .+$", release, re.MULTILINE)
        assert sorted(set(entries)) == sorted(entries), "an entry is there twice"
        assert not release.partition("### ")[0].partition("\n")[2].strip(), "what is this? Put it below a heading"


def test_links_between_the_pages_lead_somewhere() -> None:
    for name, text in [*DOCS.items(), ("../README.md", README)]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
            assert ((ROOT / "docs" / name).parent / target).exists(), f"{name} links to {target}"
