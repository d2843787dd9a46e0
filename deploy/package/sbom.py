"""The software bill of materials: what the packages contain, in CycloneDX 1.5 JSON, from the two lock files alone.

The same lock files give the same bytes.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.package.wheels import LOCK, ROOT

NPM_LOCK = ROOT / "deploy" / "web-libraries" / "package-lock.json"
# For serial numbers that say what is in the document.
_NAMESPACE = uuid.UUID("6a9d1b0e-6f0c-5b56-9c38-6f4b7a52c1d4")

Json = dict[str, Any]


def write(to: Path, version: str, epoch: int) -> Path:
    """`version`: gobi's; `epoch`: when the packages were made, in seconds since 1970."""
    to.write_text(json.dumps(document(version, epoch), indent=1, ensure_ascii=False) + "\n")
    return to


def document(version: str, epoch: int) -> Json:
    components = [*_python(LOCK.read_text()), *_javascript(json.loads(NPM_LOCK.read_text()))]
    own = {
        "type": "application",
        "bom-ref": "gobi",
        "name": "gobi",
        "version": version,
        "licenses": [{"license": {"id": "MIT"}}],
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps([own, components, epoch]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"timestamp": datetime.fromtimestamp(epoch, UTC).isoformat(), "component": own},
        "components": components,
        "dependencies": [{"ref": "gobi", "dependsOn": [one["bom-ref"] for one in components]}],
    }


def pins(lock: str) -> Iterator[tuple[str, str, list[str]]]:
    """Name, version and SHA-256 hashes of everything that lock.txt pins."""
    for entry in re.split(r"\n(?=[A-Za-z])", re.sub(r"^#.*\n", "", lock, flags=re.MULTILINE).strip()):
        name, _, version = entry.split()[0].partition("==")
        yield name, version, re.findall(r"sha256:([0-9a-f]{64})", entry)


def _python(lock: str) -> Iterator[Json]:
    for name, version, digests in pins(lock):
        reference = f"pkg:pypi/{name.lower()}@{version}"
        yield {
            "type": "library",
            "bom-ref": reference,
            "name": name,
            "version": version,
            "purl": reference,
            # One wheel a Python and processor, so they are what the package was found as, not what it is.
            "externalReferences": [
                {"type": "distribution", "url": reference, "hashes": [{"alg": "SHA-256", "content": one}]}
                for one in digests
            ],
        }


def _javascript(lock: Json) -> Iterator[Json]:
    """What is bundled into the page; not what bundles it."""
    for place, entry in sorted(lock["packages"].items()):
        if not place or entry.get("dev"):
            continue
        name = place.rpartition("node_modules/")[2]
        reference = f"pkg:npm/{name.replace('@', '%40')}@{entry['version']}"
        algorithm, _, digest = entry["integrity"].partition("-")
        yield {
            "type": "library",
            "bom-ref": reference,
            "name": name,
            "version": entry["version"],
            "purl": reference,
            "hashes": [{"alg": algorithm.upper().replace("SHA", "SHA-"), "content": base64.b64decode(digest).hex()}],
            "licenses": [{"license": {"id": entry["license"]}}] if "license" in entry else [],
        }
