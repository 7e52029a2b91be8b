"""Why a broker cannot be reached: aiokafka reports only that it cannot."""

import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from common.settings import StartRefusedError

DEADLINE_MS = 2_500
GRANTING = "run `grafient topics apply --acls`"
EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED."""


class BrokerRefusedError(StartRefusedError):
    """The broker rejects this process, or is not trusted by it."""


async def diagnose_connection(options: Mapping[str, Any]) -> str | None:
    """Why the first server that answers rejects the connection; None where none answers, or one accepts it.

    `options` are those of aiokafka's clients.
    """
    security = {name: value for name, value in options.items() if name.startswith(("sasl_", "ssl_", "security_"))}
    for server in options["bootstrap_servers"]:
        host, _, port = server.rpartition(":")
        try:
            connection = await create_conn(host, int(port), request_timeout_ms=DEADLINE_MS, **security)
        except (OSError, KafkaError, TimeoutError, ValueError) as error:
            if sentence := _sentence(server, error):
                return sentence
        else:
            connection.close()
            return None
    return None


def _sentence(server: str, error: Exception) -> str | None:
    match error:
        case ssl.SSLCertVerificationError():
            return f"the certificate of the broker {server} is not trusted ({error.verify_message}): {_remedy(error)}"
        case ssl.SSLError():
            return f"the broker {server} does not use TLS on this port: check KAFKA_SECURITY_PROTOCOL and the port"
        case AuthenticationFailedError() | SaslAuthenticationFailed():
            return f"the broker {server} rejects KAFKA_USERNAME and KAFKA_PASSWORD"
        case UnsupportedSaslMechanismError():
            return f"the broker {server} does not accept SCRAM-SHA-512: check KAFKA_SECURITY_PROTOCOL and the port"
        case KafkaConnectionError():
            return f"the broker {server} closes the connection at once: check KAFKA_SECURITY_PROTOCOL and the port"
        case _:
            return None


def _remedy(error: ssl.SSLCertVerificationError) -> str:
    return "renew it" if error.verify_code == EXPIRED else "KAFKA_CA_FILE must name the authority that signs it"


def authorization_hint(error: KafkaError) -> str | None:
    """The missing right and the next step, where that caused `error`; None otherwise."""
    if isinstance(
        error, TopicAuthorizationFailedError | GroupAuthorizationFailedError | ClusterAuthorizationFailedError
    ):
        what = "topic" if isinstance(error, TopicAuthorizationFailedError) else "group"
        return f"KAFKA_USERNAME lacks a right to the {what} {error.args[0] if error.args else ''}: {GRANTING}"
    return None
