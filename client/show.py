"""What the commands print: for people, and as JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from client.config import shown
from client.progress import human_size
from client.standing import is_about_held_deletes
from sync.model import Json

if TYPE_CHECKING:
    from client.config import Config
    from client.ports import Skipped
    from client.report import Listed, Report, Status
    from client.verify import Verified

IN_STEP, NOT_IN_STEP = "In step", "Not in step"
LISTED = 10  # names of a harmless kind shown before "and so many more"; what needs a person is listed whole


# ------------------------------------------------------------------------------------------------------------- people


def report_lines(report: Report, place: str) -> Iterator[str]:
    """One line that says how it stands, and below it whatever needs a person."""
    done = [
        _amount(report.uploaded, "sent", report.bytes_up),
        _amount(report.downloaded, "received", report.bytes_down),
        _amount(report.renamed, "renamed"),
        _amount(report.deleted_here, "deleted here"),
        _amount(report.deleted_there, "deleted there"),
    ]
    what = ", ".join(filter(None, done)) or f"nothing to do ({_files(report.files)})"
    state, but = stands(report, in_step=report.in_step)
    yield f"{state} with {place}{but}: {what}"
    yield from _needs(report)
    yield from _reasons("left out until you do something", [(one.name, one.reason) for one in report.left_out])
    if report.full:
        yield from _reasons("left out", [(one.name, one.reason) for one in report.skipped if one.by_rule])
    harmless = sum(not one.by_rule and not one.refused for one in report.skipped)
    if harmless:
        yield f"{_files(harmless)} left out; gobi status lists them"
    yield from map(shown, report.notes)


def status_lines(status: Status, folder: str, config: Config, server: Json, now: float) -> Iterator[str]:
    yield f"{folder} and {config.vault} on {config.url} (as {config.user}, from {config.device})"
    last = f"last sync {_ago(status.last_sync, now)}" if status.last_sync else "never synced"
    state, but = stands(status, in_step=_in_step(status, server))
    unsure = "" if server["reachable"] or state != IN_STEP else " as far as is known without the server"
    yield f"{state}{unsure}{but}; {_files(status.files)}; {last}"
    yield from _some("new here, sent with the next sync", status.new)
    yield from _some("edited here, sent with the next sync", status.edited)
    yield from _some("to be deleted everywhere with the next sync", status.deletes)
    yield from _some("vanished here, back with the next sync (or use gobi rm)", status.missing)
    yield from _needs(status)
    yield from _reasons("left out until you do something", [(one.name, one.reason) for one in status.left_out])
    yield from _reasons("left out", [(one.name, one.reason) for one in status.skipped if not one.refused])
    yield from map(shown, status.notes)
    if not server["reachable"]:
        yield f"Server: {shown(server['error'])}"
        return
    if _behind(status, server):
        yield "Server: has changes that are not here yet; gobi sync fetches them"
    if server["conflicts"]:
        yield f"Server: {server['conflicts']} open conflict{_s(server['conflicts'])} in the whole vault"


def verified_lines(found: Verified) -> Iterator[str]:
    yield f"{_files(found.identical)} identical to the server, checked byte for byte"
    rows = (
        ("different, although nothing says that they were changed: one side is damaged", found.different),
        ("missing here (gobi sync fetches them)", found.missing),
        ("extra here: deleted on the server, and not here yet (gobi sync does it)", found.extra),
        ("changed here, sent with the next sync", found.waiting),
        ("changed on the server, fetched with the next sync", found.behind),
        ("in conflict: gobi conflicts lists both sides", found.conflicts),
    )
    for title, paths in rows:
        if paths:
            yield f"{len(paths):,} {title}"
            yield from (f"  {shown(path)}" for path in paths)
    yield from _reasons("could not be compared", found.unreadable)
    yield from _some("on the server, ignored here", found.ignored)
    yield from _reasons("left out", [(entry.name, entry.reason) for entry in found.skipped])


def stands(listed: Listed, *, in_step: bool) -> tuple[str, str]:
    """How it stands, and but for what: the words for it in every command.

    The promise of "in step" is that whatever can be synced was; what cannot is counted here, and named below.
    """
    if not in_step:
        return NOT_IN_STEP, ""
    left_out = len(listed.left_out)
    return IN_STEP, f", but for {left_out:,} left out" if left_out else ""


def status_code(status: Status, server: Json) -> int:
    """The exit code of `gobi status`: 1 where it is not in step, or something needs a person."""
    return 0 if _in_step(status, server) and not status.left_out else 1


def _in_step(status: Status, server: Json) -> bool:
    return status.in_step and status.last_sync is not None and not _behind(status, server)


def _behind(status: Status, server: Json) -> bool:
    """Whether the server is known to have what this folder has not seen."""
    return bool(server["reachable"]) and server["cursor"] != status.cursor


def _needs(listed: Listed) -> Iterator[str]:
    if listed.conflicts:
        yield f"{len(listed.conflicts)} in conflict: both versions are kept, and yours stays here until it is settled"
        yield from (f"  {shown(path)}" for path, _ in listed.conflicts)
    held = [row for row in listed.refused if is_about_held_deletes(row[0])]
    if held:
        yield f"{listed.held_deletes:,} delete{_s(listed.held_deletes)} held back"
        yield from _rows(held)
    yield from _reasons("refused", [row for row in listed.refused if row not in held])
    yield from _reasons("not done yet, tried again with the next sync", listed.waiting)


def _reasons(title: str, rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield f"{len(rows)} {title}"
        yield from _rows(rows)


def _rows(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield from (f"  {shown(name)}: {shown(reason)}" for name, reason in rows)


def _some(title: str, paths: Sequence[str]) -> Iterator[str]:
    if paths:
        yield f"{len(paths)} {title}"
        yield from (f"  {shown(path)}" for path in paths[:LISTED])
        if len(paths) > LISTED:
            yield f"  and {len(paths) - LISTED:,} more"


def _amount(count: int, verb: str, size: int = 0) -> str:
    return f"{count:,} {verb}{f' ({human_size(size)})' if size else ''}" if count else ""


def _files(count: int) -> str:
    return f"{count:,} file{_s(count)}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _ago(stamp: int, now: float) -> str:
    """`stamp` in µs, `now` in seconds, both since 1970."""
    from client.words import moment  # late: a sync has no use for it

    seconds = int(now - stamp / 1_000_000)
    at = moment(stamp, "%Y-%m-%d %H:%M")
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        count = seconds // size
        if count:
            return f"{count} {unit}{_s(count)} ago ({at})" if count > 0 else f"at {at}"
    return "just now" if seconds >= 0 else f"at {at}"


# ------------------------------------------------------------------------------------------------------------ scripts


def report_json(report: Report) -> Json:
    row = asdict(report)
    del row["rules_unsettled"], row["busy"]
    del row["trail"]  # 10,000 lines after a first sync; the log of `gobi watch` has them
    return {"in_step": report.in_step} | row | _lists(report.conflicts, report.refused, report.waiting, report.skipped)


def status_json(status: Status, config: Config, server: Json) -> Json:
    pending = {"new": status.new, "edited": status.edited, "missing": status.missing}
    return {
        "in_step": _in_step(status, server),
        "files": status.files,
        "last_sync": status.last_sync,
        "pending": pending,
        "queue": [{"do": "delete", "path": path} for path in status.deletes],
        **_lists(status.conflicts, status.refused, status.waiting, status.skipped),
        "notes": status.notes,
        "server": {"url": config.url, "vault": config.vault, "user": config.user, "device": config.device} | server,
    }


def verified_json(found: Verified) -> Json:
    return {
        "verified": found.exit_code == 0,
        **asdict(found),
        "unreadable": [{"path": path, "reason": reason} for path, reason in found.unreadable],
        "skipped": [{"name": entry.name, "reason": entry.reason} for entry in found.skipped],
    }


def _lists(
    conflicts: Iterable[tuple[str, str]],
    refused: Iterable[tuple[str, str]],
    waiting: Iterable[tuple[str, str]],
    skipped: Iterable[Skipped],
) -> Json:
    return {
        "conflicts": [{"path": path, "id": conflict_id} for path, conflict_id in conflicts],
        "refused": [{"path": path, "reason": reason} for path, reason in refused],
        "waiting": [{"path": path, "reason": reason} for path, reason in waiting],
        "skipped": [{"name": entry.name, "reason": entry.reason} for entry in skipped],
    }
