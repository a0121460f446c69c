"""How quickly a log is read again, by a process that does nothing else: the fold of all its events, and the rows anew.

`python -m infra.bench.reading [options of prozess]`, when the service has stopped. Prints JSON: a replay reads every
partition from its first record, judges, decodes and folds each event as a new owner does; a rebuild is `prozess rebuild --all`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from events.acceptance import Acceptance, Checkpoint
from events.topics import EVENTS
from services.cli.reading import open_log
from services.kit.blobs import FolderBlobs, unpack
from services.kit.database import Database
from services.kit.program.runtime import run
from services.kit.settings import Settings
from services.processor.memory.state import PartitionState
from services.projector.rebuild import chosen, rebuild


async def _replay(settings: Settings) -> dict[str, Any]:
    blobs = FolderBlobs(settings.data / "blobs")
    count, cpu = 0, time.process_time()
    async with open_log(settings) as log:
        for partition in range(log.partitions(EVENTS)):
            fold, state = Acceptance(Checkpoint(await log.identity(EVENTS), partition)), PartitionState()
            _, end = await log.bounds(EVENTS, partition)
            while fold.offset < end:
                for stored in await log.read(EVENTS, partition, fold.offset):
                    accepted = fold.step(await unpack(stored, blobs))
                    if accepted is not None:
                        state.apply(accepted.meta, accepted.envelope.data)
                        count += 1
    return {"events": count, "replay events/s": round(count / (time.process_time() - cpu))}


async def _rebuild(settings: Settings) -> dict[str, Any]:
    database = Database(settings)
    try:
        async with open_log(settings) as log:
            done = await rebuild(log, FolderBlobs(settings.data / "blobs"), database, chosen(()), lambda _done, _all: None)
    finally:
        await database.dispose()
    return {"rebuild events/s": round(done.records / done.seconds)}


async def _main(data: Path, kafka: str) -> None:
    settings = Settings.model_validate({"data": data, "kafka": kafka, "durability": "single"})
    print(json.dumps({**await _replay(settings), **await _rebuild(settings)}))


if __name__ == "__main__":
    run(_main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
