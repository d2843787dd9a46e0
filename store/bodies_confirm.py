"""The look at bodies after a commit, without which one could be acknowledged that was just thrown away."""

from __future__ import annotations

import logging
from collections.abc import Collection

from store.base import Bodies
from store.errors import BodyMissing
from store.offload import Offload

log = logging.getLogger("gobi.bodies")


def confirm(bodies: Bodies, offload: Offload, vault_id: str, wanted: Collection[tuple[str, int]]) -> None:
    """Looks for these (hash, size), to which versions refer since a moment ago. Raises BodyMissing.

    What is in the trash comes back. It has a week for that; where a body is gone all the same, whoever sent it may not
    believe that it is safe.
    """
    lost = offload(bodies.missing, vault_id, wanted) if wanted else {}
    if lost:
        log.error("lost right after a commit, in vault %s: %s", vault_id, ", ".join(sorted(lost)))
        raise BodyMissing("the server has lost what was sent: send it again")
