"""An invitation's code: one line that survives being copied, and says at once when it did not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.invitation import (
    RANDOM_BYTES,
    BadCode,
    Code,
    device_password,
    is_code,
    is_device_password,
    is_secret,
    read_code,
    secret,
)

SECRET = "abcdefghijklmnopqrstuvwxyz234567"
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64)


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True), st.binary(min_size=20, max_size=20), PRINTABLE)
def test_a_code_says_what_was_put_into_it(vault: str, random: bytes, device: str) -> None:
    for name in (device, None):
        code = Code("https://pi.example.org:8443", vault, secret(random), name)
        assert is_code(str(code))
        assert read_code(f" {code}\n") == code
        assert str(code).isascii()
        assert not set(str(code)) & set(" '\"\\`$<>")


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_secrets_and_passwords_hold_all_that_was_random(random: bytes) -> None:
    assert is_secret(secret(random))
    assert is_device_password(device_password(random))
    assert device_password(random).replace("-", "") == secret(random)
    assert secret(random) != secret(bytes([random[0] ^ 1]) + random[1:])
    assert secret(random) != secret(random[:-1] + bytes([random[-1] ^ 1]))


@pytest.mark.parametrize(
    "text",
    [
        f"#invite=notes/{SECRET}",
        "https://a.b/#invite=",
        "https://a.b/#invite=notes",
        f"https://a.b/#invite={SECRET}",
        f"https://a.b/#invite=notes/{SECRET[:-1]}",
        f"https://a.b/#invite=notes/{SECRET}x",
        f"https://a.b/#invite=notes/{SECRET.upper()}",
        f"https://a.b/#invite=Notes/{SECRET}",
        f"https://a.b/#invite=notes/{SECRET}/",
        f"https://a.b/#invite=notes/{SECRET}/b%C3%BCro",
        f"https://a.b/#invite=notes/{SECRET}#invite=notes/{SECRET}",
    ],
)
def test_what_is_no_whole_code_is_refused_without_showing_it(text: str) -> None:
    assert is_code(text)
    with pytest.raises(BadCode) as refused:
        read_code(text)
    assert SECRET not in str(refused.value)


def test_an_address_alone_is_no_code() -> None:
    assert not is_code("https://pi.example.org")
    assert not is_code("https://pi.example.org/#/v/notes")
