"""`make dist-lock`, the container images' part: writes behind every image's tag the digest that the tag stands for now.

`image:tag` becomes `image:tag@sha256:…`, in the Dockerfile and in compose.yaml: from then on no other image is taken,
whoever moves the tag. It asks whichever of docker, skopeo and crane is there. Where none is, or the registry is out of
reach, it says so and leaves what there is.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent
FILES = (FOLDER / "Dockerfile", FOLDER / "compose.yaml")
PATIENCE_S = 60
# An image with a tag, by the two ways in which files name one. `image: gobi` is built, and has none.
REFERENCE = re.compile(
    r"^(?P<before>FROM +|\s+image: +)(?P<image>[a-z0-9./_-]+:[A-Za-z0-9._-]+)(?P<digest>@sha256:[0-9a-f]{64})?",
    re.MULTILINE,
)

Resolve = Callable[[str], str | None]


def pin(text: str, resolve: Resolve) -> tuple[str, list[str]]:
    """The text with digests, and the images of which none could be had. `resolve`: the digest of an image, or None."""
    missing: list[str] = []

    def pinned(found: re.Match[str]) -> str:
        digest = resolve(found["image"])
        if digest is None:
            missing.append(found["image"])
            return found[0]
        return f"{found['before']}{found['image']}@{digest}"

    return REFERENCE.sub(pinned, text), missing


def digest_of(image: str) -> str | None:
    """Of the list for all processors, as the registry has it now."""
    for command in (
        ["docker", "buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", image],
        ["skopeo", "inspect", "--no-tags", f"docker://{image}"],
        ["crane", "digest", image],
    ):
        if shutil.which(command[0]) is None:
            continue
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        except (OSError, subprocess.SubprocessError):
            continue
        try:
            fields = json.loads(done.stdout)
            found = str(fields.get("digest") or fields.get("Digest"))
        except ValueError:
            found = done.stdout.strip()
        if re.fullmatch(r"sha256:[0-9a-f]{64}", found):
            return found
    return None


def main() -> None:
    for file in FILES:
        text, missing = pin(file.read_text(), digest_of)
        file.write_text(text)
        for image in missing:
            print(
                f"NOT PINNED: {image} in {file.name}: it takes docker, skopeo or crane, and the image's registry",
                file=sys.stderr,
            )


if __name__ == "__main__":
    main()
