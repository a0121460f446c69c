"""The register of everything that can be said, by its stored name.

In comes a record; out goes its envelope with today's class. A name that is not listed here, or a version from the
future, is `Unknown`: whoever meets it stops, it is never skipped.
"""

from collections.abc import Iterable, Mapping

import pydantic
from pydantic_core import from_json

from events import app, audit, bot, commands, delta, file, flow, node, ownership, provider, question, refusal, run, tool
from events.envelope import Command, Damaged, Envelope, Event, Fact, Meta, Record, StoredRecord, meta_at, meta_of, note
from events.upcasters import upcast

EVENTS: tuple[type[Event], ...] = (
    ownership.PartitionClaimed,
    run.RunStarted,
    run.RunCompleted,
    run.RunFailed,
    run.RunStepsExceeded,
    run.RunTimedOut,
    run.RunCancelled,
    node.NodeStarted,
    node.NodeStepCompleted,
    node.ChildStarted,
    node.RoundOpened,
    node.RoundCompleted,
    node.NodeCompleted,
    node.NodeFailed,
    node.NodeTimedOut,
    node.NodeSkipped,
    node.ModelCalled,
    node.ModelResponded,
    node.ContextRetrieved,
    node.ToolCalled,
    node.ToolReturned,
    node.VariablesStored,
    node.OutputOpened,
    node.OutputReleased,
    node.OutputHeld,
    node.OutputClosed,
    delta.NodeDelta,
    question.QuestionAsked,
    question.QuestionAnswered,
    question.QuestionExpired,
    question.AnswerHeld,
    question.AnswerRefused,
    audit.AuditAsked,
    audit.AuditJudged,
    audit.AuditFailed,
    flow.FlowDrafted,
    flow.FlowRevised,
    flow.FlowPublished,
    flow.FlowTakenOff,
    flow.FlowBound,
    flow.FlowUnbound,
    flow.FlowCompared,
    flow.FlowComparisonEnded,
    flow.FlowDeleted,
    app.AppRegistered,
    app.AppDisabled,
    app.AppEnabled,
    app.AuditPolicyChanged,
    app.KeyCreated,
    app.KeyRotated,
    app.KeyDisabled,
    app.SignatureUsed,
    bot.BotConfigured,
    bot.BotRemoved,
    file.FileStored,
    provider.ProviderConfigured,
    provider.ProviderRemoved,
    tool.ToolStored,
    tool.ToolRemoved,
    refusal.CommandRefused,
    refusal.CommandRepeated,
)
COMMANDS: tuple[type[Command], ...] = (
    commands.StartRun,
    commands.CancelRun,
    commands.AnswerQuestion,
    commands.DraftFlow,
    commands.ReviseFlow,
    commands.PublishFlow,
    commands.BindFlow,
    commands.UnbindFlow,
    commands.CompareFlow,
    commands.DeleteFlow,
    commands.RegisterApp,
    commands.SwitchApp,
    commands.SetAuditPolicy,
    commands.CreateKey,
    commands.RotateKey,
    commands.DisableKey,
    commands.UseSignature,
    commands.StoreFile,
    commands.CreateBot,
    commands.ReviseBot,
    commands.RemoveBot,
    commands.CreateProvider,
    commands.ReviseProvider,
    commands.RemoveProvider,
    commands.StoreTool,
    commands.RemoveTool,
)


class Unknown(ValueError):
    """The record's type or version is not in this program's catalogue (it was written by a newer one)."""


def _register(facts: Iterable[type[Fact]]) -> Mapping[str, type[Fact]]:
    return {fact.type: fact for fact in facts}


BY_TYPE: Mapping[str, type[Fact]] = _register((*EVENTS, *COMMANDS))


def data_of(meta: Meta, value: bytes) -> Fact:
    """Today's class from the stored value. Raises `Unknown` and `Damaged`."""
    fact = BY_TYPE.get(meta.type)
    if fact is None or meta.version > fact.version:
        raise Unknown(f"{meta.type} version {meta.version} is not known here")
    try:
        if meta.version == fact.version:
            return fact.__pydantic_validator__.validate_json(value)
        return fact.model_validate(upcast(meta.type, meta.version, fact.version, from_json(value)))
    except (pydantic.ValidationError, KeyError, ValueError) as wrong:
        where = ", ".join(".".join(map(str, e["loc"])) for e in wrong.errors()) if isinstance(wrong, pydantic.ValidationError) else "value"
        raise Damaged(f"{meta.type} {meta.id} cannot be read: {where}") from None


def envelope_at(stored: StoredRecord) -> Envelope:
    """The whole envelope of a record at its place, read once however often it is asked for. Raises `Unknown` and `Damaged`."""
    record = stored.record
    if isinstance(record.said, Envelope):
        return record.said
    meta = meta_at(stored)
    envelope = Envelope(meta, data_of(meta, record.value))
    note(record, envelope)
    return envelope


def decode(record: Record) -> Envelope:
    """The whole envelope of a record. Raises `Unknown` and `Damaged`."""
    meta = meta_of(record)
    return Envelope(meta, data_of(meta, record.value))
