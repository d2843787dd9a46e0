"""What `gobi doctor` finds out about the settings. Nothing of what a secret is gets into it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from ops import tls as certificates
from ops.settings import SECRETS, SYSTEM_FILE, Settings, SettingsError, gather, names, parse, unknown
from store.findings import Finding, ok, warning, wrong

SUBJECT = "settings"


def check(
    environ: Mapping[str, str], env_file: Path | None, system_file: Path = SYSTEM_FILE
) -> tuple[Settings | None, list[Finding]]:
    """None where they cannot be used. What is in the files that they name is looked at elsewhere: see `tls`."""
    try:
        variables = gather(environ, env_file, system_file)
    except SettingsError as error:
        return None, [_wrong(error)]
    settings, found = _parse(variables)
    file = env_file or system_file
    if env_file is None and file.exists() and not os.access(file, os.R_OK):
        found.append(warning(SUBJECT, f"{file} is not used: this user may not read it", "run gobi with sudo"))
    elif file.exists():
        found += _secrets_in(file, gather({}, file))
    found += _spelling(variables)
    found += _proxies(settings)
    if not found:
        found.append(ok(SUBJECT, f"from {file} and the environment" if file.exists() else "from the environment"))
    return settings, found


def tls(settings: Settings) -> Iterator[Finding]:
    """To be asked as the user who runs the server: it has to read the key."""
    try:
        certificate = certificates.load(settings)
    except SettingsError as error:
        yield _wrong(error)
    else:
        if certificate is not None:
            yield certificate.finding(time.time())


def _parse(variables: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    """Also what is wrong beside the first one: each is left out in turn."""
    found: list[Finding] = []
    left = dict(variables)
    while True:
        try:
            settings = parse(left)
        except SettingsError as error:
            found.append(_wrong(error))
            name = re.match(r"\w*", str(error))
            if name is None or left.pop(name[0], None) is None:
                return None, found
        else:
            return (None if found else settings), found


def _secrets_in(file: Path, variables: Mapping[str, str]) -> Iterator[Finding]:
    holding = [file] if any(name in variables for name in SECRETS) else []
    holding += [Path(variables[f"{name}_FILE"]) for name in SECRETS if f"{name}_FILE" in variables]
    for one in holding:
        try:
            open_to_all = one.stat().st_mode & 0o007
        except OSError:
            continue  # told already, by whoever wanted to read it
        if open_to_all:
            yield wrong(SUBJECT, f"everybody on this machine may read the secrets in {one}", f"chmod o-rwx {one}")


def _spelling(variables: Mapping[str, str]) -> Iterator[Finding]:
    for name in unknown(variables):
        alike = get_close_matches(name, names(), 1)
        advice = f"did you mean {alike[0]}?" if alike else "see docs/operating.md for those that there are"
        yield warning(SUBJECT, f"{name} is no setting and is ignored", advice)


def _proxies(settings: Settings | None) -> Iterator[Finding]:
    for network in settings.trusted_proxies if settings is not None else ():
        if network.num_addresses > 1 and not network.is_loopback:
            yield warning(
                SUBJECT,
                f"GOBI_TRUSTED_PROXIES believes all of {network}: whoever is in it says who is asking, and so does any "
                "program of a machine whose containers it has",
                "name the proxy's own address",
            )


def _wrong(error: SettingsError) -> Finding:
    """Settings say in one sentence what is wrong and what to do, with a colon between."""
    text, _, advice = str(error).partition(": ")
    return wrong(SUBJECT, text, advice, "setting")
