"""What programs say while they run: one line per happening, on standard error.

In come structlog calls and the standard library's records (uvicorn, aiokafka, faust, sqlalchemy); out go coloured lines
on a terminal and JSON lines everywhere else. Ids of run, event and stream that were bound with `about` are on every
line below it. Values under names that mean credentials are never written, and people's words are never handed in.
"""

import logging
import sys
from contextlib import AbstractContextManager
from typing import TextIO, cast

import structlog
from structlog.stdlib import BoundLogger
from structlog.types import EventDict, Processor, WrappedLogger

HIDDEN = "hidden"
_CREDENTIALS = ("authorization", "api_key", "apikey", "api_secret", "apisecret", "password", "secret", "token", "master_key", "cookie")
_TOLD_BY_US = ("aiokafka",)
_NOISY = ("faust", "httpx", "httpcore", "sqlalchemy.engine", "uvicorn.access", "alembic", "asyncio")


def configure(program: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up the logging of this process, once, in `__main__`.

    Libraries speak only from warnings on, and those whose troubles our adapters report not at all; at `debug` all do.
    """
    out = sys.stderr if stream is None else stream
    terminal = out.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _named(program),
        hide_credentials,
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if terminal:
        last.append(structlog.dev.ConsoleRenderer(timestamp_key="time", exception_formatter=structlog.dev.plain_traceback))
    else:
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for names, least in ((_NOISY, logging.WARNING), (_TOLD_BY_US, logging.CRITICAL)):
        for name in names:
            logging.getLogger(name).setLevel(root.level if level == "debug" else max(least, root.level))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def logger(name: str) -> BoundLogger:
    """A logger for a module; works before `configure` as well."""
    return structlog.stdlib.get_logger(name)


def about(**ids: str | int) -> AbstractContextManager[None]:
    """Bind ids (`run`, `event_id`, `stream`, `partition`) to every line written inside the block, also by tasks it starts."""
    return structlog.contextvars.bound_contextvars(**ids)


def hide_credentials(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The line without values whose name means a credential, at any depth."""
    return {name: HIDDEN if _means_credential(name) else _clean(value) for name, value in event.items()}


def _named(program: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, "program": program}

    return add


def _clean(value: object) -> object:
    if isinstance(value, dict):
        inner = cast("dict[object, object]", value)
        return {name: HIDDEN if _means_credential(str(name)) else _clean(part) for name, part in inner.items()}
    if isinstance(value, list | tuple):
        return [_clean(part) for part in cast("list[object]", value)]
    return value


def _means_credential(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return any(plain == word or plain.endswith("_" + word) for word in _CREDENTIALS)
