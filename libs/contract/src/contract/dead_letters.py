"""The headers of a dead letter: declared, written, read and documented by one model."""

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from contract.cloudevents import MalformedError, Record, lenient_headers

PREFIX = "dead_letter_"
REDRIVES = f"{PREFIX}redrives"
"""Header of a record that was sent to its topic again, and of its dead letter: how often so far."""
CLOSED = f"{PREFIX}closed"
"""Header of the record that ends a dead letter: `redriven` or `dropped`."""
MAX_DETAIL = 1000
MAX_DIGITS = 19


def _number(value: object) -> int:
    """0 where a header holds no number: anybody may send one."""
    if isinstance(value, int):
        return value
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0


def _plain(schema: dict[str, Any]) -> None:
    """A header is text or absent, never null."""
    for field in schema["properties"].values():
        field.pop("title", None)
        field.pop("default", None)
    schema.pop("title", None)
    schema.pop("description", None)


DIGITS = {"type": "string", "pattern": "^[0-9]+$"}
Digits = Annotated[int, BeforeValidator(_number), PlainSerializer(str), WithJsonSchema(DIGITS)]
OptionalDigits = Annotated[Digits | None, WithJsonSchema(DIGITS)]
Milliseconds = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^-?[0-9]+$"})]
Detail = Annotated[
    str,
    AfterValidator(lambda text: text[:MAX_DETAIL]),
    WithJsonSchema({"type": "string", "maxLength": MAX_DETAIL}),
]
OptionalText = Annotated[str | None, WithJsonSchema({"type": "string"})]
HasValue = Annotated[str | None, WithJsonSchema({"enum": ["bytes", "null"]})]
Flag = Annotated[str | None, WithJsonSchema({"type": "string", "const": "true"})]
Sha256 = Annotated[str | None, WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{64}$"})]


@dataclass(frozen=True, slots=True)
class Original:
    """A record as it came."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    def redrive_headers(self, redrives: int) -> list[tuple[str, bytes | None]]:
        """Headers of the record when it is sent again for the `redrives`-th time: the count bounds a loop."""
        kept = [one for one in self.headers if one[0] != REDRIVES]
        return [*kept, (REDRIVES, str(redrives).encode())]


class DeadLetterHeaders(BaseModel):
    """Each field is a header named `dead_letter_<field>`, its value UTF-8 text."""

    model_config = ConfigDict(
        frozen=True, alias_generator=PREFIX.__add__, validate_by_name=True, json_schema_extra=_plain
    )

    id: str = Field(description="`<service>:<topic>:<partition>:<offset>`: equal for every copy.")
    service: str = Field(description="Who dead-lettered it.")
    topic: str = Field(description="Topic of the record.")
    partition: Digits
    offset: Digits
    timestamp_ms: Milliseconds = Field(description="Timestamp of the record.")
    reason: str = Field(description="A stable code.", examples=["body_malformed"])
    detail: Detail = Field(description="A sentence without a value of the record.")
    attempts: Digits
    redrives: Digits = Field(0, description="How often it has been sent to its topic again.")
    answered: Flag = Field(
        None, description="Where its sender got the reason as the result of a command: nobody else has to act."
    )
    headers: OptionalText = Field(
        None, description="Where the record was kept: its headers, a JSON list of `[name, base64]`."
    )
    key: OptionalText = Field(
        None, description="Where the record was kept: its key in base64; empty where it had none."
    )
    value: HasValue = Field(
        None,
        description="Where the record was kept: whether it had a value, which is then the value of this record.",
    )
    size: OptionalDigits = Field(None, description="Where only a fingerprint was kept: bytes of the value.")
    sha256: Sha256 = Field(None, description="Where only a fingerprint was kept: SHA-256 of the value in hex.")

    @classmethod
    def of(
        cls, record: Record, service: str, error: MalformedError, *, attempts: int, keep: bool, answered: bool = False
    ) -> Self:
        """The headers with which `service` dead-letters `record`; without `keep` nothing can be read from them."""
        return cls(
            id=f"{service}:{record.topic}:{record.partition}:{record.offset}",
            service=service,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=str(record.timestamp),
            reason=error.reason,
            detail=error.detail,
            attempts=attempts,
            redrives=_number(lenient_headers(record).get(REDRIVES, "")),
            answered="true" if answered else None,
            **(_content(record) if keep else _fingerprint(record)),
        )

    @classmethod
    def read(cls, record: Record) -> Self | None:
        """The headers of a record of the dead letters; None where it is no dead letter."""
        headers = lenient_headers(record)
        if not headers.get(f"{PREFIX}id") or headers.get(CLOSED):
            return None
        absent = {str(field.alias): "" for field in cls.model_fields.values() if field.is_required()}
        return cls.model_validate(absent | headers)

    def wire(self) -> dict[str, str]:
        return self.model_dump(by_alias=True, exclude_none=True)

    def original(self, value: bytes | None) -> Original | None:
        """The record that was kept, from the dead letter's `value`; None where it was not."""
        if self.headers is None:
            return None
        return Original(
            key=b64decode(self.key) if self.key else None,
            value=None if self.value == "null" else value,
            headers=tuple((name, None if text is None else b64decode(text)) for name, text in json.loads(self.headers)),
        )


def closing_headers(dead_letter_id: str, how: str) -> list[tuple[str, bytes]]:
    """Headers of the record that ends a dead letter; `how`: `redriven` or `dropped`."""
    return [(f"{PREFIX}id", dead_letter_id.encode()), (CLOSED, how.encode())]


def closed_by(record: Record) -> tuple[str, str] | None:
    """ID of the dead letter that `record` ends, and how; None where it ends none."""
    headers = lenient_headers(record)
    return (headers.get(f"{PREFIX}id", ""), headers[CLOSED]) if headers.get(CLOSED) else None


def _content(record: Record) -> dict[str, Any]:
    """Headers and key as they were, which need not be text, so that the record can be sent again as it came."""
    headers = [[name, None if value is None else b64encode(value).decode()] for name, value in record.headers]
    return {
        "headers": json.dumps(headers),
        "key": "" if record.key is None else b64encode(record.key).decode(),
        "value": "null" if record.value is None else "bytes",
    }


def _fingerprint(record: Record) -> dict[str, Any]:
    """Of a record that may hold a key in the clear, or is too large: enough to recognise it, nothing to read."""
    body = record.value or b""
    return {"size": len(body), "sha256": sha256(body).hexdigest()}
