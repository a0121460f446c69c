"""What happens to a provider of models: an address of the OpenAI protocol, the models there, and the key that opens it.

A provider belongs to an app, or to all (`app` is empty): apps' own come before those for all. These names are the storage format.
"""

from typing import ClassVar, Literal

from events.envelope import Event, Fact

Protocol = Literal["openai"]


class ProviderTerms(Fact):
    """A provider as it is from now on. `key` is a secret's reference or empty; the first of `models` is asked where none is named."""

    provider: str
    app: str
    name: str = ""
    protocol: Protocol
    url: str
    key: str = ""
    models: tuple[str, ...] = ()


class ProviderConfigured(ProviderTerms, Event):
    """The provider exists and is asked so from now on."""

    type: ClassVar[str] = "provider.configured"


class ProviderRemoved(Event):
    """The provider can no longer be named. Its history stays, and its id may be used anew."""

    type: ClassVar[str] = "provider.removed"
    by: str
