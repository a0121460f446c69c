"""Options of the command line. Each is a field of the settings: same words, same check, and an environment twin.

In come a field's name; out goes the annotation of an option. Absent options are None, so that the environment and then
the default decide in one place, `services.kit.settings.load`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic_core import PydanticUndefined

from services.kit.settings import Settings, load, variable


def option(field: str, *more_variables: str) -> Parameter:
    """The option `--field-name` with the field's description and default."""
    described = Settings.model_fields[field]
    default = described.get_default(call_default_factory=False)
    told = "" if default in {None, "", (), PydanticUndefined} else f" Default: {default}."
    return Parameter(
        name="--" + field.replace("_", "-"),
        help=f"{described.description}{told}",
        env_var=[*more_variables, variable(field)],
        show_default=False,
        negative=(),
    )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Where the log and the rows are."""

    data: Annotated[Path | None, option("data")] = None
    kafka: Annotated[str | None, option("kafka")] = None
    database: Annotated[str | None, option("database")] = None
    partitions: Annotated[int | None, option("partitions")] = None
    topic_prefix: Annotated[str | None, option("topic_prefix")] = None
    durability: Annotated[str | None, option("durability")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Running(Where):
    """What every running program takes."""

    master_key_file: Annotated[Path | None, option("master_key_file")] = None
    log_level: Annotated[str | None, option("log_level")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Inner(Running):
    """A program that serves nobody but those who watch it."""

    host: Annotated[str | None, option("host")] = None
    metrics_port: Annotated[int | None, option("metrics_port")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Outer(Running):
    """A program that serves clients."""

    host: Annotated[str | None, option("host")] = None
    port: Annotated[int | None, option("port", "PORT")] = None
    wiki_root: Annotated[Path | None, option("wiki_root")] = None


def settings(options: Where | None, **more: Any) -> Settings:
    """The settings from the options given, else `more`, else the environment. Raises `Refused`."""
    given: dict[str, Any] = {} if options is None else {name: value for name, value in asdict(options).items() if value is not None}
    return load(**{**more, **given})
