"""The commands for conflicts: conflicts, resolve. What they return is the exit code; None is 0."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from client import config as configuration
from client.command import (
    NEEDS_A_PERSON,
    USAGE,
    Command,
    bring_here,
    example,
    folder_argument,
    json_option,
    open_connection,
    print_json,
    print_lines,
    say,
)
from client.config import Config, shown
from client.ports import Stopped
from sync.model import Json

if TYPE_CHECKING:
    from client.past import Past


@click.command(cls=Command, epilog=example("gobi conflicts ~/notes"))
@folder_argument
@json_option
def conflicts(folder: Path, as_json: bool) -> int:
    """List the open conflicts of DIR's vault: each side, and the command that settles it. Changes nothing.

    Exit code: 0 where there are none, 1 where there are any.
    """
    from client.past import Past
    from client.show_past import conflict_lines

    config = configuration.load(folder)
    found = Past(open_connection(folder, config), config.vault).conflicts()
    if as_json:
        print_json({"conflicts": found})
    else:
        print_lines(conflict_lines(found, folder))
    return NEEDS_A_PERSON if found else 0


@click.command(cls=Command, epilog=example("gobi resolve ~/notes today.md --keep both"))
@folder_argument
@click.argument("path", metavar="[PATH]", required=False)
@click.option(
    "--keep",
    type=click.Choice(("server", "client", "both", "merged")),
    help="The server's version, the client's, both side by side, or both merged into one.",
)
@click.option(
    "--candidate", type=click.IntRange(min=1), metavar="N", help="Which client's version. Default: the newest."
)
@click.option("--text-file", metavar="F", help="The merged text, for --keep merged; - reads it from stdin.")
@click.option("--id", "conflict_id", metavar="ID", help="Which conflict, where PATH has several.")
@click.option("--print", "only_print", is_flag=True, help="Print the window's address and open nothing.")
def resolve(
    folder: Path,
    path: str | None,
    keep: str | None,
    candidate: int | None,
    text_file: str | None,
    conflict_id: str | None,
    only_print: bool,
) -> int:
    """Settle the conflict about PATH, or open the conflict window in the browser.

    The outcome becomes the newest version, and every side is in the history. Then DIR is brought in step.
    """
    from client.past import Past, window

    if keep is None and (candidate or text_file):
        raise Stopped("--candidate and --text-file go with --keep, which says what becomes of the conflict", USAGE)
    if keep is not None and path is None:
        raise Stopped("--keep needs the PATH of a conflict; gobi conflicts lists them", USAGE)
    if text_file is not None and keep != "merged":
        raise Stopped("--text-file goes with --keep merged", USAGE)
    config = configuration.load(folder)
    if path is None:
        return _show_window(window(config), config, only_print)
    past = Past(open_connection(folder, config), config.vault)
    conflict = _wanted(past, folder, path, conflict_id)
    if keep is None:
        return _show_window(window(config, conflict["id"]), config, only_print)
    return _settle(past, folder, config, conflict, keep, candidate, text_file)


def _wanted(past: Past, folder: Path, name: str, conflict_id: str | None) -> Json:
    from client.binding import vault_path
    from client.words import command

    path = vault_path(folder, name)
    found = [one for one in past.conflicts() if one["path"] == path and conflict_id in (None, one["id"])]
    listing = command("conflicts", folder)
    if not found:
        raise Stopped(f"there is no open conflict about {shown(path)}; {listing} lists those there are", USAGE)
    if len(found) > 1:
        raise Stopped(f"{shown(path)} has {len(found)} conflicts; say which with --id, as {listing} shows them", USAGE)
    return found[0]


def _settle(
    past: Past, folder: Path, config: Config, conflict: Json, keep: str, candidate: int | None, text_file: str | None
) -> int:
    from client.show_past import settled_lines

    numbers = [one["n"] for one in conflict["candidates"]]
    if candidate is not None and candidate not in numbers:
        raise Stopped(f"there is no candidate {candidate}; choose one of {', '.join(map(str, numbers))}", USAGE)
    asked: Json = {"keep": keep, "head": conflict["server"]["stamp"], "candidate": candidate or numbers[-1]}
    asked["seen"] = numbers[-1]  # one that came meanwhile is not settled unseen
    merged = False
    if text_file is not None:
        asked["text"] = _read(text_file)
    elif keep == "merged":
        merge = _merged(past, folder, conflict, asked["candidate"])
        asked |= {"text": merge["text"], "head": merge["head"]}
        merged = True
    versions = past.resolve(conflict, asked)
    print_lines(settled_lines(conflict, asked | {"merged": merged}, versions, folder))
    return bring_here(folder, config)


def _merged(past: Past, folder: Path, conflict: Json, candidate: int) -> Json:
    """The server's merge. Raises Stopped unless it is clean."""
    from client.show_past import unmergeable
    from client.words import command, counted

    path = shown(conflict["path"])
    merge = past.merge(conflict, candidate)
    if not merge["mergeable"]:
        reason = unmergeable(merge.get("reason", ""))
        raise Stopped(f"{path} cannot be merged: {reason}; use --keep server, client or both", NEEDS_A_PERSON)
    if not merge["clean"]:
        places = counted(sum(hunk["kind"] == "conflict" for hunk in merge["hunks"]), "place")
        raise Stopped(
            f"in {path} both sides changed the same lines: {places} to be decided by a person; run "
            f"{command('resolve', folder)} for the window, or give the text with --text-file",
            NEEDS_A_PERSON,
        )
    return merge


def _read(name: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return raw.decode()
    except OSError as error:
        raise Stopped(f"{shown(name)} cannot be read: {error.strerror}", USAGE) from None
    except UnicodeDecodeError:
        raise Stopped(f"{shown(name)} is not UTF-8 text; a merge has to be, so keep one side or both", USAGE) from None


def _show_window(address: str, config: Config, only_print: bool) -> int:
    say(address)
    if only_print:
        return 0
    if _has_browser() and _open(address):
        say("Opened in your browser.")
    else:
        say(f"There is no browser here: open this address where there is one, and sign in as {config.user}.")
    return 0


def _has_browser() -> bool:
    """A browser in a terminal would be of no use: the window is drawn by a program."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))


def _open(address: str) -> bool:
    import webbrowser

    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False
