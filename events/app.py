"""What happens to an app: the consumer of these interfaces that a key identifies.

These names are the storage format.
"""

from typing import ClassVar, Literal

from events.envelope import Event, Fact, Value

Scope = Literal["run", "read", "publish", "admin", "audit"]
ALL_SCOPES: tuple[Scope, ...] = ("run", "read", "publish", "admin", "audit")


class Key(Value):
    """A key pair. The secret is known as a salted hash (scrypt, in the text form `salt$hash`, both hexadecimal).

    `secret_ref` refers to the sealed secret itself, for doors where callers sign instead of showing it; absent: none of those.
    `scopes` are what the key may be used for.
    """

    key: str
    secret_hash: str
    secret_ref: str | None = None
    scopes: tuple[Scope, ...] = ALL_SCOPES


class AppTerms(Fact):
    """What is known of an app. `platform_rights` is the bit sum of the platforms (1, 2, 4) it may publish on.

    `origin` names the service that told of it; empty: it was registered here.
    """

    app: str
    name: str
    is_tenant: bool
    source: int
    platform_rights: int
    audit_policy: int
    keys: tuple[Key, ...]
    origin: str = ""


class AppRegistered(AppTerms, Event):
    """An app exists, or what is known of it was renewed."""

    type: ClassVar[str] = "app.registered"


class AppDisabled(Event):
    """None of the app's keys opens anything, and nobody may act in its name, until it is enabled. What it runs goes on."""

    type: ClassVar[str] = "app.disabled"


class AppEnabled(Event):
    """The app may be used again."""

    type: ClassVar[str] = "app.enabled"


class AuditPolicyChanged(Event):
    """Whether the words of the app's runs are judged before people see them: 1, or 0 for no."""

    type: ClassVar[str] = "app.audit_changed"
    audit_policy: int


class KeyCreated(Event):
    """The app has one more key."""

    type: ClassVar[str] = "key.created"
    key: Key


class KeyRotated(Event):
    """A key has a new secret; the old one opens nothing from here on."""

    type: ClassVar[str] = "key.rotated"
    key: str
    secret_hash: str
    secret_ref: str | None = None


class KeyDisabled(Event):
    """A key opens nothing any more, for good."""

    type: ClassVar[str] = "key.disabled"
    key: str


class SignatureUsed(Event):
    """A caller came in with a signature, by its digest. Until `until` (ms since 1970) it would still fit, so it opens nothing again."""

    type: ClassVar[str] = "signature.used"
    signature: str
    until: int
