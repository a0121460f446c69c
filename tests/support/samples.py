"""One full and one minimal sample of every event and every command, as today's classes; builders for tests.

In comes a class; out go values of it. `python -m tests.support.samples` writes samples that have no file yet to
`tests/events/samples/`, where they stay for good: a file that exists is never written again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from events import app, audit, bot, commands, delta, file, flow, node, ownership, provider, question, refusal, run, tool
from events.catalogue import BY_TYPE
from events.envelope import Envelope, Fact, Meta, Protected, Values, Words, encode

FOLDER = Path(__file__).parents[1] / "events" / "samples"
RUN = "7300000000000000001"
FLOW = "7300000000000001024"
APP = "demo"
TIME = 1_750_000_000_000
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def words(text: str = "Why is the sky blue? 天空", subject: str = "person-1") -> Words:
    return Words(subject=subject, words=text)


def values(subject: str = "person-1", **named: Any) -> Values:
    return Values(subject=subject, words=named)


DOCUMENT = {"nodes": [{"id": "node-start::1", "data": {"nodeParam": {}}}], "edges": []}
USAGE = run.Usage(input_tokens=11, output_tokens=7, total_tokens=18)
PROBLEM = node.Problem(code=20380, message="the model's address answered 500")
SEAL = node.TextSeal(length=4, digest=DIGEST)
TURN = run.Turn(role="user", content="earlier", content_type="text")

_TERMS: dict[str, Any] = {
    "run": RUN,
    "app": APP,
    "subject": "person-1",
    "uid": Protected[str](subject="person-1", words="uid-1"),
    "flow": FLOW,
    "definition": DIGEST,
    "mode": "open",
    "surface": "astron",
    "stream": True,
    "parameters": values(AGENT_USER_INPUT="Why is the sky blue?"),
    "history": Protected[tuple[run.Turn, ...]](subject="person-1", words=()),
    "ext": Protected[dict[str, Any]](subject="person-1", words={}),
}
_TERMS_FULL: dict[str, Any] = {
    "document": {"data": {"nodes": [], "edges": []}},
    "keys_of": "author",
    "flow_version": "v1.0",
    "mode": "debug",
    "stream": False,
    "chat": "chat-1",
    "history": Protected[tuple[run.Turn, ...]](subject="person-1", words=(TURN, run.Turn(role="assistant", content="因为"))),
    "ext": Protected[dict[str, Any]](subject="person-1", words={"bot_id": "b", "caller": {"n": 1.5, "deep": [None, True]}}),
    "idempotency_key": "key-1",
    "parent": run.ParentRun(run=RUN, node="flow::1", path=(2, 0), attempt=3, depth=1, as_tool=True),
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "audit": "parent",
}
_KEY = app.Key(key="demo-key", secret_hash="00ff$ff00", secret_ref="secret:" + "0f" * 16, scopes=("run", "read"))
_APP: dict[str, Any] = {
    "app": APP, "name": "Demo", "is_tenant": False, "source": 1, "platform_rights": 0, "audit_policy": 0, "keys": (),
}  # fmt: skip
_APP_FULL: dict[str, Any] = {
    "is_tenant": True,
    "platform_rights": 7,
    "audit_policy": 1,
    "keys": (_KEY,),
    "origin": "tenant service",
}
_FILE: dict[str, Any] = {"file": RUN, "key": f"{APP}/f.pdf", "app": APP, "name": words("tea.pdf"), "size": 3, "digest": DIGEST}
_BOT: dict[str, Any] = {"bot": "bot-1", "app": APP, "configuration": {}, "digest": DIGEST}
_BOT_FULL: dict[str, Any] = {"configuration": {"bot_id": "bot-1", "model_config": {"plan": {"sk": "secret:" + "0f" * 16}}}}
_PROVIDER: dict[str, Any] = {"provider": "acme", "app": APP, "protocol": "openai", "url": "https://models.example.org/v1"}
_PROVIDER_FULL: dict[str, Any] = {"name": "Acme", "key": "secret:" + "0f" * 16, "models": ("acme-1", "acme-2")}
_TOOL: dict[str, Any] = {
    "tool": "weather", "app": APP, "kind": "openapi", "name": "Weather", "tool_version": "V1.0", "definition": DIGEST, "content": {},
}  # fmt: skip
_TOOL_FULL: dict[str, Any] = {"description": "Tells it.", "content": {"document": {}, "auth": {"key": "secret:" + "0f" * 16}}}
_NODE: dict[str, Any] = {"node": "spark-llm::1"}
_NODE_FULL: dict[str, Any] = {"path": (2, 0), "attempt": 3}
_WITH_DOCUMENT: dict[str, Any] = {"definition": DIGEST, "document": DOCUMENT}
_ENDED: dict[str, Any] = {"code": 20303, "message": "the run was longer active than 1800 s"}
_FLOW: dict[str, Any] = {"flow": FLOW, "app": APP, "name": "Demo", "description": "", "status": 0, "source": 0}
_MODEL: dict[str, Any] = {"attributes": {"gen_ai.request.model": "offline-demo"}}

_MINIMAL_AND_MORE: dict[type[Fact], tuple[dict[str, Any], dict[str, Any]]] = {
    ownership.PartitionClaimed: ({"id": "claim-1", "after": "", "owner": "processor-1", "commands": "topic-1"}, {"after": "claim-0"}),
    run.RunStarted: (
        _TERMS,
        {**_TERMS_FULL, "remembered": Protected[tuple[run.Turn, ...]](subject="person-1", words=(TURN,))},
    ),
    run.RunCompleted: ({"outputs": values(), "usage": run.Usage()}, {"outputs": values(output="blue", n=[1, {"a": None}]), "usage": USAGE}),
    run.RunFailed: (_ENDED, {"node": "spark-llm::1", "usage": USAGE}),
    run.RunStepsExceeded: ({**_ENDED, "limit": 20_000}, {"node": "loop::1", "usage": USAGE}),
    run.RunTimedOut: ({**_ENDED, "limit_ms": 1_800_000}, {"usage": USAGE}),
    run.RunCancelled: ({**_ENDED, "by": APP}, {"usage": USAGE}),
    node.NodeStarted: (
        {**_NODE, "kind": "spark-llm", "alias": "Model", "progress": 0.25},
        {
            **_NODE_FULL,
            "reason": "taken_over",
            "recorded": 12,
            "inputs": values(query="why"),
            "awaits": "rounds",
            "step": 1,
            "body": ("iteration-node-start::1", "message::2"),
            "history": Protected[tuple[run.Turn, ...]](subject="person-1", words=(TURN, run.Turn(role="assistant", content="因为"))),
        },
    ),
    node.ChildStarted: (
        {**_NODE, "child": RUN, "flow": FLOW, "flow_version": "", "definition": DIGEST},
        {**_NODE_FULL, "flow_version": "v1.0"},
    ),
    node.NodeStepCompleted: (
        {**_NODE, "step": 1, "result": values()},
        {**_NODE_FULL, "result": values(content="blue", calls=[]), "usage": USAGE, "awaits": "person"},
    ),
    node.RoundOpened: (
        {"node": "iteration::1", "round": 0, "values": values()},
        {**_NODE_FULL, "node": "iteration::1", "round": 3, "values": values(item="a"), "of": 4},
    ),
    node.RoundCompleted: (
        {"node": "loop::1", "round": 0, "outputs": values()},
        {**_NODE_FULL, "node": "loop::1", "outputs": values(line="a"), "exit": True, "problem": PROBLEM},
    ),
    node.NodeCompleted: (
        {**_NODE, "progress": 1.0, "outputs": values()},
        {
            **_NODE_FULL,
            "outputs": values(output="blue"),
            "inputs": values(query="why"),
            "raw_output": words("blue"),
            "usage": USAGE,
            "content": SEAL,
            "reasoning": SEAL,
            "handle": "branch_one_of::1",
            "problem": PROBLEM,
            "took_failure_edge": True,
        },
    ),
    node.NodeFailed: (
        {**_NODE, "problem": PROBLEM, "then": "end", "progress": 0.5},
        {
            **_NODE_FULL,
            "then": "retry",
            "kind": "node-start",
            "alias": "Start",
            "inputs": values(query="why"),
            "again_at": TIME,
            "usage": USAGE,
        },
    ),
    node.NodeTimedOut: ({**_NODE, "limit_ms": 60_000}, _NODE_FULL),
    node.NodeSkipped: ({**_NODE, "by": "if-else::1"}, _NODE_FULL),
    node.ModelCalled: (
        {**_NODE, "attributes": {}, "request_digest": DIGEST, "continues": "never"},
        {**_NODE_FULL, **_MODEL, "continues": "prefill"},
    ),
    node.ModelResponded: (
        {**_NODE, "attributes": {}, "response_digest": DIGEST, "duration_ms": 900},
        {**_NODE_FULL, **_MODEL, "first_token_ms": 120, "problem": PROBLEM},
    ),
    node.ContextRetrieved: (
        {
            **_NODE,
            "source": "https://example.org/a/b",
            "revision": DIGEST,
            "files": 0,
            "skipped": 0,
            "passages": (),
            "digest": DIGEST,
            "duration_ms": 7,
        },
        {**_NODE_FULL, "files": 3, "skipped": 1, "passages": (node.PassageAt(path="src/brew.py", first=1, last=9),)},
    ),
    node.ToolCalled: (
        {**_NODE, "kind": "http", "tool": "weather", "attributes": {}, "request_digest": DIGEST},
        {**_NODE_FULL, "call": "call-1", "attributes": {"gen_ai.tool.name": "weather"}},
    ),
    node.ToolReturned: (
        {**_NODE, "attributes": {}, "response_digest": DIGEST, "duration_ms": 9},
        {**_NODE_FULL, "call": "call-1", "attributes": {"error.type": "timeout"}, "problem": PROBLEM},
    ),
    node.VariablesStored: ({**_NODE, "pool": DIGEST, "flow": "77", "values": values()}, {**_NODE_FULL, "values": values(colour="blue")}),
    node.OutputOpened: ({"node": "message::1"}, _NODE_FULL),
    node.OutputReleased: (
        {"node": "message::1", "unit": 0, "stage": "content", "text": words("b")},
        {
            **_NODE_FULL,
            "unit": 2,
            "text": None,
            "stage": "reasoning",
            "of": node.DeltaRange(node="spark-llm::1", path=(1,), stage="reasoning", start=3, stop=9),
        },
    ),
    node.OutputHeld: (
        {"node": "message::1", "what": "opened"},
        {
            **_NODE_FULL,
            "what": "text",
            "unit": 2,
            "stage": "reasoning",
            "text": words("b"),
            "of": node.DeltaRange(node="spark-llm::1", path=(1,), stage="reasoning", start=3, stop=9),
        },
    ),
    node.OutputClosed: ({"node": "message::1", "text": words("")}, {**_NODE_FULL, "text": words()}),
    delta.NodeDelta: (
        {**_NODE, "stage": "content", "text": words("b")},
        {**_NODE_FULL, "stage": "reasoning", "shown": "message::1", "unit": 2},
    ),
    question.QuestionAsked: (
        {**_NODE, "node": "question-answer::1", "question": 1, "kind": "direct", "text": words(), "need_reply": False, "deadline": TIME},
        {
            **_NODE_FULL,
            "question": 2,
            "kind": "option",
            "options": Protected[tuple[question.Option, ...]](
                subject="person-1",
                words=(
                    question.Option(name="A", text="Tea", handle="option-one-of::t"),
                    question.Option(name="default", text="", handle="option-one-of::d", content_type="image", is_default=True),
                ),
            ),
            "need_reply": True,
            "follow_up": 1,
            "chat": "chat-1",
        },
    ),
    question.QuestionAnswered: (
        {**_NODE, "node": "question-answer::1", "question": 1, "event_type": "resume", "content": words("tea"), "by": APP},
        {**_NODE_FULL, "event_type": "ignore"},
    ),
    question.QuestionExpired: ({**_NODE, "node": "question-answer::1", "question": 1, "limit_ms": 300_000}, _NODE_FULL),
    question.AnswerHeld: (
        {**_NODE, "node": "question-answer::1", "question": 1, "event_type": "resume", "content": words("tea"), "by": APP},
        {**_NODE_FULL, "event_type": "ignore"},
    ),
    question.AnswerRefused: (
        {**_NODE, "node": "question-answer::1", "question": 1, "code": 21102, "message": "the content audit refused the answer"},
        _NODE_FULL,
    ),
    audit.AuditAsked: (
        {"number": 1, "of": "input", "length": 5, "digest": DIGEST},
        {"attempt": 2, "of": "output", "stage": "reasoning", "covers": 3, "piece": 4, "pending": True, "ends_stage": True, "ends": True},
    ),
    audit.AuditJudged: (
        {"number": 1, "of": "input", "provider": "words", "verdict": "pass", "digest": DIGEST},
        {
            "attempt": 2,
            "of": "output",
            "verdict": "refuse",
            "action": "discontinue",
            "categories": ("politics",),
            "reference": "aud-1",
            "tries": 2,
            "duration_ms": 12,
        },
    ),
    audit.AuditFailed: ({"number": 1, "of": "input", "problem": PROBLEM}, {"attempt": 2}),
    flow.FlowDrafted: (_FLOW, _WITH_DOCUMENT),
    flow.FlowRevised: ({}, {**_WITH_DOCUMENT, "name": "New", "description": "d", "status": 1, "app": APP, "released": True}),
    flow.FlowPublished: (
        {"operation": 1, "platform": 1, "flow_version": "", "release_status": 1, "definition": None},
        {"flow_version": "v1.0", **_WITH_DOCUMENT},
    ),
    flow.FlowTakenOff: ({"platform": 1, "release_status": 0}, {"release_status": 6}),
    flow.FlowBound: ({"app": APP}, {}),
    flow.FlowUnbound: ({"app": APP}, {}),
    flow.FlowCompared: ({"flow_version": "v1.1", "definition": _WITH_DOCUMENT["definition"]}, _WITH_DOCUMENT),
    flow.FlowComparisonEnded: ({"flow_version": "v1.1"}, {}),
    flow.FlowDeleted: ({"by": APP}, {}),
    app.AppRegistered: (_APP, _APP_FULL),
    app.AppDisabled: ({}, {}),
    app.AppEnabled: ({}, {}),
    app.KeyCreated: ({"key": app.Key(key="demo-key", secret_hash="00ff$ff00")}, {"key": _KEY}),
    app.KeyRotated: ({"key": "demo-key", "secret_hash": "00ff$ff00"}, {"secret_ref": "secret:" + "0f" * 16}),
    app.KeyDisabled: ({"key": "demo-key"}, {}),
    app.AuditPolicyChanged: ({"audit_policy": 1}, {}),
    commands.SetAuditPolicy: ({"app": APP, "audit_policy": 1}, {}),
    commands.SwitchApp: ({"app": APP, "enabled": False}, {"enabled": True}),
    commands.CreateKey: ({"app": APP, "key": app.Key(key="demo-key", secret_hash="00ff$ff00")}, {"key": _KEY}),
    commands.RotateKey: ({"app": APP, "key": "demo-key", "secret_hash": "00ff$ff00"}, {"secret_ref": "secret:" + "0f" * 16}),
    commands.DisableKey: ({"app": APP, "key": "demo-key"}, {}),
    app.SignatureUsed: ({"signature": "0f" * 32, "until": 1_790_000_600_000}, {}),
    commands.UseSignature: ({"app": APP, "signature": "0f" * 32, "until": 1_790_000_600_000}, {}),
    file.FileStored: (_FILE, {}),
    commands.StoreFile: (_FILE, {}),
    bot.BotConfigured: (_BOT, _BOT_FULL),
    bot.BotRemoved: ({"by": APP}, {}),
    provider.ProviderConfigured: (_PROVIDER, _PROVIDER_FULL),
    provider.ProviderRemoved: ({"by": APP}, {}),
    tool.ToolStored: (_TOOL, _TOOL_FULL),
    tool.ToolRemoved: ({"by": APP}, {}),
    refusal.CommandRefused: ({"wished": "run.start", "target": f"run-{RUN}", "code": 20201, "message": "flow: there is none"}, {}),
    refusal.CommandRepeated: ({"wished": "run.start", "target": f"run-{RUN}", "first": "command-0"}, {}),
    commands.StartRun: (_TERMS, _TERMS_FULL),
    commands.CancelRun: ({"run": RUN, "app": APP, "by": APP}, {}),
    commands.AnswerQuestion: (
        {"run": RUN, "app": APP, "by": APP, "question": 1, "event_type": "resume", "content": words("tea")},
        {"event_type": "abort"},
    ),
    commands.DraftFlow: (_FLOW, _WITH_DOCUMENT),
    commands.ReviseFlow: ({"flow": FLOW}, {**_WITH_DOCUMENT, "name": "New", "description": "d", "status": 1, "app": APP}),
    commands.PublishFlow: ({"flow": FLOW, "operation": 1, "platform": 1}, {"flow_version": "v1.0", **_WITH_DOCUMENT}),
    commands.BindFlow: ({"flow": FLOW, "app": APP}, {}),
    commands.UnbindFlow: ({"flow": FLOW, "app": APP}, {}),
    commands.CompareFlow: ({"flow": FLOW, "flow_version": "v1.1"}, _WITH_DOCUMENT),
    commands.DeleteFlow: ({"flow": FLOW, "app": APP}, {}),
    commands.RegisterApp: (_APP, _APP_FULL),
    commands.CreateBot: (_BOT, _BOT_FULL),
    commands.ReviseBot: (_BOT, _BOT_FULL),
    commands.CreateProvider: (_PROVIDER, _PROVIDER_FULL),
    commands.ReviseProvider: (_PROVIDER, _PROVIDER_FULL),
    commands.RemoveProvider: ({"provider": "acme", "app": APP, "by": APP}, {}),
    commands.StoreTool: (_TOOL, _TOOL_FULL),
    commands.RemoveTool: ({"tool": "weather", "app": APP}, {}),
    commands.RemoveBot: ({"bot": "bot-1", "app": APP}, {}),
}

MINIMAL: Mapping[type[Fact], Fact] = {fact: fact(**least) for fact, (least, _) in _MINIMAL_AND_MORE.items()}
FULL: Mapping[type[Fact], Fact] = {fact: fact(**{**least, **more}) for fact, (least, more) in _MINIMAL_AND_MORE.items()}


def minimal(fact: type[Fact], **changed: Any) -> Any:
    """The sample with nothing optional in it, some fields changed."""
    return fact(**{**_MINIMAL_AND_MORE[fact][0], **changed})


def full(fact: type[Fact], **changed: Any) -> Any:
    """The sample with every field set, some of them changed."""
    least, more = _MINIMAL_AND_MORE[fact]
    return fact(**{**least, **more, **changed})


def envelope(data: Fact, stream: str = f"run-{RUN}", **meta: Any) -> Envelope:
    """The event in an envelope; give what matters to the test: id, time, claim, cause, command, app, actor."""
    known = {"id": f"{data.type}-1", "time": TIME, "source": "prozess/test", "app": APP, **meta}
    return Envelope(Meta(type=data.type, version=data.version, stream=stream, **known), data)


def meta(**known: Any) -> Meta:
    """Metadata alone."""
    return Meta(**{"id": "event-1", "version": 1, "stream": f"run-{RUN}", "time": TIME, "source": "prozess/test", **known})


def path_of(fact: type[Fact], version: int | None = None) -> Path:
    """Where the samples of a class's version are kept."""
    return FOLDER / f"{fact.type}.v{version or fact.version}.json"


def main() -> None:
    """Write what has no file yet."""
    FOLDER.mkdir(exist_ok=True)
    for fact in BY_TYPE.values():
        if not path_of(fact).exists():
            both = {name: json.loads(encode(envelope(of[fact])).value) for name, of in (("minimal", MINIMAL), ("full", FULL))}
            path_of(fact).write_text(json.dumps(both, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
