"""Apps are registered, and registered again; their keys and signatures open doors or no longer."""

import pytest

from events.app import AppDisabled, AppEnabled, AppRegistered, AuditPolicyChanged, Key, KeyCreated, KeyDisabled, KeyRotated, SignatureUsed
from events.commands import CreateKey, DisableKey, RegisterApp, RotateKey, SetAuditPolicy, SwitchApp, UseSignature
from services.core.deciders.app import APP, MAX_KEYS, MAX_SIGNATURES, AppState
from tests.support.spec import given

TERMS = {
    "app": "demo", "name": "Demo", "is_tenant": True, "source": 1, "platform_rights": 7, "audit_policy": 0,
    "keys": (Key(key="k", secret_hash="00$11"),),
}  # fmt: skip


def test_registering_and_renewing_leave_the_same_event():
    wish, registered = RegisterApp(**TERMS), AppRegistered(**TERMS)
    given(APP).when(wish).then(registered)
    given(APP, registered).when(wish).then(registered)
    assert given(APP).after(wish, wish).state == AppState(registered=True, keys={"k": True})


REGISTERED = AppRegistered(**TERMS)
FAR = 1 << 50
SECOND = Key(key="k2", secret_hash="22$33", scopes=("read",))


def test_a_key_is_created_rotated_and_disabled():
    given(APP, REGISTERED).when(CreateKey(app="demo", key=SECOND)).then(KeyCreated(key=SECOND))
    given(APP, REGISTERED).when(RotateKey(app="demo", key="k", secret_hash="44$55")).then(KeyRotated(key="k", secret_hash="44$55"))
    given(APP, REGISTERED).when(DisableKey(app="demo", key="k")).then(KeyDisabled(key="k"))


def test_an_app_is_disabled_and_enabled():
    given(APP, REGISTERED).when(SwitchApp(app="demo", enabled=False)).then(AppDisabled())
    given(APP, REGISTERED, AppDisabled()).when(SwitchApp(app="demo", enabled=True)).then(AppEnabled())
    given(APP, REGISTERED).when(SwitchApp(app="demo", enabled=True)).then_refused(460)


@pytest.mark.parametrize(
    "wish",
    [
        SwitchApp(app="demo", enabled=False),
        CreateKey(app="demo", key=SECOND),
        RotateKey(app="demo", key="k", secret_hash="44$55"),
        DisableKey(app="demo", key="k"),
        UseSignature(app="demo", signature="5f", until=FAR),
    ],
)
def test_an_app_that_does_not_exist_has_nothing_to_change(wish):
    given(APP).when(wish).then_refused(20001)


@pytest.mark.parametrize("wish", [RotateKey(app="demo", key="k", secret_hash="44$55"), DisableKey(app="demo", key="k")])
def test_a_disabled_key_stays_disabled(wish):
    given(APP, REGISTERED, KeyDisabled(key="k")).when(wish).then_refused(460)
    given(APP, REGISTERED, KeyDisabled(key="k")).when(CreateKey(app="demo", key=Key(key="k", secret_hash="1$1"))).then_refused(460)


def test_an_app_has_a_limited_number_of_keys():
    many = [KeyCreated(key=Key(key=f"k{n}", secret_hash="0$0")) for n in range(2, MAX_KEYS + 1)]
    given(APP, REGISTERED, *many).when(CreateKey(app="demo", key=Key(key="more", secret_hash="0$0"))).then_refused(460)


def test_a_signature_is_used_once_and_forgotten_when_it_fits_no_more():
    wish, used = UseSignature(app="demo", signature="5f", until=FAR), SignatureUsed(signature="5f", until=FAR)
    given(APP, REGISTERED).when(wish).then(used)
    given(APP, REGISTERED, used).when(wish).then_refused(460)
    given(APP, REGISTERED, used, REGISTERED).when(wish).then_refused(460)
    old, late = SignatureUsed(signature="00", until=0), UseSignature(app="demo", signature="00", until=0)
    given(APP, REGISTERED, old).when(late).then_refused(460)
    assert set(given(APP, REGISTERED, old, used).state.signatures) == {"5f"}


def test_a_disabled_app_signs_nobody_in():
    given(APP, REGISTERED, AppDisabled()).when(UseSignature(app="demo", signature="5f", until=FAR)).then_refused(20001)


def test_so_many_signatures_are_remembered_and_no_more():
    many = [SignatureUsed(signature=str(number), until=FAR) for number in range(MAX_SIGNATURES)]
    state = AppState(registered=True, signatures={one.signature: one.until for one in many})
    (refused,) = APP.decide(state, UseSignature(app="demo", signature="more", until=FAR), 0)
    assert (refused.type, refused.code) == ("command.refused", 20805)


def test_what_a_service_tells_of_an_app_does_not_take_over_one_that_was_registered_here():
    told = {**TERMS, "is_tenant": False, "origin": "tenant service"}
    given(APP).when(RegisterApp(**told)).then(AppRegistered(**told))
    given(APP, AppRegistered(**told)).when(RegisterApp(**told)).then(AppRegistered(**told))
    given(APP, REGISTERED).when(RegisterApp(**told)).then_refused(460)


def test_the_audit_policy_of_an_app_is_changed_by_itself():
    given(APP, REGISTERED).when(SetAuditPolicy(app="demo", audit_policy=1)).then(AuditPolicyChanged(audit_policy=1))
    given(APP).when(SetAuditPolicy(app="demo", audit_policy=1)).then_refused(20001)


def test_a_service_that_tells_of_an_app_again_leaves_its_audit_policy_as_it_was_set_here():
    told = {**TERMS, "is_tenant": False, "origin": "tenant service", "audit_policy": 0}
    known = given(APP, AppRegistered(**told), AuditPolicyChanged(audit_policy=1))
    known.when(RegisterApp(**told)).then(AppRegistered(**{**told, "audit_policy": 1}))
    again = given(APP, AppRegistered(**told), AuditPolicyChanged(audit_policy=1), AppRegistered(**{**told, "audit_policy": 1}))
    again.when(RegisterApp(**told)).then(AppRegistered(**{**told, "audit_policy": 1}))


def test_a_service_that_tells_of_an_app_again_opens_no_key_that_was_disabled_here_and_takes_none_that_was_made_here():
    told = {**TERMS, "is_tenant": False, "origin": "tenant service", "keys": (Key(key="k-1", secret_hash="a$1"),)}
    made, rotated = Key(key="k-2", secret_hash="a$2", scopes=("run",)), KeyRotated(key="k-2", secret_hash="b$2", secret_ref="secret:02")
    kept = Key(key="k-2", secret_hash="b$2", secret_ref="secret:02", scopes=("run",))
    gone = (KeyCreated(key=Key(key="k-3", secret_hash="a$3")), KeyDisabled(key="k-3"))
    history = (AppRegistered(**told), KeyCreated(key=made), rotated, *gone, KeyDisabled(key="k-1"))
    renewed = (AppRegistered(**told), KeyDisabled(key="k-1"), KeyCreated(key=kept))
    given(APP, *history).when(RegisterApp(**told)).then(*renewed)
    given(APP, *history, *renewed).when(RegisterApp(**told)).then(*renewed)
