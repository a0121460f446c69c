"""Apache Kafka behind TLS, passwords and access rules: who is let in, and what is said to who is not."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from events.topics import COMMANDS, EVENTS
from infra.kafka import broker as local
from services.kit.errors import Refused
from services.kit.kafka import topics as kafka_topics
from services.kit.kafka.log import KafkaLog
from services.kit.log import Assigned
from services.kit.settings import Settings
from tests.contracts.log_place import read_all, some, texts
from tests.support.broker import give_up

pytestmark = pytest.mark.kafka

_RULES = """
ssl.keystore.type=PEM
ssl.keystore.certificate.chain={certificate}
ssl.keystore.key={key}
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_owner="right" user_guest="right";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:owner
"""


def write_certificate(folder: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that signs itself, as PEM: certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    day = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), day, day + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """How the owner gets in."""
    if reason := local.missing():
        give_up(f"Apache Kafka of one's own: {reason}", os.environ)
    folder = tmp_path_factory.mktemp("secure")
    certificate, key = (text.replace("\n", "\\n") for text in write_certificate(folder))
    port = local.free_port()
    with local.running(also=f"SASL_SSL://127.0.0.1:{port}", more=_RULES.format(certificate=certificate, key=key)):
        yield Settings(
            kafka=f"127.0.0.1:{port}",
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_mechanism="PLAIN",
            kafka_sasl_username="owner",
            kafka_sasl_password="right",
            kafka_ssl_cafile=folder / "ca.pem",
            durability="single",
            partitions=2,
        )


async def test_who_has_the_password_and_the_rights_works(secure: Settings) -> None:
    log = KafkaLog(secure)
    await log.start()
    await log.append(EVENTS, 0, some(2))
    assert await (await log.appender(EVENTS, 0)).append(some(1)) == 2
    assert texts(await read_all(log)) == ["r0", "r1", "r0"]
    assert [one.offset for one in await log.tail(EVENTS, 0, 0).next()] == [0, 1, 2]
    assert await anext((await log.join("group", COMMANDS)).changes()) == Assigned(frozenset({0, 1}))
    await log.stop()


async def test_a_wrong_password_is_told_and_not_repeated(secure: Settings) -> None:
    with pytest.raises(Refused, match="does not let this user in: check PROZESS_KAFKA_SASL_MECHANISM") as refused:
        await KafkaLog(secure.model_copy(update={"kafka_sasl_password": "wrong-word"})).start()
    assert "wrong-word" not in str(refused.value)


async def test_a_user_without_rights_is_told_which(secure: Settings) -> None:
    owners = KafkaLog(secure)
    await owners.start()
    await owners.stop()
    with pytest.raises(Refused, match=rf"topic {COMMANDS}: this user may not see it: grant DESCRIBE, READ and WRITE"):
        await KafkaLog(secure.model_copy(update={"kafka_sasl_username": "guest"})).start()


async def test_a_certificate_of_a_stranger_is_told(secure: Settings) -> None:
    with pytest.raises(Refused, match="shows a certificate that cannot be trusted: check PROZESS_KAFKA_SSL_CAFILE"):
        await KafkaLog(secure.model_copy(update={"kafka_ssl_cafile": None})).start()


async def test_plain_words_to_a_secure_port_are_told(secure: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_topics, "REQUEST_S", 0.5)
    with pytest.raises(Refused, match="PROZESS_KAFKA_SECURITY_PROTOCOL"):
        await KafkaLog(secure.model_copy(update={"kafka_security_protocol": "PLAINTEXT"})).start()
