"""Connecting by an invitation's code: this machine makes up its own password, and the server takes it, once."""

from __future__ import annotations

import os
from pathlib import Path

from client import config as configuration
from client.binding import USAGE, bind, check_unmoved, check_words
from client.config import CONFIG, Config
from client.ports import ServerRefused, Stopped
from sync.invitation import RANDOM_BYTES, BadCode, device_password, read_code
from sync.model import Json
from sync.paths import is_name


def join(
    folder: Path, text: str, device: str | None, *, insecure: bool, another: bool, authority: str | None = None
) -> tuple[Config, Json]:
    """Binds the folder; what it is bound to, and what the server says of the vault. `another`, `authority`: as in
    `bind`.

    May be repeated after whatever went wrong. Raises Stopped, ServerAway, ServerRefused.
    """
    try:
        code = read_code(text)
    except BadCode as error:
        raise Stopped(str(error), USAGE) from None
    wanted = check_words(folder, code.url, code.vault, None, device or code.device, insecure)
    check_unmoved(folder, wanted, another)
    password = configuration.invented_password(code.secret, lambda: device_password(os.urandom(RANDOM_BYTES)))
    wanted = wanted._replace(user=_redeem(wanted, code.secret, password, authority))
    bound = bind(folder, wanted, password, create=False, another=another, authority=authority)
    configuration.forget_invented(code.secret)
    return bound


def _redeem(wanted: Config, secret: str, password: str, authority: str | None) -> str:
    """Whose device this is from now on."""
    from client.connection import Body, Connection

    connection = Connection(wanted.url, "", "", wanted.device, authority=authority)
    asking = Body.of_json({"secret": secret, "device": wanted.device, "password": password})
    try:
        answer = connection.json("POST", "/v1/invitations/redeem", asking)
    except ServerRefused as error:
        raise _explained(error, wanted) from None
    finally:
        connection.close()
    user = answer.get("user")
    if not isinstance(user, str) or not is_name(user):
        raise Stopped(f"{wanted.url} did not answer as a gobi server does; check the code", CONFIG)
    return user


def _explained(error: ServerRefused, wanted: Config) -> Exception:
    match error.code:
        case "not-found":
            return Stopped(
                "this invitation is not good (any more): used, over, or not copied whole; ask for a new one",
                CONFIG,
            )
        case "name-taken":
            return Stopped(
                f"there is a device {wanted.device!r} already; give this machine another name with --device, or have "
                "that one revoked first (gobi user token revoke). The invitation is still good",
                USAGE,
            )
        case "unauthorized":
            return Stopped(f"{wanted.url} is an older gobi and knows no invitations; connect with --user", CONFIG)
    return error
