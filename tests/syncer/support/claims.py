"""One claim at a time."""

from syncer.attempt import Attempt
from syncer.leases import Claim


async def claim_one(attempt: Attempt, owner: str) -> Claim | None:
    """The most urgent due window."""
    claims, _ = await attempt.claim(owner, 1)
    return next(iter(claims), None)
