"""The commands of a client: connect, disconnect, sync, watch, rm, status, verify.

What they return is the exit code; None is 0.

What is imported at the top is what every command needs; the rest comes in when it is used, since the start of the
command is part of the product.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from client import config as configuration
from client.command import (
    NEEDS_A_PERSON,
    USAGE,
    Command,
    example,
    folder_argument,
    json_option,
    open_transport,
    print_json,
    print_lines,
    say,
)
from client.config import Config, shown
from client.ports import ServerAway, ServerRefused, Stopped
from sync.model import Json

STATUS_TIMEOUT = 5.0  # seconds that `status` gives the server: it answers without it, too


@click.command(
    cls=Command,
    epilog=example(
        "gobi connect ~/notes https://pi.example.org notes --user me --create\n"
        "  gobi connect ~/notes 'https://pi.example.org/#invite=notes/…'"
    ),
)
@folder_argument
@click.argument("url", metavar="URL|CODE")
@click.argument("vault", required=False)
@click.option("--user", metavar="U", help="Who you are on the server.")
@click.option("--password-file", metavar="F", type=click.Path(), help="Read the password there instead of asking.")
@click.option("--device", metavar="NAME", help="What to call this machine. Default: its own name.")
@click.option("--create", is_flag=True, help="Make the vault if it is not there; you own it then.")
@click.option("--another-vault", is_flag=True, help="Yes, DIR is to go to another vault than it belonged to until now.")
@click.option("--insecure", is_flag=True, help="Allow plain http to another machine.")
@click.option("--ca", metavar="F", type=click.Path(), help="Believe this authority's certificate, too; remembered.")
def connect(
    folder: Path,
    url: str,
    vault: str | None,
    user: str | None,
    password_file: str | None,
    device: str | None,
    create: bool,
    another_vault: bool,
    insecure: bool,
    ca: str | None,
) -> None:
    """Bind DIR to a VAULT on the server at URL, or with the CODE of an invitation, which says all that.

    The password is kept in a file that only you can read, never in DIR. Connecting again renews it. Where the server
    has another address now, or the vault another name, connect to that: what the folder knows stays good. To another
    vault it goes with --another-vault: its files are merged with those there, and nothing is deleted.
    """
    from sync.invitation import is_code

    authority = _read_authority(ca, url) if ca is not None else None
    if is_code(url):
        from client.joining import join

        if vault or user or password_file or create:
            raise click.UsageError(
                "a code says all the rest: give it with --device, --another-vault, --insecure or --ca at most"
            )
        wanted, state = join(folder, url, device, insecure=insecure, another=another_vault, authority=authority)
    else:
        from client.binding import bind, check_words

        if vault is None or user is None:
            raise click.UsageError("give VAULT and --user along with the server's URL, or a whole invitation in quotes")
        wanted = check_words(folder, url, vault, user, device, insecure)
        password = _ask_password(password_file, user, wanted.url)
        wanted, state = bind(folder, wanted, password, create=create, another=another_vault, authority=authority)
    say(
        f"Connected {shown(folder)} to {wanted.vault} on {wanted.url}, as {wanted.user} from {wanted.device}. "
        f"Now run: gobi sync {shown(folder)}"
    )
    if state["role"] == "read":
        say("Your role there is 'read': what you change here cannot be sent.")


def _read_authority(file: str, url: str) -> str:
    from client.trust import read_authority

    if not url.strip().lower().startswith("https:"):
        raise click.UsageError("--ca is for addresses that begin with https://")
    return read_authority(file)


def _ask_password(file: str | None, user: str, url: str) -> str:
    if file is not None:
        try:
            raw = Path(file).read_bytes()
            # Editors on Windows begin a file with a byte order mark, and some write UTF-16.
            utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
            return raw.decode("utf-16" if utf16 else "utf-8-sig").rstrip("\r\n")
        except OSError as error:
            raise Stopped(f"the password file {shown(file)} cannot be read: {error.strerror}", USAGE) from None
        except UnicodeDecodeError:
            raise Stopped(f"the password file {shown(file)} is not UTF-8 text; save it as that", USAGE) from None
    if not sys.stdin.isatty():
        raise Stopped("there is no terminal to ask for the password; give --password-file", USAGE)
    try:
        answer: str = click.prompt(f"Password of {user} on {url}", hide_input=True, err=True)
    except UnicodeDecodeError:
        raise Stopped("the terminal's letters are not UTF-8; give --password-file, in UTF-8", USAGE) from None
    return answer


@click.command(cls=Command, epilog=example("gobi disconnect ~/notes"))
@folder_argument
def disconnect(folder: Path) -> None:
    """Let go of DIR: its files stay, the password and gobi's own folder go."""
    from client.binding import release

    kept = release(folder)
    say(f"Disconnected {shown(folder)}. The files stay as they are.")
    if kept is not None:
        say(f"Kept {shown(kept)}: it has files that were the only copy. Delete it when you need none of them.")


@click.command(cls=Command, epilog=example("gobi sync ~/notes"))
@folder_argument
@click.option("--propagate-deletes", is_flag=True, help="What vanished here is deleted everywhere, not fetched again.")
@click.option("--allow-mass-delete", is_flag=True, help="Yes, really delete most of the files, here or elsewhere.")
@click.option("--accept-mounts", is_flag=True, help="The disks that are mounted in DIR are right as they are.")
@json_option
def sync(folder: Path, propagate_deletes: bool, allow_mass_delete: bool, accept_mounts: bool, as_json: bool) -> int:
    """Bring DIR and its vault in step, once.

    What both sides changed is kept on both sides and listed; nothing is overwritten. What vanished while gobi was not
    running comes back.
    """
    from client.folder import Folder
    from client.progress import progress_for

    config = configuration.load(folder)
    report = Folder(folder).sync(
        open_transport(folder, config),
        config.device,
        progress=progress_for(sys.stderr, wanted=not as_json),
        propagate_deletes=propagate_deletes,
        allow_mass_delete=allow_mass_delete,
        accept_mounts=accept_mounts,
    )
    from client.show import report_json, report_lines

    if as_json:
        print_json(report_json(report))
    else:
        print_lines(report_lines(report, f"{config.vault} on {config.url}"))
    return report.exit_code


@click.command(cls=Command, epilog=example("gobi watch ~/notes"))
@folder_argument
def watch(folder: Path) -> None:
    """Keep DIR and its vault in step until stopped.

    Says in one line each what is sent, received, renamed, deleted, and what needs a person. A file that is deleted in
    DIR meanwhile is deleted everywhere. Where the server is out of reach, work goes on and is sent later.
    """
    import signal

    from client.folder import Folder

    config = configuration.load(folder)
    transport = open_transport(folder, config)
    place = f"{config.vault} on {config.url}"
    with Folder(folder).watching(transport, config.device, place, say) as watching:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: watching.stop())
        watching.run()


@click.command(cls=Command, epilog=example("gobi rm ~/notes drafts/old.md photos/2019"))
@folder_argument
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
def rm(folder: Path, paths: tuple[str, ...]) -> int:
    """Delete files or whole folders in DIR and, with the next sync, everywhere.

    A PATH is looked for from the current folder if that is inside DIR, and then inside DIR. What the server does not
    have yet goes to DIR/.gobi/trash. What .gobiignore leaves out here goes on the server, and stays here.
    """
    from client.binding import vault_path
    from client.folder import Folder

    configuration.load(folder)
    removal = Folder(folder).remove([vault_path(folder, path) for path in paths])
    count = len(removal.removed)
    what = (
        "1 file here; the next sync deletes it" if count == 1 else f"{count:,} files here; the next sync deletes them"
    )
    say(f"Deleted {what} everywhere.")
    for note in removal.notes:
        say(shown(note))
    for path, reason in removal.failed:
        say(f"{shown(path)} stays: {shown(reason)}", err=True)
    return NEEDS_A_PERSON if removal.failed else 0


@click.command(cls=Command, epilog=example("gobi status ~/notes --json"))
@folder_argument
@json_option
def status(folder: Path, as_json: bool) -> int:
    """Say whether DIR is in step, and what waits or needs a person. Changes nothing.

    Exit code: 0 where it is in step and nothing waits, 1 where it is not, or a person has to do something.
    """
    import time

    from client.folder import Folder
    from client.show import status_code, status_json, status_lines

    config = configuration.load(folder)
    found = Folder(folder).status()
    server = _server(folder, config)
    if as_json:
        print_json(status_json(found, config, server))
    else:
        print_lines(status_lines(found, shown(folder), config, server, time.time()))
    return status_code(found, server)


@click.command(cls=Command, epilog=example("gobi verify ~/notes"))
@folder_argument
@json_option
def verify(folder: Path, as_json: bool) -> int:
    """Compare every file in DIR with the server's, byte for byte. Changes nothing.

    Fetches everything once; neither side's hashes are believed.
    """
    from client.folder import Folder
    from client.progress import progress_for
    from client.show import verified_json, verified_lines

    config = configuration.load(folder)
    transport = open_transport(folder, config)
    found = Folder(folder).verify(transport, progress_for(sys.stderr, wanted=not as_json))
    if as_json:
        print_json(verified_json(found))
    else:
        print_lines(verified_lines(found))
    return found.exit_code


def _server(folder: Path, config: Config) -> Json:
    """How the server is, for `status`, which answers without it, too. Raises OtherVault."""
    from client.belonging import OtherVault

    try:
        transport = open_transport(folder, config, timeout=STATUS_TIMEOUT, patience=0)
        vault = transport.vault()
        transport.close()
    except OtherVault:
        raise
    except (ServerAway, ServerRefused, Stopped) as error:
        return {"reachable": False, "error": str(error)}
    return {"reachable": True} | {name: vault.get(name) for name in ("role", "cursor", "files", "bytes", "conflicts")}
