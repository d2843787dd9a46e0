"""Certificates: which authorities are believed, and what to do about a server that none of them vouches for."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from client.ports import Stopped

if TYPE_CHECKING:
    from ssl import SSLCertVerificationError, SSLContext

USAGE = 2
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

# X509_V_ERR_… of OpenSSL
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64


def context_for(authority: str | None) -> SSLContext:
    """Believes the system's authorities, or those that SSL_CERT_FILE and SSL_CERT_DIR name, and `authority` (PEM)."""
    import ssl

    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # which Python leaves to how OpenSSL was built
    if authority is not None:
        context.load_verify_locations(cadata=authority)
    return context


def read_authority(file: str) -> str:
    """The certificates in a file, PEM or DER, as PEM; never a key that lies beside them. Raises Stopped."""
    import ssl

    try:
        raw = Path(file).read_bytes()
    except OSError as error:
        raise Stopped(f"{file} cannot be read: {error.strerror}", USAGE) from None
    pem = b"\n".join(_CERTIFICATE.findall(raw)).decode("ascii", "replace") + "\n"
    try:
        if not pem.strip():
            pem = ssl.DER_cert_to_PEM_cert(raw)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise Stopped(
            f"{file} is not a certificate; give the authority's own, in PEM or DER, not a key or a request",
            USAGE,
        ) from None
    return pem


def untrusted(url: str, error: SSLCertVerificationError) -> str:
    """What is wrong with the certificate of the server at `url`, and what to do."""
    code, said = error.verify_code, error.verify_message
    if code == _EXPIRED:
        then = "have it renewed on the server, and see that this machine's date is right"
        return f"the certificate of {url} has expired; {then}"
    if code == _NOT_YET:
        return f"the certificate of {url} is not valid yet; see that this machine's date is right"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"the certificate of {url} is for another name ({said}); connect to the name that it was made for"
    return (
        f"the certificate of {url} is not trusted ({said}); where the server has its own authority, name that "
        f"authority's certificate with gobi connect … --ca FILE{_doubts()}"
    )


def _doubts() -> str:
    """What is wrong with the variables that name authorities: OpenSSL passes over that without a word."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        try:
            raw = Path(file).read_bytes()
        except OSError as error:
            return f". SSL_CERT_FILE names {file}, which cannot be read ({error.strerror})"
        if b"-----BEGIN" not in raw:
            return f". SSL_CERT_FILE names {file}, which is not in PEM: openssl x509 -inform der -in {file} -out ca.pem"
    if folder and not any(map(os.path.isdir, folder.split(os.pathsep))):
        return f". SSL_CERT_DIR names {folder}, which is not a folder"
    return ""
