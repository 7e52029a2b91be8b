"""Sets of values that may grow: a value that this version does not know is taken as text."""

import re
from enum import StrEnum
from typing import Any, Self

from pydantic import GetJsonSchemaHandler

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class OpenEnum(StrEnum):
    """Its members are the values known today; any other name of 1-64 of `a-z0-9_` becomes a member that is not listed."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = unknown._value_ = value
        return unknown

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:  # noqa: ANN401 - pydantic's own type of a schema is private
        """In documents: text, with the known values as examples."""
        known = [member.value for member in cls]
        return {
            "type": "string",
            "pattern": f"^{_NAME.pattern}$",
            "description": f"{cls.__doc__} More values may follow: take an unknown one as text.",
            "examples": known,
        }
