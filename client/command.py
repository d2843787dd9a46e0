"""What the client's commands have in common: their form, their exit codes, and the way to the server."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from client import config as configuration
from client.config import Config, shown
from client.identity import settled
from client.ports import ServerAway, ServerRefused, SlowDown, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from client.connection import Connection, Limits
    from client.http import HttpTransport

NEEDS_A_PERSON, USAGE, OUT_OF_REACH, LATER, SETTINGS, INTERRUPTED = 1, 2, 69, 75, 78, 130


class Command(click.Command):
    """Turns whatever stops a command into Stopped: one line that says what to do next, and an exit code."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Stopped as error:
            raise Stopped(shown(str(error)), error.exit_code) from error
        except SlowDown as error:
            raise Stopped(shown(str(error)), LATER) from error
        except ServerAway as error:
            raise Stopped(shown(str(error)), OUT_OF_REACH) from error
        except ServerRefused as error:
            message, code = _refusal(error, ctx)
            raise Stopped(shown(message), code) from error
        except KeyboardInterrupt:
            raise Stopped("stopped; nothing is lost, the next sync goes on from here", INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output has seen enough: `gobi log … | head`
            sys.stdout = None  # or somebody would flush it
            return 0


def _refusal(error: ServerRefused, ctx: click.Context) -> tuple[str, int]:
    folder = shown(ctx.params["folder"])
    match error.code:
        case "unauthorized":
            return f"the server does not accept this user and password; run gobi connect {folder} again", SETTINGS
        case "not-found":
            said = "the vault is not there (any more), or this user may not see it; ask its owner"
            return f"{said}. If it was renamed: gobi connect {folder} URL NEW-NAME --user USER", SETTINGS
    return str(error), NEEDS_A_PERSON


def _absolute(_ctx: click.Context, _parameter: click.Parameter, value: str) -> Path:
    return Path(os.path.abspath(value))


folder_argument = click.argument("folder", metavar="DIR", callback=_absolute)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")


def example(text: str) -> str:
    """To stand below a command's help."""
    return "\b\nExample:\n  " + text


def open_connection(folder: Path, config: Config, **limits: Unpack[Limits]) -> Connection:
    """Raises Stopped where the password is not here."""
    from client.belonging import Belonging
    from client.connection import Connection

    config, copied = settled(folder, config)
    if copied is not None:
        note(f"{shown(folder)} is a copy of {shown(copied)}; from now on it is a folder of its own")
    bound = configuration.bound(folder, config)
    authority = configuration.authority(config)
    belonging = Belonging(folder, config, bound)
    who = (config.url, config.user, bound.password, config.device)
    return Connection(*who, authority=authority, belonging=belonging, **limits)


def open_transport(folder: Path, config: Config, **limits: Unpack[Limits]) -> HttpTransport:
    """Raises Stopped where the password is not here."""
    from client.http import HttpTransport

    return HttpTransport(open_connection(folder, config, **limits), config.vault)


def bring_here(folder: Path, config: Config, *, quiet: bool = False, meant: frozenset[int] = frozenset()) -> int:
    """What a command has just changed on the server is to be seen in the folder, too. The exit code.

    Says how it went, unless `quiet`. `meant`: stamps of the versions that were made so, which are done however many.
    Raises as a sync does.
    """
    from client.bring import bring
    from client.progress import progress_for
    from client.show import report_lines

    progress = progress_for(sys.stderr, wanted=not quiet)
    done = bring(folder, open_transport(folder, config), config.device, progress, meant)
    if isinstance(done, str):
        if not quiet:
            say(done)
        return 0
    if not quiet:
        print_lines(report_lines(done, f"{config.vault} on {config.url}"))
    return done.exit_code


def say(line: str, *, err: bool = False) -> None:
    """One line for a person. Whatever a client's command prints goes through here, or is JSON: what others have named
    or said has no way to the terminal but spelled out.
    """
    click.echo(shown(line), err=err)


def note(message: str) -> None:
    """Something that is worth knowing and stops nothing."""
    say(f"gobi: note: {message}", err=True)


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=1))
