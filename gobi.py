"""The program. `main` hands a command to the module that has it; `create_app` puts the server's parts together.

This is the only place that knows every part, and it has no rules of its own. What a command does not need is not
imported: `gobi --help` answers in a twentieth of a second.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.wire import Application
    from ops.settings import Settings
    from store.base import Bodies, Bus, Metadata
    from store.offload import Offload

__version__ = "0.1.0"

# name: (where it is, what `gobi --help` says about it)
SERVER_COMMANDS = {
    "serve": ("ops.serve:serve", "Run the server."),
    "user": ("ops.users:user", "People and their passwords: add, passwd, rename, remove, list, token."),
    "invite": ("ops.invite:invite", "A one-time code that connects a machine."),
    "vault": ("ops.vaults:vault", "Vaults, and who may enter them: list, create, member, set, rename, remove."),
    "backup": ("ops.backup:backup", "Copy everything into a folder that keeps the last few backups."),
    "restore-backup": ("ops.restore:restore_backup", "Put a backup back into an empty database."),
    "migrate": ("ops.migrate:migrate", "Move the metadata between SQLite and MongoDB."),
    "gc": ("ops.collect:collect", "Remove old versions and what nothing refers to."),
    "check": ("ops.check:check", "Compare the metadata with the bodies."),
    "doctor": ("ops.doctor:doctor", "Look at everything that a server needs."),
}
CLIENT_COMMANDS = {
    "connect": ("client.commands:connect", "Bind a folder to a vault on a server."),
    "disconnect": ("client.commands:disconnect", "Let go of a folder; its files stay."),
    "sync": ("client.commands:sync", "Bring a folder in step, once."),
    "watch": ("client.commands:watch", "Keep a folder in step until stopped."),
    "rm": ("client.commands:rm", "Delete here and, with the next sync, everywhere."),
    "conflicts": ("client.conflict_commands:conflicts", "What both sides changed, and how to settle it."),
    "resolve": ("client.conflict_commands:resolve", "Settle a conflict, or open the conflict window."),
    "history": ("client.history_commands:history", "The versions of a file, newest first."),
    "restore": ("client.history_commands:restore", "Put an older version of a file back."),
    "log": ("client.history_commands:log", "Who changed what, and how to take it back."),
    "undo": ("client.undo_commands:undo", "Take back everything since a moment."),
    "verify": ("client.commands:verify", "Compare every file with the server's, byte for byte."),
    "status": ("client.commands:status", "What is in step, what waits, what needs you."),
}

INTERRUPTED, BROKEN = 130, 70


# -- the server


def create_app(
    settings: Settings,
    *,
    metadata: Metadata | None = None,
    bodies: Bodies | None = None,
    bus: Bus | None = None,
    offload: Offload | None = None,
    hashing: Offload | None = None,
    merge_offload: Offload | None = None,
    clock: Callable[[], float] = time.monotonic,
    certificate_expires: float | None = None,
) -> Application:
    """The WSGI application, on the backends that the settings name unless others are given.

    `offload` runs what blocks, `hashing` what checks passwords, `merge_offload` merges of texts; without one it runs
    where it is called. `clock` gives seconds that only go forward.
    `certificate_expires`: when, in seconds since 1970, where gobi does https itself.

    Raises store.errors.Unavailable where the database cannot be opened.
    """
    import handlers
    from handlers.measures import Measures
    from handlers.strangers import Bounds
    from ops.storage import open_bodies, open_bus, open_metadata
    from store.allowance import Allowance
    from store.devices import Devices, Invitations
    from store.merge_queue import MergeQueue
    from store.merging import Merging
    from store.offload import inline
    from store.reader import Reader
    from store.registry import Registry
    from store.sessions import Sessions
    from store.turns import Turns
    from store.undo import Undo
    from store.users import Users
    from store.vaults import Vaults
    from store.watched import counted, timed

    offload = offload or inline
    measures = Measures()
    metadata = timed(metadata or open_metadata(settings, offload, prepare=False), measures.database)
    bodies = bodies or open_bodies(settings, make=True)
    bus = counted(bus or open_bus(settings, metadata.secret), measures.commit)
    reader = Reader(metadata, bodies, offload=offload)
    merging = Merging(metadata, bodies, offload=merge_offload or offload)
    allowance = Allowance(settings.day_versions, settings.day_bytes, clock)
    services = handlers.Services(
        metadata=metadata,
        bodies=bodies,
        bus=bus,
        offload=offload,
        users=Users(metadata, bus, offload=hashing or offload, clock=clock),
        devices=Devices(metadata, bus),
        sessions=Sessions(metadata, bus),
        invitations=Invitations(metadata),
        registry=Registry(
            metadata,
            bodies,
            bus,
            offload=offload,
            creators=settings.vault_creators,
            most_vaults=settings.most_vaults,
        ),
        reader=reader,
        vaults=Vaults(
            metadata,
            bodies,
            bus,
            offload=offload,
            merging=merging,
            max_file=settings.max_file,
            quota=settings.quota,
            candidates=settings.candidates,
            allowance=allowance,
        ),
        undo=Undo(metadata, bodies, bus, reader, offload=offload, allowance=allowance),
        turns=Turns(settings.data_dir / "turns"),
        merging=merging,
        merges=MergeQueue(settings.merges),
        measures=measures,
    )
    options = handlers.Options(
        quota=settings.quota,
        public_url=settings.public_url,
        trusted_proxies=settings.trusted_proxies,
        allowed_hosts=settings.own_hosts,
        stall_s=settings.stall_s,
        workers=settings.workers,
        sweep_s=settings.sweep_s,
        ping_s=settings.ping_s,
        metrics_token=settings.metrics_token,
        certificate_expires=certificate_expires,
        strangers=Bounds(settings.stranger_s, settings.strangers, settings.strangers_per_network),
        clock=clock,
    )
    return handlers.create_app(services, options)


# What a worker imports, however it is asked; ops.storage adds what the settings name.
_WORKERS_NEED = (
    "argon2",
    "encodings.idna",
    "gevent.event",
    "gevent.resolver.thread",
    "gevent.threadpool",
    "handlers",
    "handlers.measures",
    "prometheus_client.multiprocess",
    "store.devices",
    "store.offload",
    "store.reader",
    "store.registry",
    "store.turns",
    "store.undo",
    "store.users",
    "store.vaults",
    "store.watched",
)


def load_once(settings: Settings) -> None:
    """For the master, before it forks: workers then share the memory of all code. Nothing is run or opened."""
    import gc
    from importlib import import_module

    from ops.storage import backends

    for name in (*_WORKERS_NEED, *backends(settings)):
        import_module(name)
    gc.collect()
    gc.freeze()  # or the first collection in a worker would write to every object, and make the memory its own


def get_app() -> Application:
    """What gunicorn calls in each worker: the settings are in the environment; pool and bus are made after the fork."""
    import atexit

    from ops import tls
    from ops.settings import parse
    from ops.storage import IDENTITY, open_bodies, open_bus, open_metadata
    from store.offload import ThreadPoolOffload

    settings = parse(os.environ)
    offload = ThreadPoolOffload()
    # A pool of its own: hundreds of uploads at once fill the other one with flushes, behind which a listing would wait.
    metadata = open_metadata(settings, ThreadPoolOffload(threads=3), prepare=False)
    if settings.mongo_uri is None:
        atexit.register(metadata.close)  # so that a stopped server's metadata is in one file, whole
    bus = open_bus(settings, metadata.secret)
    atexit.register(bus.close)  # a worker that is stopped still tells the others of its last commits
    # A worker that comes while the disk is away makes nothing in its place.
    bodies = open_bodies(settings, identity=os.environ.get(IDENTITY))
    certificate = tls.serving.current
    return create_app(
        settings,
        metadata=metadata,
        bodies=bodies,
        bus=bus,
        offload=offload,
        # Of its own: strangers decide how often passwords are checked, and each takes 19 MiB and a core meanwhile.
        hashing=ThreadPoolOffload(threads=1),
        merge_offload=ThreadPoolOffload(threads=1),
        certificate_expires=certificate.expires if certificate else None,
    )


# -- the command line


def main() -> NoReturn:
    """Runs what the command line says. Whatever goes wrong is one line on stderr and an exit code."""
    if sys.getfilesystemencoding() != "utf-8" or sys.flags.utf8_mode:
        _speak_utf8()
    if sys.argv[1:] == ["--version"]:
        code = 0
        with suppress(OSError):
            print(f"gobi {__version__}")  # noqa: T201
    else:
        code = _run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):  # a reader that is gone: `gobi … | head`
                stream.flush()
    # Everything is closed and durable by now. Taking 10,000 records apart one by one would be a tenth of a short sync.
    os._exit(code)


def _speak_utf8() -> None:
    from ops import encoding  # late: most locales are UTF-8

    try:
        if not encoding.is_utf8():
            encoding.start_anew()
        encoding.speak_to_terminal()
    except encoding.NotUtf8 as error:
        os._exit(_say(str(error), error.exit_code))


def _run(arguments: list[str]) -> int:
    import click

    from ops.lazy import LazyGroup

    program = LazyGroup(
        "gobi",
        {"On a client": CLIENT_COMMANDS, "On the server": SERVER_COMMANDS},
        help="Keeps folders in step through a small server of your own.",
    )
    program = click.version_option(__version__, prog_name="gobi", message="%(prog)s %(version)s")(program)
    try:
        code = program.main(arguments, prog_name="gobi", standalone_mode=False)
    except click.Abort:
        return _say("stopped", INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        return _say(error.format_message().rstrip(".") + hint, error.exit_code)
    except BrokenPipeError:  # the reader of our output is gone: `gobi … | head`
        sys.stdout = None  # or Python would complain when it flushes
        return 0
    except Exception as error:
        known = getattr(error, "exit_code", None)
        if isinstance(known, int):
            return _say(str(error), known)
        if os.environ.get("GOBI_LOG_LEVEL") == "debug":
            raise
        said = f"{type(error).__name__}: {error}"
        return _say(f"a fault in gobi, {said}; GOBI_LOG_LEVEL=debug shows where: please report it", BROKEN)
    return code if isinstance(code, int) else 0


def _say(message: str, code: int) -> int:
    print("gobi:", " ".join(message.split()), file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    main()
