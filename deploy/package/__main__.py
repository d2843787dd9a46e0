"""`make dist`: the wheel, the single file, the Debian packages and their bill of materials, in dist/. `make dist-lock`
pins libraries anew.

The same commit and the same lock.txt give the same bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from deploy.package import deb, sbom, single
from deploy.package.tree import merge
from deploy.package.wheels import ARCHITECTURES, ROOT, TARGETS, build_own, fetch, lock

DIST = ROOT / "dist"
WORK = ROOT / "build" / "package"


def main() -> None:
    epoch = made_at()
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
    os.umask(0o022)
    for folder in (DIST, WORK):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    own = build_own(DIST)
    if sys.argv[1:] == ["lock"]:
        lock(own)
        return
    made = [own]
    wheels = fetch(WORK / "wheels")
    tree = WORK / "tree"
    merge({target: [own, *wheels[target]] for target in TARGETS}, tree)
    made.append(DIST / "gobi")
    single.write(tree, made[-1], epoch)
    if shutil.which("dpkg-deb"):
        made += [deb.build(tree, one, WORK / f"deb-{one}", DIST, epoch) for one in ARCHITECTURES]
    else:
        print("No .deb, for there is no dpkg-deb here")
    version = own.name.split("-")[1]
    made.append(sbom.write(DIST / f"gobi-{version}.cdx.json", version, epoch))
    for path in made:
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB")


def made_at() -> int:
    """When everything in the packages was made: at the commit, unless SOURCE_DATE_EPOCH says otherwise."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):  # not a checkout: a release's archive
        return int((ROOT / "CHANGELOG.md").stat().st_mtime)


if __name__ == "__main__":
    main()
