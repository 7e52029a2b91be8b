"""The route that returns the public key to which programs seal the keys in their commands."""

from collections.abc import Callable
from operator import attrgetter
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
    """Part of the sealed text."""
    public_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    """X25519, 32 bytes, base64url without padding."""
    suite: Suite = Suite()
    format: Literal["grafient.sealed-command.v1"] = FORMAT
    """First part of HPKE's `info`; environment, account ID and command ID follow, each with its length before it."""
    environment: str
    """Second part of HPKE's `info`."""


class SealingKeyRoutes:
    """For every live token: the key is public."""

    def __init__(self, recipient: Callable[[], SealingKey], environment: str) -> None:
        self._recipient = recipient
        self._environment = environment

    def router(self) -> APIRouter:
        """The routes, in one table; a method's name is its operation ID."""
        router = APIRouter(
            prefix="/v1",
            responses=answers(),
            dependencies=[Security(BEARER)],
            generate_unique_id_function=attrgetter("name"),
        )
        router.get("/sealing-key")(self.get_sealing_key)
        return router

    async def get_sealing_key(self) -> SealingKeyAnswer:
        """The public key that commands are sealed to now; request it before each command, for it may change."""
        key = self._recipient()
        return SealingKeyAnswer(key_id=key.key_id, public_key=encoded(key.public_key), environment=self._environment)
