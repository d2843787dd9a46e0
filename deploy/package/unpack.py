"""Runs out of the single file's archive, once: unpacks it and compiles it, whole or not at all."""

import compileall
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES

OLDEST, BEYOND = (3, 11), (3, 15)
ENDINGS = ("-x86_64-linux-gnu.so", "-aarch64-linux-gnu.so")


def main(archive: str, target: str) -> None:
    # The suffix also tells a Python of 32 bits under a kernel of 64, and another C library than Debian's.
    suited = EXTENSION_SUFFIXES[0].endswith(ENDINGS)
    if not OLDEST <= sys.version_info[:2] < BEYOND or not suited:
        this = f"Python {platform.python_version()} ({EXTENSION_SUFFIXES[0].strip('.')})"
        sys.exit(f"gobi: this file is for Python 3.11 to 3.14 on 64-bit Linux with glibc, x86 or ARM; this is {this}")
    cache = os.path.dirname(target)
    # What root unpacks is read by whoever root goes on as.
    mode = 0o755 if os.geteuid() == 0 else 0o700
    os.umask(0o777 & ~mode)
    try:
        os.makedirs(cache, mode=mode, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".unpacking-", dir=cache)
    except OSError as error:
        sys.exit(f"gobi: cannot unpack into {cache} ({error.strerror}): set XDG_CACHE_HOME to a folder of yours")
    try:
        tree = os.path.join(folder, "gobi")
        unpack(archive, tree)
        # Compiled beforehand, or the server's first start would hold 17 MB more until the next.
        compileall.compile_dir(tree, quiet=2, stripdir=tree, prependdir=target)
        try:
            os.rename(tree, target)
        except OSError:
            if not os.path.isdir(target):  # somebody else was faster; theirs is the same
                raise
    except OSError as error:
        sys.exit(f"gobi: cannot unpack into {cache} ({error.strerror}): it takes 90 MB")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack(archive: str, tree: str) -> None:
    """Extension modules for other processors stay out."""
    others = tuple(one for one in ENDINGS if not EXTENSION_SUFFIXES[0].endswith(one))
    with (
        zipfile.ZipFile(archive) as outer,
        outer.open("gobi.tar.xz") as packed,
        tarfile.open(fileobj=packed, mode="r|xz") as tar,
    ):
        for entry in tar:
            content = tar.extractfile(entry)
            if content is not None and not entry.name.endswith(others):
                place = os.path.join(tree, entry.name)
                os.makedirs(os.path.dirname(place), exist_ok=True)
                with open(place, "wb") as file:
                    shutil.copyfileobj(content, file)


if __name__ == "__main__":
    main(sys.argv[0], sys.argv[1])
