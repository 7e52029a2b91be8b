"""What makes the embedded broker secure: a certificate authority of its own, passwords, and access by declaration."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from common.settings import KafkaSettings
from contract.access import ACCESS
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import SecretStr

OPERATOR = "operator"
BROKER = "broker"
"""Common name of the broker's certificate: the listeners between brokers and controllers take no other one."""
VALID = timedelta(days=365)
AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"


@dataclass(frozen=True, slots=True)
class Security:
    """Certificates in `folder` and a password for each principal and the operator, all made at random."""

    folder: Path
    passwords: dict[str, str]

    @classmethod
    def make(cls, folder: Path) -> "Security":
        """Write the certificates, readable by nobody else; those of an earlier start are kept, passwords too."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / "ca.pem").exists():
            write_certificates(folder)
        return cls(folder, {name: _kept(folder / name / "KAFKA_PASSWORD") for name in (OPERATOR, *ACCESS)})

    def of_principals(self) -> dict[str, SecretStr]:
        """The passwords that the operator sets."""
        return {name: SecretStr(self.passwords[name]) for name in ACCESS}

    def environment(self, principal: str) -> dict[str, str]:
        """What a process needs to authenticate as `principal`: its password is a file, in a folder of its own."""
        return {
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_USERNAME": principal,
            "KAFKA_CA_FILE": str(self.ca_file),
            "SECRETS_DIR": str(self.folder / principal),
        }

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def settings(self, servers: str, principal: str) -> KafkaSettings:
        """How `principal` reaches the broker."""
        return KafkaSettings(
            kafka_bootstrap_servers=servers,
            kafka_security_protocol="SASL_SSL",
            kafka_username=principal,
            kafka_password=SecretStr(self.passwords[principal]),
            kafka_ca_file=self.ca_file,
        )

    def properties(self) -> dict[str, str]:
        """The broker's own: clients authenticate by password over TLS, brokers and controllers by certificate."""
        of_the_inside = {
            f"listener.name.{name}.ssl.{key}": value
            for name in ("controller", "inside")
            for key, value in (
                ("client.auth", "required"),
                ("truststore.type", "PEM"),
                ("truststore.location", str(self.ca_file)),
            )
        }
        return of_the_inside | {
            "listener.security.protocol.map": "CLIENTS:SASL_SSL,CONTROLLER:SSL,INSIDE:SSL",
            "inter.broker.listener.name": "INSIDE",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.clients.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "broker.pem"),
            "authorizer.class.name": AUTHORIZER,
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{OPERATOR};User:CN={BROKER}",
        }

    def first_user(self) -> tuple[str, ...]:
        """Arguments of the storage tool: the operator is there before the broker is; the operator makes the others."""
        return "--add-scram", f"SCRAM-SHA-512=[name={OPERATOR},password={self.passwords[OPERATOR]}]"


def write_certificates(folder: Path, *, since: datetime | None = None, valid: timedelta = VALID) -> None:
    """An authority with a key that is never stored, `ca.pem`, and the one certificate that it signed, `broker.pem`."""
    begin = since or datetime.now(UTC) - timedelta(minutes=5)
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = (
        _certificate("grafient local authority", authority, issuer="grafient local authority", begin=begin, valid=valid)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(authority, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("localhost")])
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    signed = (
        _certificate(BROKER, own, issuer="grafient local authority", begin=begin, valid=valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(names, critical=False)
        .add_extension(purposes, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    key = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(folder / "broker.pem", key + signed.public_bytes(Encoding.PEM))
    write_private(folder / "ca.pem", root.public_bytes(Encoding.PEM))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that no other user can read at any time."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, *, issuer: str, begin: datetime, valid: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _kept(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24).encode())
    return path.read_text()
