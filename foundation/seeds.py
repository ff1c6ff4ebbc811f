"""Seeds that depend on what they are for, not on what was drawn before."""

from __future__ import annotations

import hashlib


def seed_of(*parts: int | str) -> int:
    """A seed in 0 ... 2**63 - 1 from what the draws are for, the same on every machine.

    `seed_of(seed, "order", epoch)` makes an epoch's order a function of the epoch alone, so that a job
    which stops and goes on sees what it would have seen.
    """
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
