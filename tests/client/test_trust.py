"""What is said of a certificate that is not believed."""

from __future__ import annotations

import ssl

import pytest

from client.trust import untrusted


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (10, "has expired"),
        (9, "this machine's date"),
        (62, "another name"),
        (64, "another name"),
        (18, "--ca FILE"),
        (20, "--ca FILE"),
    ],
)
def test_the_advice_fits_what_is_wrong(code: int, advice: str) -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, "as OpenSSL says it"
    said = untrusted("https://pi.example.org", error)
    assert advice in said
    assert ("--ca" in said) is (advice == "--ca FILE")
