"""What happens to a flow: drafts, releases, bindings. A definition is named by the SHA-256 of its canonical JSON, secrets taken out.

These names are the storage format.
"""

from typing import ClassVar

from pydantic import JsonValue

from events.envelope import Event

Document = dict[str, JsonValue]


class FlowDrafted(Event):
    """A flow was created. `definition` and `document` are absent for a flow without content."""

    type: ClassVar[str] = "flow.drafted"
    flow: str
    app: str
    name: str
    description: str
    status: int
    source: int
    definition: str | None = None
    document: Document | None = None


class FlowRevised(Event):
    """Some fields of the draft changed; absent ones did not. `released` says that the draft became the release (status 1)."""

    type: ClassVar[str] = "flow.revised"
    name: str | None = None
    description: str | None = None
    status: int | None = None
    app: str | None = None
    definition: str | None = None
    document: Document | None = None
    released: bool = False


class FlowPublished(Event):
    """A release on one platform. `release_status` is the whole bit set afterwards; `flow_version` is empty for an unversioned release."""

    type: ClassVar[str] = "flow.published"
    operation: int
    platform: int
    flow_version: str
    release_status: int
    definition: str | None
    document: Document | None = None


class FlowTakenOff(Event):
    """The release on one platform ended. Nothing else changes."""

    type: ClassVar[str] = "flow.taken_off"
    platform: int
    release_status: int


class FlowBound(Event):
    """An app may run the flow."""

    type: ClassVar[str] = "flow.bound"
    app: str


class FlowUnbound(Event):
    """An app may no longer run the flow; runs that go on are not touched."""

    type: ClassVar[str] = "flow.unbound"
    app: str


class FlowCompared(Event):
    """A version to compare with was saved beside the draft; saving it again replaces it. It is never released."""

    type: ClassVar[str] = "flow.compared"
    flow_version: str
    definition: str
    document: Document | None = None


class FlowComparisonEnded(Event):
    """A version to compare with was removed."""

    type: ClassVar[str] = "flow.comparison_ended"
    flow_version: str


class FlowDeleted(Event):
    """The flow can no longer be found. Its history stays."""

    type: ClassVar[str] = "flow.deleted"
    by: str
