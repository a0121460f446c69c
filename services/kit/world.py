"""All ports together, handed to each program's `run(world, stop)`; tests hand in another world."""

from dataclasses import dataclass, field

from services.kit.blobs import Blobs
from services.kit.clock import Clock
from services.kit.database import Database
from services.kit.files import Files
from services.kit.ids import Minter
from services.kit.log import Log
from services.kit.secrets.port import Secrets
from services.kit.settings import Settings
from services.kit.telling.metrics import Metrics
from services.kit.telling.obstacles import Obstacles
from services.kit.telling.traces import OFF, Traces


@dataclass(frozen=True)
class World:
    """One program's outside."""

    settings: Settings
    log: Log
    blobs: Blobs
    files: Files
    database: Database
    secrets: Secrets
    clock: Clock
    minter: Minter
    metrics: Metrics
    traces: Traces = field(default=OFF)
    obstacles: Obstacles = field(default_factory=Obstacles)
