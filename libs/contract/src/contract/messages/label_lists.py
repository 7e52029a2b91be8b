"""The labels of a day's costs without the amounts: most days have the labels of another day, often of another team."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from uuid import UUID

ID_BYTES = 16


@dataclass(frozen=True)
class LabelList:
    """Labels, each with its product and its model, in their order."""

    json: str
    """As `CostRecorded` writes its costs, without the amounts."""

    @cached_property
    def labels_id(self) -> UUID:
        """The same for equal lists, and for no other: the beginning of the SHA-256 hash of `json`."""
        return UUID(bytes=sha256(self.json.encode()).digest()[:ID_BYTES])
