"""Content audit (astron.md 6.6): nobody sees words of a run before they were judged, one judgement at a time.

In come a turn in which something was said, or a verdict; out go questions to the provider (`audit.asked`), verdicts, and the
words that passed. Input and answers are judged whole, output by sentences: until the first sentence is complete all of it so
far is judged again with each piece, so that people see the beginning early. What is refused ends the run, an answer only itself.
"""

import hashlib
from collections.abc import Mapping

from events.audit import AuditAsked, AuditFailed, AuditJudged, Judged
from events.envelope import Stage
from events.node import OutputClosed, OutputHeld, OutputOpened, OutputReleased
from events.node import Problem as Said
from events.question import AnswerHeld, AnswerRefused
from events.run import RunFailed
from services.core.codes import Code
from services.core.running import passages
from services.core.running.effects import Broke, Judgement, Outcome
from services.core.running.held import Asked, Audit, HeldAnswer, Mark
from services.core.running.sentences import cut
from services.core.running.turn import Limits, Turn

END = "node-end"
_OURS = frozenset({Code.AUDIT_ERROR, Code.AUDIT_SERVER_ERROR})
_NO: Mapping[Judged, tuple[Code, str]] = {
    "input": (Code.AUDIT_INPUT_ERROR, "the content audit refused the input"),
    "answer": (Code.AUDIT_INPUT_ERROR, "the content audit refused the answer"),
    "output": (Code.AUDIT_OUTPUT_ERROR, "the content audit refused the output"),
    "question": (Code.AUDIT_QA_ERROR, "the content audit refused the question that the run would ask"),
}


def digest(text: str) -> str:
    """SHA-256 of the words."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def say(turn: Turn, event: OutputOpened | OutputReleased | OutputClosed) -> None:
    """What an output node does: at once, or held where it has to be judged."""
    if turn.run.audit is None:
        turn.emit(event)
        return
    floor = turn.run.floor
    unit = event.unit if isinstance(event, OutputReleased) else floor.unit if floor else 0
    named = {"node": event.node, "path": event.path, "attempt": event.attempt, "unit": unit}
    match event:
        case OutputOpened():
            turn.emit(OutputHeld.model_validate({**named, "what": "opened", "unit": 0}))
        case OutputReleased():
            turn.emit(OutputHeld.model_validate({**named, "what": "text", "stage": event.stage, "text": event.text, "of": event.of}))
        case OutputClosed():
            turn.emit(OutputHeld.model_validate({**named, "what": "closed", "text": event.text}))


def begin(turn: Turn) -> None:
    """Have the input judged."""
    ask(turn, "input", passages.said_of(turn.run.terms.parameters.words or {}))


def listen(turn: Turn) -> None:
    """Show what has passed, and have the next words judged, if nothing is being judged."""
    if turn.over or turn.run.audit is None:
        return
    _show(turn)
    audit = turn.run.audit
    if audit.asked is not None or audit.passed or turn.full or not audit.entered:
        return
    if audit.answer is not None:
        ask(turn, "answer", audit.answer.content)
        return
    _next(turn, audit, stop=False)


def clears(turn: Turn, question: str) -> bool:
    """Whether a question may be put now: all that was said before it is shown, and it has passed itself."""
    audit = turn.run.audit
    if audit is None:
        return True
    if audit.asked is not None or audit.passed:
        return False
    if audit.marks:
        _next(turn, audit, stop=True)
        return False
    if audit.cleared != digest(question):
        ask(turn, "question", question)
        return False
    return True


def hold_answer(turn: Turn, event_type: str, content: str, by: str) -> bool:
    """Whether an answer has to be judged; then it waits for that."""
    run = turn.run
    if run.audit is None or not content or run.question is None:
        return False
    place, attempt = run.question.place, run.nodes[run.question.place].attempt
    words = {"question": run.question.number, "event_type": event_type, "content": turn.words(content), "by": by}
    turn.emit(AnswerHeld.model_validate({"node": place[0], "path": place[1], "attempt": attempt, **words}))
    listen(turn)
    return True


def ask(turn: Turn, of: Judged, text: str, **more: object) -> None:
    """Ask the provider."""
    audit = turn.run.audit
    assert audit is not None, "only a run that is audited asks"
    words = {"number": audit.number + 1, "of": of, "length": len(text), "digest": digest(text)}
    turn.emit(AuditAsked.model_validate({**words, **more}))


def ask_again(turn: Turn) -> None:
    """A new owner: the verdict that the last one waited for is asked for once more."""
    asked = turn.run.audit.asked if turn.run.audit else None
    if asked is None:
        return
    turn.emit(
        AuditAsked(
            number=asked.number,
            attempt=asked.attempt + 1,
            of=asked.of,
            stage=asked.stage,
            length=asked.length,
            digest=asked.digest,
            covers=asked.covers,
            piece=asked.piece,
            pending=asked.pending,
            ends_stage=asked.ends_stage,
            ends=asked.ends,
        )
    )


def told(turn: Turn, attempt: int, number: int, outcome: Outcome) -> HeldAnswer | Judged | None:
    """Take a verdict: what was judged if it passed, the answer itself where it was one; None where nothing goes on."""
    audit = turn.run.audit
    asked = audit.asked if audit else None
    if audit is None or asked is None or (asked.number, asked.attempt) != (number, attempt):
        return None
    match outcome:
        case Judgement():
            turn.emit(_verdict(asked, outcome))
            if outcome.passed:
                return _passed(turn, asked, audit)
            if asked.of == "output" and asked.pending:
                return "output"
            code, message = _NO[asked.of]
            return _refused(turn, asked, Said(code=code, message=message))
        case Broke():
            return _failed(turn, asked, outcome.problem)
        case _:
            return None


def late(turn: Turn) -> bool:
    """The provider may have taken too long: that is a failure. Whether it was one."""
    asked = turn.run.audit.asked if turn.run.audit else None
    if asked is None or turn.time < due(asked, turn.limits):
        return False
    _failed(turn, asked, Said(code=Code.AUDIT_SERVER_ERROR, message=f"no verdict came for {turn.limits.audit_ms / 1000:g} s"))
    return True


def due(asked: Asked, limits: Limits) -> int:
    """When a verdict is late."""
    return asked.since + limits.audit_ms


def _show(turn: Turn) -> None:
    while not turn.full and (audit := turn.run.audit) is not None and audit.marks:
        mark = audit.marks[0]
        named = {"node": mark.place[0], "path": mark.place[1], "attempt": mark.attempt}
        count = min(audit.passed, len(mark.text))
        if mark.what == "opened":
            turn.emit(OutputOpened.model_validate(named))
        elif mark.what == "closed" and count == len(mark.text):
            turn.emit(OutputClosed.model_validate({**named, "text": turn.words(mark.text)}))
        elif count:
            text = turn.words(mark.text[:count])
            turn.emit(OutputReleased.model_validate({**named, "unit": mark.unit, "stage": mark.stage, "text": text}))
        else:
            return


def _next(turn: Turn, audit: Audit, *, stop: bool) -> None:
    """Have the next words of one stage judged, as far as they go together. `stop`: nothing follows for now."""
    stage, text, ends, closed = _together(audit.marks)
    if not text:
        return
    prefix = audit.prefix_of(stage)
    covers = cut(prefix, text, complete=stop or ends)
    pending = not covers
    if pending and (audit.doubted or stage in audit.settled):
        return
    covers = covers or len(text)
    whole = covers == len(text)
    last = whole and closed is not None and turn.node(closed.place).kind.name == END and not closed.place[1]
    ask(
        turn,
        "output",
        prefix + text[:covers],
        stage=stage,
        covers=covers,
        piece=audit.pieces + 1,
        pending=pending,
        ends_stage=whole and ends,
        ends=last,
    )


def _together(marks: tuple[Mark, ...]) -> tuple[Stage, str, bool, Mark | None]:
    """The stage and text at the front, whether it is complete (the node is done, or another stage follows), and the end of the node."""
    stage: Stage = "content"
    text = ""
    for mark in marks:
        if mark.text:
            if text and mark.stage != stage:
                return stage, text, True, None
            stage, text = mark.stage, text + mark.text
        if mark.what == "closed":
            return stage, text, True, mark
    return stage, text, False, None


def _verdict(asked: Asked, outcome: Judgement) -> AuditJudged:
    return AuditJudged(
        number=asked.number,
        attempt=asked.attempt,
        of=asked.of,
        provider=outcome.provider,
        verdict="pass" if outcome.passed else "refuse",
        action=outcome.action,
        categories=outcome.categories,
        digest=asked.digest,
        reference=outcome.reference,
        tries=outcome.tries,
        duration_ms=outcome.duration_ms,
    )


def _passed(turn: Turn, asked: Asked, audit: Audit) -> HeldAnswer | Judged | None:
    if asked.of != "answer":
        return asked.of
    question, answer = turn.run.question, audit.answer
    return answer if question is not None and answer is not None and answer.question == question.number else None


def _failed(turn: Turn, asked: Asked, problem: Said) -> None:
    code = problem.code if problem.code in _OURS else Code.AUDIT_ERROR
    turn.emit(AuditFailed(number=asked.number, attempt=asked.attempt, of=asked.of, problem=Said(code=code, message=problem.message)))
    _refused(turn, asked, Said(code=code, message=f"the content audit gave no verdict: {problem.message}"))


def _refused(turn: Turn, asked: Asked, problem: Said) -> None:
    run = turn.run
    if asked.of != "answer":
        node = run.line[0][0] if asked.of == "question" and run.line else ""
        turn.emit(RunFailed(code=problem.code, message=problem.message, node=node, usage=run.usage))
        return
    question = run.question
    if question is not None and run.audit is not None and run.audit.answer is not None:
        place = question.place
        named = {"node": place[0], "path": place[1], "attempt": run.nodes[place].attempt, "question": question.number}
        turn.emit(AnswerRefused.model_validate({**named, "code": problem.code, "message": problem.message}))
