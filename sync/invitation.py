"""What stands for a person on one machine: a device's own password, and the code of an invitation that leads to one.

A code is an address whose fragment (what follows `#`) has all the rest. No browser sends that to a server, and no proxy
logs it; opened in a browser, the address shows the page that says what to do with it.
"""

from __future__ import annotations

import re
from base64 import b32encode
from typing import NamedTuple
from urllib.parse import quote, unquote

from sync.paths import is_device, is_name

MARK = "#invite="
# What a secret is made of: more than anybody can guess, and a whole number of letters.
RANDOM_BYTES = 20

_SECRET = re.compile(r"[a-z2-7]{32}")
_PASSWORD = re.compile(r"(?:[a-z2-7]{4}-){7}[a-z2-7]{4}")


class BadCode(ValueError):
    """The message says what is wrong with the code, without any part of it."""


class Code(NamedTuple):
    """`url`: the server's address. `device`: what the machine is to be called, None for its own name."""

    url: str
    vault: str
    secret: str
    device: str | None = None

    def __str__(self) -> str:
        device = "" if self.device is None else "/" + quote(self.device, safe="")
        return f"{self.url}/{MARK}{self.vault}/{self.secret}{device}"


def is_code(text: str) -> bool:
    """Whether somebody means this to be a code, right or wrong."""
    return MARK in text


def read_code(text: str) -> Code:
    """Raises BadCode. The address is not looked at."""
    url, _, rest = text.strip().partition(MARK)
    vault, _, rest = rest.partition("/")
    secret, slash, name = rest.partition("/")
    device = unquote(name) if slash else None
    if not (url and is_name(vault) and is_secret(secret)) or (device is not None and not is_device(device)):
        raise BadCode("that is not a whole invitation; copy all of the code, and put it in quotes")
    return Code(url.rstrip("/"), vault, secret, device)


def is_secret(text: str) -> bool:
    return _SECRET.fullmatch(text) is not None


def is_device_password(text: str) -> bool:
    """Whether it has the form that `device_password` gives."""
    return _PASSWORD.fullmatch(text) is not None


def secret(random: bytes) -> str:
    """RANDOM_BYTES as small letters and digits of which none look alike."""
    return b32encode(random).decode().lower()


def device_password(random: bytes) -> str:
    """RANDOM_BYTES in groups of four letters and digits, to be typed where it must be."""
    letters = secret(random)
    return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))
