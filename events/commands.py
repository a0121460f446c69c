"""What can be wished for. A command changes nothing by itself: its stream's decider answers with events.

These names are the storage format of the commands topic.
"""

from typing import ClassVar

from events.app import AppTerms, Key
from events.bot import BotTerms
from events.envelope import Command, Words
from events.file import FileTerms
from events.flow import Document
from events.provider import ProviderTerms
from events.question import AnswerType
from events.run import RunTerms
from events.tool import ToolTerms


class StartRun(RunTerms, Command):
    """Begin a run of a pinned definition."""

    type: ClassVar[str] = "run.start"


class CancelRun(Command):
    """End a run now. `by` is who asked."""

    type: ClassVar[str] = "run.cancel"
    run: str
    app: str
    by: str


class AnswerQuestion(Command):
    """Answer the run's question of this number. `by` is who answers."""

    type: ClassVar[str] = "question.answer"
    run: str
    app: str
    by: str
    question: int
    event_type: AnswerType
    content: Words


class DraftFlow(Command):
    """Create a flow."""

    type: ClassVar[str] = "flow.draft"
    flow: str
    app: str
    name: str
    description: str
    status: int
    source: int
    definition: str | None = None
    document: Document | None = None


class ReviseFlow(Command):
    """Change the draft; absent fields stay."""

    type: ClassVar[str] = "flow.revise"
    flow: str
    name: str | None = None
    description: str | None = None
    status: int | None = None
    app: str | None = None
    definition: str | None = None
    document: Document | None = None


class PublishFlow(Command):
    """Change the release: `operation` 1 publish, 2 publish as API, 3 take off; `platform` 1, 2 or 4."""

    type: ClassVar[str] = "flow.publish"
    flow: str
    operation: int
    platform: int
    flow_version: str = ""
    definition: str | None = None
    document: Document | None = None


class BindFlow(Command):
    """Let an app run the flow."""

    type: ClassVar[str] = "flow.bind"
    flow: str
    app: str


class UnbindFlow(Command):
    """Take the licence of an app for the flow away."""

    type: ClassVar[str] = "flow.unbind"
    flow: str
    app: str


class CompareFlow(Command):
    """Save a version to compare with; without a `definition` it is removed."""

    type: ClassVar[str] = "flow.compare"
    flow: str
    flow_version: str
    definition: str | None = None
    document: Document | None = None


class DeleteFlow(Command):
    """Remove the flow; only its own app may."""

    type: ClassVar[str] = "flow.delete"
    flow: str
    app: str


class SwitchApp(Command):
    """Disable an app, or enable it again."""

    type: ClassVar[str] = "app.switch"
    app: str
    enabled: bool


class SetAuditPolicy(Command):
    """Have the words of an app's runs judged from the next one on (1), or not (0)."""

    type: ClassVar[str] = "app.set_audit"
    app: str
    audit_policy: int


class CreateKey(Command):
    """Give an app one more key."""

    type: ClassVar[str] = "key.create"
    app: str
    key: Key


class RotateKey(Command):
    """Give a key a new secret."""

    type: ClassVar[str] = "key.rotate"
    app: str
    key: str
    secret_hash: str
    secret_ref: str | None = None


class DisableKey(Command):
    """Make a key useless for good."""

    type: ClassVar[str] = "key.disable"
    app: str
    key: str


class StoreFile(FileTerms, Command):
    """Put on record that a file was handed in; it is in the store already."""

    type: ClassVar[str] = "file.store"


class CreateBot(BotTerms, Command):
    """Configure a bot that is not there yet."""

    type: ClassVar[str] = "bot.create"


class ReviseBot(BotTerms, Command):
    """Configure a bot anew."""

    type: ClassVar[str] = "bot.revise"


class RemoveBot(Command):
    """Remove the bot; only its own app may."""

    type: ClassVar[str] = "bot.remove"
    bot: str
    app: str


class UseSignature(Command):
    """Let a caller in with a signature, known by its digest, if nobody came in with it before. It fits until `until` (ms since 1970)."""

    type: ClassVar[str] = "signature.use"
    app: str
    signature: str
    until: int


class CreateProvider(ProviderTerms, Command):
    """Make a provider of models known."""

    type: ClassVar[str] = "provider.create"


class ReviseProvider(ProviderTerms, Command):
    """Change what is known of a provider, all of it."""

    type: ClassVar[str] = "provider.revise"


class RemoveProvider(Command):
    """Remove a provider. `app` is whose it is (empty: for all), `by` who asks."""

    type: ClassVar[str] = "provider.remove"
    provider: str
    app: str
    by: str


class StoreTool(ToolTerms, Command):
    """Keep a tool, or a version of it."""

    type: ClassVar[str] = "tool.store"


class RemoveTool(Command):
    """Remove the tool with all its versions."""

    type: ClassVar[str] = "tool.remove"
    tool: str
    app: str


class RegisterApp(AppTerms, Command):
    """Make an app known, or renew what is known of it."""

    type: ClassVar[str] = "app.register"
