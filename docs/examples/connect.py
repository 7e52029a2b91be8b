"""Connects an xAI team by a command: seals its key, publishes AddIntegration, and prints its one result.

pip install aiokafka "cryptography>=47"
CONNECTOR_URL=… TOKEN=… KAFKA_BOOTSTRAP_SERVERS=… python connect.py ACCOUNT_ID TEAM_ID PLAN, the key on standard input.
Without a result within DEADLINE seconds (60 by default) it prints what is known of the command, with status 1.
"""

import asyncio
import base64
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def get(path: str) -> dict[str, str]:
    url, token = os.environ["CONNECTOR_URL"], os.environ["TOKEN"]
    request = urllib.request.Request(f"{url}/v1/{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def seal(key: str, to: dict[str, str], account_id: str, command_id: str) -> str:
    public_key = X25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(to["public_key"] + "="))
    parts = [part.encode() for part in (to["format"], to["environment"], account_id, command_id)]
    info = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    sealed = SUITE.encrypt(key.encode(), public_key, info=info)  # 32 bytes encapsulated key, then the ciphertext
    encoded = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (sealed[:32], sealed[32:])]
    return ".".join(["v1", to["key_id"], *encoded])


async def publish(servers: str, kind: str, command: dict[str, str]) -> None:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": command["command_id"],
        "ce_type": kind,
        "ce_source": "/my-web-app",
        "content-type": "application/json",
    }
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(
            "xai.commands.v1",
            json.dumps(command).encode(),
            key=command["account_id"].encode(),
            headers=[(name, value.encode()) for name, value in headers.items()],
        )


async def result_of(results: AIOKafkaConsumer, account_id: str, command_id: str) -> str:
    async for record in results:
        result = json.loads(record.value)
        if (result["account_id"], result["command_id"]) == (account_id, command_id):
            break
    return f"{dict(record.headers)['ce_type'].decode()} {json.dumps(result)}"


def state_of(account_id: str, command_id: str) -> str:
    """What is known of the command; its ID may hold any character, so it is quoted."""
    try:
        return json.dumps(get(f"accounts/{account_id}/commands/{urllib.parse.quote(command_id, safe='')}"))
    except urllib.error.HTTPError as problem:  # 404: it has not arrived
        return problem.read().decode()


async def main(account_id: str, team_id: str, plan: str) -> None:
    servers, command_id = os.environ["KAFKA_BOOTSTRAP_SERVERS"], str(uuid.uuid4())
    command = {
        "command_id": command_id,
        "account_id": account_id,
        "team_id": team_id,
        "plan": plan,
        "sealed_key": seal(sys.stdin.readline().strip(), get("sealing-key"), account_id, command_id),
        "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    async with AIOKafkaConsumer("xai.command-results.v1", bootstrap_servers=servers) as results:
        for partition in results.assignment():
            await results.position(partition)  # from now on: the result comes after this
        await publish(servers, "AddIntegration", command)
        try:
            async with asyncio.timeout(float(os.environ.get("DEADLINE", "60"))):
                print(await result_of(results, account_id, command_id))
        except TimeoutError:
            sys.exit(f"no result yet: {state_of(account_id, command_id)}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
