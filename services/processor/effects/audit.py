"""Having words judged: the effect of the content audit.

In comes an `AuditRequest`; out comes one `Judgement`, or `Broke` where there is no verdict: then nothing of it is shown. Each
verdict is counted, each failure logged; the words themselves go to the provider and nowhere else.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

from events.node import Problem
from services.core.codes import Code
from services.core.running.effects import AuditRequest, Broke, Judgement, Outcome
from services.kit.audit.port import Judge, Nobody, NoOpinion, Passage
from services.kit.telling.logs import logger
from services.kit.telling.metrics import Metrics


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def judge(self) -> Judge | None: ...
    @property
    def metrics(self) -> Metrics: ...


async def perform(request: AuditRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Ask the provider."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    log = logger(__name__).bind(run=request.run, app=request.app, of=request.of, piece=request.piece)
    judge = world.judge or Nobody()
    try:
        opinion = await judge.judge(_passage(request))
    except NoOpinion as none:
        world.metrics.audits.labels(request.of, "failed").inc()
        log.warning("audit_failed", provider=judge.name, error=none.kind, reason=none.message)
        yield Broke(Problem(code=Code.AUDIT_SERVER_ERROR, message=none.message), temporary=none.temporary)
        return
    seconds = loop.time() - began
    world.metrics.audits.labels(request.of, "pass" if opinion.passed else "refuse").inc()
    world.metrics.audit_seconds.observe(seconds)
    if not opinion.passed and not request.pending:
        log.warning("audit_refused", provider=judge.name, action=opinion.action, categories=opinion.categories)
    yield Judgement(
        provider=judge.name,
        passed=opinion.passed,
        action=opinion.action,
        categories=opinion.categories,
        reference=opinion.reference,
        tries=opinion.tries,
        duration_ms=round(seconds * 1000),
    )


def _passage(request: AuditRequest) -> Passage:
    return Passage(
        app=request.app,
        run=request.run,
        of=request.of,
        stage=request.stage,
        text=request.text,
        history=request.history,
        piece=request.piece,
        pending=request.pending,
        ends_stage=request.ends_stage,
        ends=request.ends,
    )
