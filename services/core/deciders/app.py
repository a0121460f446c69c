"""An app's decisions: it is registered, disabled and enabled; its keys are created, rotated, disabled; a signature is used once.

Registering again renews what is known of it, its keys included. Where a service tells of it again, what was decided here stays: the
audit policy, keys that were made here, and that keys are disabled. Who may ask for any of this is asked elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from events import app as a
from events.commands import CreateKey, DisableKey, RegisterApp, RotateKey, SetAuditPolicy, SwitchApp, UseSignature
from events.envelope import Command, Event
from events.refusal import CommandRefused
from services.core.codes import Code
from services.core.deciders.decider import Decider

MAX_KEYS = 100
MAX_SIGNATURES = 10_000

Wish = RegisterApp | SwitchApp | SetAuditPolicy | CreateKey | RotateKey | DisableKey | UseSignature


@dataclass(frozen=True, slots=True)
class AppState:
    """What matters for decisions about an app.

    `keys` says of each key whether it still opens something, `made` what is known of those that were made here, `signatures` of each
    that was used until when it would fit, `origin` which service told of the app, `audit_policy` whether its words are judged.
    """

    registered: bool = False
    enabled: bool = True
    keys: Mapping[str, bool] = field(default_factory=dict[str, bool])
    made: Mapping[str, a.Key] = field(default_factory=dict[str, a.Key])
    signatures: Mapping[str, int] = field(default_factory=dict[str, int])
    origin: str = ""
    audit_policy: int = 0


def evolve(state: AppState, event: Event, time: int) -> AppState:
    """The state after one more event."""
    match event:
        case a.AppRegistered():
            told = {key.key: True for key in event.keys}
            return replace(state, registered=True, keys=told, made={}, origin=event.origin, audit_policy=event.audit_policy)
        case a.AuditPolicyChanged():
            return replace(state, audit_policy=event.audit_policy)
        case a.AppDisabled() | a.AppEnabled():
            return replace(state, enabled=isinstance(event, a.AppEnabled))
        case a.KeyCreated():
            return replace(state, keys={**state.keys, event.key.key: True}, made={**state.made, event.key.key: event.key})
        case a.KeyRotated() if event.key in state.made:
            secret = {"secret_hash": event.secret_hash, "secret_ref": event.secret_ref}
            return replace(state, made={**state.made, event.key: state.made[event.key].model_copy(update=secret)})
        case a.KeyDisabled():
            made = {key: one for key, one in state.made.items() if key != event.key}
            return replace(state, keys={**state.keys, event.key: False}, made=made)
        case a.SignatureUsed():
            return replace(state, signatures={**_fitting(state, time), event.signature: event.until})
        case _:
            return state


def decide(state: AppState, wish: Wish, time: int) -> list[Event]:
    """What follows from a wish. At least one event."""
    if isinstance(wish, RegisterApp):
        if wish.origin and state.registered and state.origin != wish.origin:
            return _no(wish, "app: it is registered here already")
        return _renew(state, wish) if wish.origin and state.registered else [a.AppRegistered.model_validate(wish.model_dump())]
    if not state.registered:
        return _no(wish, "app: there is no such app", Code.APP_GET_WITH_REMOTE_FAILED_ERROR)
    match wish:
        case SwitchApp():
            return _switch(state, wish)
        case SetAuditPolicy():
            return [a.AuditPolicyChanged(audit_policy=wish.audit_policy)]
        case CreateKey():
            return _create(state, wish)
        case RotateKey():
            rotated = a.KeyRotated(key=wish.key, secret_hash=wish.secret_hash, secret_ref=wish.secret_ref)
            return [rotated] if state.keys.get(wish.key) else _no(wish, "key: the app has no such key, or it is disabled")
        case DisableKey():
            return (
                [a.KeyDisabled(key=wish.key)] if state.keys.get(wish.key) else _no(wish, "key: the app has no such key, or it is disabled")
            )
        case UseSignature():
            return _use(state, wish, time)


def _renew(state: AppState, wish: RegisterApp) -> list[Event]:
    told = {key.key for key in wish.keys}
    return [
        a.AppRegistered.model_validate({**wish.model_dump(), "audit_policy": state.audit_policy}),
        *(a.KeyDisabled(key=key) for key in sorted(told) if state.keys.get(key) is False),
        *(a.KeyCreated(key=key) for name, key in sorted(state.made.items()) if name not in told),
    ]


def _switch(state: AppState, wish: SwitchApp) -> list[Event]:
    if state.enabled == wish.enabled:
        return _no(wish, f"app: it is {'enabled' if wish.enabled else 'disabled'} already")
    return [a.AppEnabled() if wish.enabled else a.AppDisabled()]


def _create(state: AppState, wish: CreateKey) -> list[Event]:
    if wish.key.key in state.keys:
        return _no(wish, "key: this name is taken")
    if sum(state.keys.values()) >= MAX_KEYS:
        return _no(wish, f"keys: an app has {MAX_KEYS} at most; disable one")
    return [a.KeyCreated(key=wish.key)]


def _use(state: AppState, wish: UseSignature, time: int) -> list[Event]:
    if not state.enabled:
        return _no(wish, "app: it is disabled", Code.APP_GET_WITH_REMOTE_FAILED_ERROR)
    fitting = _fitting(state, time)
    if wish.signature in fitting or wish.until <= time:
        return _no(wish, "signa: expected a fresh signature, used once")
    if len(fitting) >= MAX_SIGNATURES:
        return _no(wish, "signa: too many were used in the last minutes; try again", Code.OPEN_API_ERROR)
    return [a.SignatureUsed(signature=wish.signature, until=wish.until)]


def _fitting(state: AppState, time: int) -> dict[str, int]:
    """The used signatures that would still fit."""
    return {one: until for one, until in state.signatures.items() if until > time}


def _no(wish: Wish, message: str, code: Code = Code.PARAM_ERROR) -> list[Event]:
    return [CommandRefused(wished=wish.type, target=f"app-{wish.app}", code=code, message=message)]


APP: Decider[Wish, AppState] = Decider(AppState(), evolve, decide)
WISHES: tuple[type[Command], ...] = (RegisterApp, SwitchApp, SetAuditPolicy, CreateKey, RotateKey, DisableKey, UseSignature)
