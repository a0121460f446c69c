"""What an effect tells of itself while it is under way, as events: calls of models and tools, what was looked up.

Words from outside are made such that an event can carry them.
"""

from pydantic import JsonValue

from events.node import ContextRetrieved, ModelCalled, ModelResponded, PassageAt, ToolCalled, ToolReturned
from events.node import Problem as Said
from services.core.language.values import encodable
from services.core.running.effects import Called, Responded, Retrieved, ToolAnswered, ToolSent
from services.core.running.node_run import Place

Told = Called | Responded | Retrieved | ToolSent | ToolAnswered
Evidence = ModelCalled | ModelResponded | ContextRetrieved | ToolCalled | ToolReturned


def evidence(place: Place, attempt: int, outcome: Told) -> Evidence:
    """The event that says it."""
    match outcome:
        case Called():
            return ModelCalled(
                node=place[0],
                path=place[1],
                attempt=attempt,
                attributes=_tidied(outcome.attributes),
                request_digest=outcome.request_digest,
                continues=outcome.continues,
            )
        case Responded():
            return ModelResponded(
                node=place[0],
                path=place[1],
                attempt=attempt,
                attributes=_tidied(outcome.attributes),
                response_digest=outcome.response_digest,
                duration_ms=outcome.duration_ms,
                first_token_ms=outcome.first_token_ms,
                problem=tidy(outcome.problem) if outcome.problem else None,
            )
        case Retrieved():
            return _retrieved(place, attempt, outcome)
        case ToolSent() | ToolAnswered():
            return _of_tool(place, attempt, outcome)


def tidy(problem: Said) -> Said:
    """A problem whose words an event can carry."""
    return Said(code=problem.code, message=encodable(problem.message))


def _tidied(attributes: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: encodable(value) if isinstance(value, str) else value for name, value in attributes.items()}


def _retrieved(place: Place, attempt: int, found: Retrieved) -> ContextRetrieved:
    return ContextRetrieved(
        node=place[0],
        path=place[1],
        attempt=attempt,
        source=encodable(found.source),
        revision=found.revision,
        files=found.files,
        skipped=found.skipped,
        passages=tuple(PassageAt(path=encodable(path), first=first, last=last) for path, first, last in found.passages),
        digest=found.digest,
        duration_ms=found.duration_ms,
    )


def _of_tool(place: Place, attempt: int, outcome: ToolSent | ToolAnswered) -> ToolCalled | ToolReturned:
    where = {"node": place[0], "path": place[1], "attempt": attempt, "call": outcome.call, "attributes": _tidied(outcome.attributes)}
    if isinstance(outcome, ToolSent):
        named = {"kind": outcome.kind, "tool": encodable(outcome.tool), "request_digest": outcome.request_digest}
        return ToolCalled.model_validate({**where, **named})
    problem = tidy(outcome.problem) if outcome.problem else None
    back = {"response_digest": outcome.response_digest, "duration_ms": outcome.duration_ms, "problem": problem}
    return ToolReturned.model_validate({**where, **back})
