"""The live socket (docs/protocol.md, section 7): who holds one hears of a commit as it happens.

A request becomes a socket in `handshake`; `frames` is what travels on it; a `connection` is one socket, a `channel`
those of one vault, and the `pool` all that a worker has.
"""
