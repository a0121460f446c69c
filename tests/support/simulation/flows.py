"""What the runs of the simulation do: three kinds of model and none at all, and how each ends when nothing goes wrong."""

from collections.abc import Iterator

from events import topics
from events.commands import CancelRun, StartRun
from events.envelope import Command, Envelope, Meta, Record, encode
from events.node import Problem
from services.core.codes import Code
from services.core.language.graph import Graph, compile_
from services.core.running.effects import Broke, Done, ModelRequest, Outcome, Piece, Request
from tests.support.documents import model_flow, plain_flow
from tests.support.samples import minimal, values
from tests.support.worlds import NOON

APP = "demo"
WORDS = ("one ", "two")
TEXT = "[one two]"
ASKED = "why?"
BEHAVIOURS = ("continues", "never", "plain", "silent")
"""A model that goes on from recorded text, one that cannot, no model, and one that never answers."""
CALM = {"continues": "run.completed", "never": "run.completed", "plain": "run.completed", "silent": "run.failed"}
SHOWN = {"continues": TEXT, "never": TEXT, "plain": ASKED, "silent": "["}
RUNS = {topics.mint(NOON, 7, number): behaviour for number, behaviour in enumerate((*BEHAVIOURS, "continues", "continues"))}
_GRAPHS = {True: compile_(plain_flow()), False: compile_(model_flow())}


def graph_of(run: str) -> Graph:
    return _GRAPHS[RUNS.get(run) == "plain"]


def outcomes(run: str, request: Request) -> Iterator[Outcome]:
    """What the effect of this run tells, one by one."""
    assert isinstance(request, ModelRequest)
    behaviour, recorded = RUNS[run], request.recorded
    if behaviour == "silent":
        return
    if behaviour == "never" and recorded:
        yield Broke(Problem(code=Code.NODE_RUN_ERROR, message="the answer was interrupted, and this model cannot continue"))
        return
    said = ""
    for word in WORDS:
        said += word
        if len(said) > len(recorded):
            yield Piece("content", word)
    yield Done()


_START = minimal(StartRun, app=APP, parameters=values(AGENT_USER_INPUT=ASKED))


def start(run: str, key: str = "") -> StartRun:
    return _START.model_copy(update={"run": run, "idempotency_key": key})


def cancel(run: str) -> CancelRun:
    return CancelRun(run=run, app=APP, by=APP)


def record_of(id_: str, run: str, command: Command) -> Record:
    return encode(Envelope(Meta(id_, command.type, 1, topics.run_stream(run), NOON, "played", APP), command))
