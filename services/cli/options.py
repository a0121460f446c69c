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


def option(field: str, *more_variables: str, default: Any = None) -> Parameter:
    """The option `--field-name` with the field's description and default."""
    described = Settings.model_fields[field]
    told = described.get_default(call_default_factory=False) if default is None else default
    return Parameter(
        name="--" + field.replace("_", "-"),
        help=described.description if told in {None, "", (), PydanticUndefined} else f"{described.description} Default: {told}.",
        env_var=[*more_variables, variable(field)],
        show_default=False,
        negative=(),
    )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Folder:
    """Where things are on this machine."""

    data: Annotated[Path | None, option("data")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OfLog(Folder):
    """Where the log is."""

    kafka: Annotated[str | None, option("kafka")] = None
    partitions: Annotated[int | None, option("partitions")] = None
    topic_prefix: Annotated[str | None, option("topic_prefix")] = None
    durability: Annotated[str | None, option("durability")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OfRows(Folder):
    """Where the rows are."""

    database: Annotated[str | None, option("database")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Everything(OfLog, OfRows):
    """What a program stands on."""

    master_key_file: Annotated[Path | None, option("master_key_file")] = None
    audit: Annotated[str | None, option("audit")] = None
    audit_file: Annotated[Path | None, option("audit_file")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Program(Everything):
    """A program: its limits, and where its lines go."""

    profile: Annotated[str | None, option("profile")] = None
    log_level: Annotated[str | None, option("log_level")] = None
    log_format: Annotated[str | None, option("log_format")] = None
    log_folder: Annotated[Path | None, option("log_folder")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Inner(Program):
    """A program that serves nobody but those who watch it."""

    host: Annotated[str | None, option("host")] = None
    metrics_port: Annotated[int | None, option("metrics_port")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Outer(Program):
    """A program that serves clients."""

    host: Annotated[str | None, option("host")] = None
    port: Annotated[int | None, option("port")] = None
    trusted_proxies: Annotated[str | None, option("trusted_proxies")] = None
    cors_origins: Annotated[str | None, option("cors_origins")] = None
    wiki_root: Annotated[Path | None, option("wiki_root")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AllInOne(Outer):
    """`dev`, whose defaults are easier."""

    port: Annotated[int | None, option("port", "PORT")] = None
    durability: Annotated[str | None, option("durability", default="single")] = None
    log_level: Annotated[str | None, option("log_level", default="warning")] = None


def settings(options: Folder | None) -> Settings:
    """The settings from the options given, else from the environment. Raises `Refused`."""
    return load(**({} if options is None else asdict(options)))
