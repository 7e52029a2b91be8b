"""Refusals in the form of gRPC."""

import json

GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13, 501: 12, 503: 14, 504: 4}
UNKNOWN = 2


class RefusalError(Exception):
    """The call is answered with this status, and the message in a gRPC body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = refusal_body(status, message)


def refusal_body(status: int, message: str) -> bytes:
    return json.dumps({"code": GRPC_CODES.get(status, UNKNOWN), "message": message, "details": []}).encode()
