"""Commands about the secrets that are kept: which key has sealed them, and the rotation of the master key.

In come settings; out go counts. Nothing here needs the programs to stop: those that read the key's file see its change.
"""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Group, Parameter

from services.cli.options import Everything, settings
from services.cli.printing import console, meter, show, table
from services.kit.clock import SystemClock
from services.kit.database import Database
from services.kit.errors import Refused
from services.kit.program.exits import guarded
from services.kit.secrets.keyring import Keyring, keyring, new_key, write
from services.kit.secrets.rotation import reseal
from services.kit.secrets.store import StoredSecrets
from services.kit.settings import Settings

_ROUNDS = 5
_DryRun = Annotated[bool, Parameter(help="Only count what would be done.", env_var="PROZESS_DRY_RUN", negative=(), show_default=False)]
_KeepOld = Annotated[
    bool,
    Parameter(
        help="Leave the old key readable in the file: links to files that it signed last on.",
        env_var="PROZESS_KEEP_OLD",
        negative=(),
        show_default=False,
    ),
]


def register(app: App) -> None:
    """Add the commands."""
    own = App(name="secrets", help="Kept secrets: status, rotate (a new master key).", group=Group("Secrets", sort_key=6))
    own.command(status, name="status")
    own.command(rotate, name="rotate")
    app.command(own)


def status(*, options: Everything | None = None) -> int:
    """Counts the secrets by the id of the master key that has sealed them."""
    return guarded(lambda: _status(settings(options)))


def rotate(*, dry_run: _DryRun = False, keep_old: _KeepOld = False, options: Everything | None = None) -> int:
    """Makes a new master key and seals every secret anew with it, while the programs run.

    Interrupted, the next call goes on. Of a key in the environment, or in a file that cannot be written, put the new key before
    the old one yourself (`new,old`), restart all programs with both, and call this; then take the old one out.
    """
    return guarded(lambda: _rotate(settings(options), dry_run=dry_run, keep_old=keep_old))


async def _status(where: Settings) -> None:
    database = Database(where)
    try:
        await database.check_schema()
        ring = keyring(where)
        _show(ring, await StoredSecrets(database, ring, SystemClock()).counts())
    finally:
        await database.dispose()


def _show(ring: Keyring, counts: dict[str, int]) -> None:
    lines = table("master key", "secrets", "here")
    for id_ in dict.fromkeys([*(key.id for key in ring.keys), *sorted(counts)]):
        known = ring.find(id_)
        here = "seals" if known == ring.current else "is read" if known else "not known by an id" if not id_ else "missing"
        lines.add_row(id_ or "(before there were ids)", f"{counts.get(id_, 0):,}", here)
    show(lines)


async def _rotate(where: Settings, *, dry_run: bool, keep_old: bool) -> None:
    database = Database(where)
    try:
        await database.check_schema()
        ring = keyring(where)
        store = StoredSecrets(database, ring, SystemClock())
        await store.check()
        counts = await store.counts()
        if dry_run:
            _show(ring, counts)
            is_going_on = len(ring.keys) > 1
            anew = sum(count for id_, count in counts.items() if not is_going_on or id_ != ring.current.id)
            console().print(f"{anew:,} secrets would be sealed anew{'' if is_going_on else ' with a new key'}.")
            return
        _begin(ring)
        await _reseal(database, store)
        _end(ring, keep_old=keep_old)
    finally:
        await database.dispose()


def _begin(ring: Keyring) -> None:
    """A ring with two keys: a new one, or those of a rotation that was interrupted or is led by hand. Raises `Refused`."""
    if len(ring.keys) > 1:
        console(to_stderr=True).print(f"Going on: secrets are sealed with the key {ring.current.id}.")
        return
    if ring.path is None:
        raise Refused(
            "the master key comes from PROZESS_MASTER_KEY: put a new key before it (`new,old`), restart all programs, and repeat."
        )
    ring.write([new_key(), *ring.keys])
    console(to_stderr=True).print(f"The new key {ring.current.id} stands in {ring.path}, before {ring.oldest.id}.")


async def _reseal(database: Database, store: StoredSecrets) -> None:
    """Until nothing is sealed with another key: programs that run may have sealed some meanwhile. Raises `Refused`."""
    done = 0
    for _ in range(_ROUNDS):
        with meter("Sealing secrets anew") as tell:
            outcome = await reseal(database, store, tell)
        done += outcome.done
        if outcome.unreadable:
            raise Refused(f"{outcome.unreadable:,} secrets cannot be opened with the keys that are here; {done:,} were sealed anew.")
        counts = await store.counts()
        if set(counts) <= {store.ring.current.id}:
            console().print(f"{done:,} secrets are sealed anew; all are sealed with the key {store.ring.current.id} now.")
            return
    raise Refused("programs that run go on sealing with an older key: restart them with both keys, and call this again.")


def _end(ring: Keyring, *, keep_old: bool) -> None:
    """The old keys leave the file for one of their own: whoever has older backups of the rows needs them."""
    old = ring.keys[1:]
    if ring.path is None or keep_old or not old:
        ids = ", ".join(key.id for key in old)
        left = f"The old key {ids} is still read; take it out of the ring when nothing needs it."
        console().print(left if old else "There is no older key.")
        return
    for key in old:
        retired = Path(f"{ring.path}.{key.id}.retired")
        if not retired.exists():
            try:
                write(retired, key.value.hex() + "\n")
            except OSError as wrong:
                raise Refused(f"the old key cannot be written to {retired} ({type(wrong).__name__}); it stays in {ring.path}.") from None
        console().print(f"The old key is in {retired}: keep it as long as backups of the rows that it has sealed.")
    ring.write([ring.current])
