"""What happens to an app: the consumer of these interfaces that a key identifies.

These names are the storage format.
"""

from typing import ClassVar

from events.envelope import Event, Fact, Value


class Key(Value):
    """A key pair. The secret is known as a salted hash (scrypt, in the text form `salt$hash`, both hexadecimal).

    `secret_ref` refers to the sealed secret itself, for doors where callers sign instead of showing it; absent: none of those.
    """

    key: str
    secret_hash: str
    secret_ref: str | None = None


class AppTerms(Fact):
    """What is known of an app. `platform_rights` is the bit sum of the platforms (1, 2, 4) it may publish on."""

    app: str
    name: str
    is_tenant: bool
    source: int
    platform_rights: int
    audit_policy: int
    keys: tuple[Key, ...]


class AppRegistered(AppTerms, Event):
    """An app exists, or what is known of it was renewed."""

    type: ClassVar[str] = "app.registered"
