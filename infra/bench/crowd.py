"""Many runs at once of a flow that does a bit of everything. `python -m infra.bench.crowd --runs 500`.

Each run takes a branch, asks a model twice and goes twenty rounds through an iteration, on a Kafka of its own. Out come how
many finished, how long they took, events a second, and how much memory the service held in each tenth of the time.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from cyclopts import App
from rich.console import Console

from infra.bench.flows import Part, linear, node, refer
from infra.bench.load import caller, percentile
from infra.bench.service import CHAT, KEY, Service, free_port, many_files, process, service
from infra.kafka.broker import running

ROUNDS = 20
_EVERY_S = 1.0
app = App(help="Many runs at once of a flow with branches, rounds and two model calls, on Kafka.")


def document(url: str) -> Part:
    """Start, a branch, one of two models, twenty rounds, a second model, end."""
    param = {"model": "tokens?n=5&first_ms=20&gap_ms=5", "domain": "m", "appId": "a", "apiKey": "k", "apiSecret": "", "source": "openai"}
    words = {"id": "o", "name": "output", "schema": {"type": "string"}}
    items = {
        "id": "i",
        "name": "items",
        "schema": {"type": "array", "items": {"type": "string"}, "default": [str(n) for n in range(ROUNDS)]},
    }

    def model(id_: str, source: str, output: str) -> Part:
        return node(f"spark-llm::{id_}", [refer("q", source, output)], [words], {**param, "url": url, "template": "{{q}}"})

    def listed(name: str, node: str, output: str) -> Part:
        given = refer(name, node, output)
        return {**given, "schema": {**given["schema"], "type": "array"}}

    question = {"id": "q", "name": "AGENT_USER_INPUT", "required": True, "schema": {"type": "string"}}
    empty = {"id": "none", "name": "none", "schema": {"type": "string", "value": {"type": "literal", "content": ""}}}
    cases = [
        {
            "id": "branch_one_of::yes",
            "level": 1,
            "logicalOperator": "and",
            "conditions": [{"leftVarIndex": "q", "rightVarIndex": "none", "compareOperator": "not_empty"}],
        },
        {"id": "branch_one_of::no", "level": 999, "logicalOperator": "and", "conditions": []},
    ]
    line = {"id": "l", "name": "line", "schema": {"type": "array", "items": {"type": "string"}, "default": []}}
    start = node("node-start::1", outputs=[question, items])
    branch = node("if-else::1", [refer("q", "node-start::1", "AGENT_USER_INPUT"), empty], [], {"cases": cases})
    rounds = node("iteration::1", [listed("item", "node-start::1", "items")], [line], {"IterationStartNodeId": "iteration-node-start::1"})
    inner = node("iteration-node-start::1", outputs=[{"id": "x", "name": "item", "schema": {"type": "string"}}])
    joined = node("text-joiner::1", [refer("i", "iteration-node-start::1", "item")], [words], {"mode": 0, "prompt": "<{{i}}>"})
    out = node("iteration-node-end::1", [refer("line", "text-joiner::1", "output")], [], {"outputMode": 0, "template": ""})
    end = node("node-end::1", [listed("lines", "iteration::1", "line"), refer("said", "spark-llm::3", "output")], param={"outputMode": 0})
    parts = [start, branch, model("1", "node-start::1", "AGENT_USER_INPUT"), model("2", "node-start::1", "AGENT_USER_INPUT")]
    parts += [rounds, inner, joined, out, model("3", "node-start::1", "AGENT_USER_INPUT"), end]
    made = linear(parts)
    ways = [
        ("node-start::1", "if-else::1", ""),
        ("if-else::1", "spark-llm::1", "intent_chain|branch_one_of::yes"),
        ("if-else::1", "spark-llm::2", "intent_chain|branch_one_of::no"),
        ("spark-llm::1", "iteration::1", ""),
        ("spark-llm::2", "iteration::1", ""),
        ("iteration-node-start::1", "text-joiner::1", ""),
        ("text-joiner::1", "iteration-node-end::1", ""),
        ("iteration::1", "spark-llm::3", ""),
        ("spark-llm::3", "node-end::1", ""),
    ]
    made["data"]["edges"] = [{"sourceNodeId": a, "targetNodeId": b, "sourceHandle": handle} for a, b, handle in ways]
    return made


@app.default
def main(runs: int = 500) -> None:
    """Start everything, run, and print the figures."""
    asyncio.run(_main(runs))


async def _main(runs: int) -> None:
    many_files()
    with contextlib.ExitStack() as stack:
        kafka = stack.enter_context(running())
        port = free_port()
        stack.enter_context(process("infra.bench.model", str(port)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prozess-crowd-", ignore_cleanup_errors=True)))
        async with service(folder, kafka.address) as served:
            flow = await served.deploy(document(f"http://127.0.0.1:{port}/v1"))
            await _measured(served, flow, runs)


async def _measured(served: Service, flow: str, runs: int) -> None:
    memory: list[float] = []

    async def watch() -> None:
        while True:
            memory.append(served.running.memory / 1e6)
            await asyncio.sleep(_EVERY_S)

    async def one(number: int) -> tuple[float, str]:
        body: dict[str, Any] = {"flow_id": flow, "uid": f"u{number}", "stream": True, "parameters": {"AGENT_USER_INPUT": f"q{number}"}}
        async with caller(served.port, KEY) as connected:
            told = await connected.post(CHAT, body)
        return told.whole, told.run

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    try:
        done = await asyncio.gather(*(one(number) for number in range(runs)), return_exceptions=True)
    finally:
        watching.cancel()
    seconds = time.perf_counter() - began
    fine = [each for each in done if isinstance(each, tuple)]
    positions = [(await served.http.get(f"/v1/runs/{run}/text")).json()["position"] for _, run in fine[:20]]
    took = sorted(each[0] for each in fine)
    console = Console()
    console.print(f"{len(fine)} of {runs} runs finished in {seconds:.1f} s; {[str(e) for e in done if not isinstance(e, tuple)][:3]}")
    if fine:
        events = statistics.mean(positions)
        console.print(f"a run took {percentile(took, 0.5) / 1000:.1f} s p50, {percentile(took, 0.99) / 1000:.1f} s p99, all at once")
        console.print(f"{events:.0f} events a run, {events * len(fine) / seconds:.0f} durable events/s")
    tenths = [memory[len(memory) * part // 10] for part in range(10)] if len(memory) >= 10 else memory
    console.print(f"memory of the service, MB: {', '.join(f'{one:.0f}' for one in tenths)}, at last {memory[-1]:.0f}")


if __name__ == "__main__":
    app()
