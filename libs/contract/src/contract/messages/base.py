"""What all messages have in common."""

from typing import Self

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Frozen; errors do not show its values, which may be a customer's."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """The message in `body`, which is JSON; raises pydantic's ValidationError."""
        return cls.model_validate_json(body)
