"""What an entry of the table of operations says, in as few words as it can; `document.py` adds what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from handlers.openapi.answers import Cursor, Name, Path
from handlers.params import MAX_LIMIT
from handlers.shapes import Hash, Mtime, Stamp

JSON = "application/json"
BYTES = "application/octet-stream"
TAR = "application/x-tar"
# A file's own type is guessed from its name.
ANY = "*/*"

Place = Literal["path", "query", "header"]
# Who may ask: anybody; a user; a member of the vault, with this role.
Door = Literal["open", "user", "read", "write", "owner"]


@dataclass(frozen=True, slots=True)
class Parameter:
    place: Place
    name: str
    shape: Any
    description: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries: JSON of one of these shapes, or just bytes where there is none."""

    shapes: Sequence[type] = ()
    content_type: str = JSON
    description: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """A success: JSON of one of these shapes, or bytes of these types, or nothing.

    `headers`: names from `HEADERS`; `Name?` is not in every such answer.
    """

    shapes: Sequence[type] = ()
    content_types: Sequence[str] = ()
    headers: Sequence[str] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """`refusals`: codes beside those that follow from method, address, door and body (see `refusals.py`)."""

    method: str
    address: str
    id: str
    summary: str
    replies: dict[int, Reply]
    parameters: Sequence[Parameter] = ()
    body: Body | None = None
    door: Door = "read"
    refusals: str = ""
    description: str = ""

    @property
    def writes(self) -> bool:
        return self.method not in ("GET", "HEAD")


def json(*shapes: type, headers: Sequence[str] = (), description: str = "") -> Reply:
    return Reply(shapes, (JSON,), headers, description)


def query(name: str, shape: Any, description: str = "", *, required: bool = False) -> Parameter:  # noqa: ANN401  # a type
    return Parameter("query", name, shape, description, required)


def header(name: str, shape: Any, description: str, *, required: bool = False) -> Parameter:  # noqa: ANN401  # a type
    return Parameter("header", name, shape, description, required)


NOTHING = Reply()

# -- parameters that several operations have

EntityTag = Annotated[str, Meta(pattern=r'^"[0-9]{1,19}"$')]

# What stands in braces in an address, wherever it does; anything else there is just text.
IN_ADDRESS = {
    one.name: one
    for one in (
        Parameter("path", "vault", Name, "The vault's name.", required=True),
        Parameter("header", "Gobi-Vault", str, "The id of the vault that is meant. Left out: whichever has the name."),
        Parameter(
            "path",
            "path",
            Path,
            "The file's path, percent-encoded UTF-8. Its `/` may be written as they are, or as `%2F`.",
            required=True,
        ),
        Parameter("path", "user", Name, "A user's name.", required=True),
        Parameter("path", "id", str, "The conflict's id.", required=True),
        Parameter("path", "session", str, "The session's id.", required=True),
        Parameter(
            "path",
            "side",
            Annotated[str, Meta(pattern=r"^(base|server|client|[1-9][0-9]{0,8})$")],
            "`base`, `server`, a candidate's number, or `client` for the newest one.",
            required=True,
        ),
        Parameter("path", "hash", Hash, "The body's SHA-256.", required=True),
        Parameter("path", "digest", str, "Changes with the page.", required=True),
        Parameter("path", "name", str, "The file's name.", required=True),
    )
}

LIMIT = query("limit", Annotated[int, Meta(ge=1, le=MAX_LIMIT)], "How many at most; 1,000 where it is left out.")
PREFIX = query("prefix", str, "Only paths that begin with it.")
BEFORE = query("before", Stamp, "Only versions with a smaller stamp.")
STAMP = query("stamp", Stamp, "This version, not the head.")
INLINE = query("inline", Literal["0", "1"], "`1`: a browser may show plain text and images.")
CURSOR = query("cursor", Cursor, "Where the client stands; `0` where it is left out.")
ON_CONFLICT = query(
    "on_conflict", Literal["fail", "keep"], "`keep`: what meets another head becomes a conflict's candidate."
)

DEVICE = header(
    "Gobi-Device",
    Annotated[str, Meta(pattern=r"^[\x20-\x7e]{1,64}$")],
    "Which of the user's machines this is; the user's name where it is left out.",
)
MTIME = header("Gobi-Mtime", Mtime, "The file's own time of modification: microseconds since 1970.")
EXECUTABLE = header("Gobi-Executable", Literal["0", "1"], "Whether it may be run. Left out: as it was.")
HASH = header("Gobi-Hash", Hash, "The body's SHA-256, to be verified.")
IF_MATCH = header("If-Match", EntityTag, "The version that the write is made on: its stamp, quoted.")
IF_NONE_MATCH = header("If-None-Match", Literal["*"], "There is no such file yet. The default.")
HELD = header("If-None-Match", str, "The ETag of what the client has already.")
READING = (
    HELD,
    header("If-Match", str, "Only where this is the ETag."),
    header("If-Modified-Since", str, "Only where this is not the Last-Modified."),
    header("Range", str, "One range of bytes. Anything else is answered with the whole."),
    header("If-Range", str, "The range only where this is the ETag, or the Last-Modified."),
)

# -- headers of answers, by name

HEADERS: dict[str, tuple[Any, str]] = {
    "X-Request-ID": (str, "The request's, which the server's log has too: the caller's own, or one made here."),
    "ETag": (str, "The version's stamp, quoted; for a conflict's side, its hash."),
    "Last-Modified": (str, "From the file's own time."),
    "Gobi-Hash": (Hash, "The whole body's SHA-256."),
    "Gobi-Mtime": (Mtime, "The file's own time, where it is known: microseconds since 1970."),
    "Gobi-Executable": (Literal["1"], "It may be run."),
    "Content-Disposition": (str, "The file's name."),
    "Content-Range": (str, "Which bytes these are, of how many."),
    "Accept-Ranges": (Literal["bytes"], ""),
    "Cache-Control": (str, ""),
    "Set-Cookie": (str, "The session."),
    "WWW-Authenticate": (str, "`Basic`. Left out where the request has X-Requested-With."),
    "Retry-After": (Annotated[int, Meta(ge=0)], "Seconds."),
    "Allow": (str, "The methods that the address has."),
    "Upgrade": (str, ""),
    "Sec-WebSocket-Accept": (str, ""),
    "Sec-WebSocket-Version": (str, ""),
    "Sec-WebSocket-Protocol": (str, "`gobi.v1`, where it was offered."),
}
