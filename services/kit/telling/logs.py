"""What programs say while they run: one line per happening, on standard error.

In come structlog calls and the standard library's records (uvicorn, aiokafka, faust, sqlalchemy); out go coloured lines
on a terminal and JSON lines everywhere else, or into files (`services.kit.telling.log_files`). The run and the trace that something
is done for are on its lines, and so are ids that were bound with `about`. A record is one line, whatever it says. Values
under names that mean credentials are never written, and people's words are never handed in.
"""

import json
import logging
import sys
import traceback
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO, cast

import structlog
from structlog.stdlib import BoundLogger
from structlog.types import EventDict, Processor, WrappedLogger

from services.kit.settings import Settings
from services.kit.telling.log_files import Rotating
from services.kit.telling.traces import RUN, TRACE, trace_id

HIDDEN = "hidden"
_CREDENTIALS = ("authorization", "api_key", "apikey", "api_secret", "apisecret", "password", "secret", "token", "master_key", "cookie")
_BREAKS = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}
"""What JSON leaves as it is although a terminal or a reader of lines obeys it."""
_TOLD_BY_US = ("aiokafka",)
_NOISY = ("faust", "httpx", "httpcore", "sqlalchemy.engine", "uvicorn.access", "alembic", "asyncio", "opentelemetry", "urllib3")


def configure(program: str, settings: Settings | str = "info", stream: TextIO | None = None) -> None:
    """Set up the logging of this process, once, in `__main__`: with settings, or with a level and everything else as it is by default.

    Libraries speak only from warnings on, and those whose troubles our adapters report not at all; at `debug` all do.
    Raises `Refused` where the log folder cannot be used.
    """
    given = Settings.model_construct(log_level=settings) if isinstance(settings, str) else settings
    level = given.log_level
    out = sys.stderr if stream is None else stream
    words = given.log_format == "text" or (given.log_format == "auto" and given.log_folder is None and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _named(program),
        _joined,
        hide_credentials,
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if words:
        colors = given.log_folder is None and out.isatty()
        plain = structlog.dev.plain_traceback
        last += [_one_line, structlog.dev.ConsoleRenderer(timestamp_key="time", exception_formatter=plain, colors=colors)]
    else:
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]
    handler = logging.StreamHandler(out) if given.log_folder is None else _file(given, given.log_folder, program)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    for old in root.handlers:
        if isinstance(old, Rotating):
            old.give_up()
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


def _file(settings: Settings, folder: Path, program: str) -> Rotating:
    return Rotating(folder, program, settings.log_rotation_mb, settings.log_retention_days)


def _joined(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The ids of what is being done: its run, and the trace it belongs to."""
    run, trace = RUN.get(), trace_id(TRACE.get())
    if run and "run" not in event:
        event["run"] = run
    if trace:
        event["trace_id"] = trace
    return event


def _json(event: EventDict, **how: Any) -> str:
    return json.dumps(event, ensure_ascii=False, **how).translate(_BREAKS)


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Words from outside stay on their line: what breaks or hides one is written as in Python."""
    return {name: _plain(value) if isinstance(value, str) else value for name, value in event.items()}


def _plain(text: str) -> str:
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _clean(value: object) -> object:
    if isinstance(value, dict):
        inner = cast("dict[object, object]", value)
        return {name: HIDDEN if _means_credential(str(name)) else _clean(part) for name, part in inner.items()}
    if isinstance(value, list | tuple):
        return [_clean(part) for part in cast("list[object]", value)]
    return value


@lru_cache(1_000)
def _means_credential(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return any(plain == word or plain.endswith("_" + word) for word in _CREDENTIALS)


def place_of(wrong: BaseException) -> str:
    """Where it was raised: the last frames, the innermost first, without the values that they held."""
    frames = reversed(traceback.extract_tb(wrong.__traceback__)[-5:])
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
