"""What a program asks before it seals a key into a command."""

from collections.abc import Callable
from typing import Annotated, Literal

from common.crypto.sealed_commands import FORMAT, SealingKey, encoded
from common.http.openapi import answers
from common.http.tokens import BEARER
from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field


class Suite(BaseModel):
    """The algorithms of HPKE (RFC 9180), by name and by their registered numbers."""

    kem: Literal["DHKEM(X25519, HKDF-SHA256)"] = "DHKEM(X25519, HKDF-SHA256)"
    kem_id: Literal[0x0020] = 0x0020
    kdf: Literal["HKDF-SHA256"] = "HKDF-SHA256"
    kdf_id: Literal[0x0001] = 0x0001
    aead: Literal["AES-256-GCM"] = "AES-256-GCM"
    aead_id: Literal[0x0002] = 0x0002


class SealingKeyAnswer(BaseModel):
    """All that a program needs to seal a key."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    key_id: str
    """Goes into the sealed text."""
    public_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    """X25519, 32 bytes, base64url without padding."""
    suite: Suite = Suite()
    format: Literal["grafient.sealed-command.v1"] = FORMAT
    """First part of HPKE's `info`; environment, account ID and command ID follow, each with its length before it."""
    environment: str
    """Second part of HPKE's `info`."""


def sealing_key_route(recipient: Callable[[], SealingKey], environment: str) -> APIRouter:
    """`GET /v1/sealing-key`, for every live token: the key is public."""
    router = APIRouter(prefix="/v1", responses=answers(), dependencies=[Security(BEARER)])

    @router.get("/sealing-key", operation_id="get_sealing_key")
    async def sealing_key() -> SealingKeyAnswer:
        """The public key that commands are sealed to now; ask before each command, for it may change."""
        found = recipient()
        return SealingKeyAnswer(key_id=found.key_id, public_key=encoded(found.public_key), environment=environment)

    return router
