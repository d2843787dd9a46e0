"""The single file: a shell script with a zip archive behind it, which unpacks itself once into the user's cache.

pex and shiv were tried on the same folder. pex unpacks 200 MB, and what it unpacked ends with the Python it was
unpacked by, so a new system release breaks it; shiv takes three times as long to start, because it reads the archive
each time. Here the shell looks for what was unpacked and the archive is left alone.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

from deploy.package.tree import files

HERE = Path(__file__).resolve().parent
# Not the service's own CacheDirectory=: whoever that belongs to could change what root runs.
ROOTS = "/var/cache/gobi-root"


def write(tree: Path, to: Path, epoch: int, *, roots: str = ROOTS) -> None:
    """`epoch`: when every file in it was made. `roots`: where it unpacks for root."""
    # One compressed stream of them all: an extension for the next Python is much like that for the last.
    packed = lzma.compress(_tar(tree, epoch))
    unpack = (HERE / "unpack.py").read_bytes()
    build = hashlib.sha256(unpack + packed).hexdigest()[:16]
    with to.open("wb") as file:
        script = (HERE / "single.sh").read_text().replace("@BUILD@", build).replace("@ROOTS@", roots)
        file.write(script.encode())
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in (("__main__.py", unpack), ("gobi.tar.xz", packed)):
                archive.writestr(zipfile.ZipInfo(name), content)
    to.chmod(0o755)


def _tar(tree: Path, epoch: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for place, path in files(tree):
            entry = tarfile.TarInfo(str(place))
            entry.size, entry.mtime = path.stat().st_size, epoch
            with path.open("rb") as content:
                tar.addfile(entry, content)
    return buffer.getvalue()
