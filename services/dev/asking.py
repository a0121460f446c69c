"""Send one command, wait for its answer on the record, then for the rows.

In comes a command; out goes the first accepted event that names it. A refusal is `Refused` with the stream's own
words; no answer within the bound is `NotReady`.
"""

import asyncio

from events.acceptance import Acceptance, Accepted, Checkpoint
from events.envelope import Command, Envelope, Meta, encode
from events.refusal import CommandRefused
from events.topics import COMMANDS, EVENTS, partition_of, slot_of
from projections import checkpoints
from services.kit.blobs import pack, unpack
from services.kit.errors import NotReady, Refused
from services.kit.rows import Rows
from services.kit.world import World

_SOURCE = "prozess/dev"


async def ask(world: World, stream: str, command: Command, app: str, id_: str, patience_s: float = 30.0) -> Accepted:
    """The answer to this command, once the rows have it."""
    partition = partition_of(slot_of(stream), world.log.partitions(COMMANDS))
    meta = Meta(id_, command.type, command.version, stream, world.clock.now(), _SOURCE, app=app, actor=app)
    try:
        async with asyncio.timeout(patience_s):
            fold = await _caught_up(world, partition)
            await world.log.append(COMMANDS, partition, [await pack(encode(Envelope(meta, command)), world.blobs)])
            answer = await _answer(world, fold, partition, id_)
            await Rows(world.database).wait(partition, answer.offset, patience_s)
    except TimeoutError:
        raise NotReady(f"{command.type} was not answered within {patience_s:g} seconds") from None
    if isinstance(said := answer.envelope.data, CommandRefused):
        raise Refused(f"{command.type} was refused: {said.message}")
    return answer


async def _caught_up(world: World, partition: int) -> Acceptance:
    async with world.database.connect() as connection:
        start = await checkpoints.load(connection, partition)
    return Acceptance(Checkpoint(EVENTS, partition) if start is None else start)


async def _answer(world: World, fold: Acceptance, partition: int, id_: str) -> Accepted:
    tail = world.log.tail(EVENTS, partition, fold.offset)
    try:
        while True:
            for stored in await tail.next():
                accepted = fold.step(await unpack(stored, world.blobs))
                if accepted is not None and accepted.meta.command == id_:
                    return accepted
    finally:
        await tail.close()
