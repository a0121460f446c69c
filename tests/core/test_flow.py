"""Drafts, releases by platform bits, versions, bindings (6.1 to 6.4)."""

import pytest

from events.commands import BindFlow, CompareFlow, DeleteFlow, DraftFlow, PublishFlow, ReviseFlow, UnbindFlow
from events.flow import (
    FlowBound,
    FlowCompared,
    FlowComparisonEnded,
    FlowDeleted,
    FlowDrafted,
    FlowPublished,
    FlowRevised,
    FlowTakenOff,
    FlowUnbound,
)
from services.core.deciders.flow import FLOW, Present, callable_
from tests.support.spec import given

DRAFTED = FlowDrafted(flow="7", app="demo", name="n", description="", status=0, source=1, definition="d1", document={})
DRAFT = DraftFlow(flow="7", app="demo", name="n", description="", status=0, source=1, definition="d1", document={})


def publish(operation=1, platform=1, version="", **more):
    return PublishFlow(flow="7", operation=operation, platform=platform, flow_version=version, **more)


def published(bits, operation=1, platform=1, version="", definition: str | None = "d1", document=None):
    return FlowPublished(
        operation=operation, platform=platform, flow_version=version, release_status=bits, definition=definition, document=document
    )


@pytest.fixture
def drafted():
    return given(FLOW, DRAFTED)


def test_a_draft_is_created():
    given(FLOW).when(DRAFT).then(DRAFTED)


def test_a_draft_with_status_1_is_released_and_bound_at_once():
    wish = DRAFT.model_copy(update={"status": 1})
    given(FLOW).when(wish).then(DRAFTED.model_copy(update={"status": 1}), FlowRevised(status=1, released=True), FlowBound(app="demo"))


def test_a_taken_id_is_refused(drafted):
    drafted.when(DRAFT).then_refused(20102)
    given(FLOW, DRAFTED, FlowDeleted(by="demo")).when(DRAFT).then_refused(20102)


@pytest.mark.parametrize("wish", [ReviseFlow(flow="7", name="x"), publish(), BindFlow(flow="7", app="a")])
def test_what_does_not_exist_cannot_be_changed(wish):
    given(FLOW).when(wish).then_refused(20201)
    given(FLOW, DRAFTED, FlowDeleted(by="demo")).when(wish).then_refused(20201)


def test_only_given_fields_are_revised(drafted):
    drafted.when(ReviseFlow(flow="7", name="new")).then(FlowRevised(name="new"))
    after = drafted.after(ReviseFlow(flow="7", definition="d2", document={"x": 1}))
    assert after.state == Present("demo", "d2")


def test_status_1_releases_the_draft_and_binds_its_app_once(drafted):
    wish = ReviseFlow(flow="7", status=1)
    drafted.when(wish).then(FlowRevised(status=1, released=True), FlowBound(app="demo"))
    drafted.after(wish).when(wish).then(FlowRevised(status=1, released=True))


def test_a_release_without_an_app_is_refused():
    given(FLOW, DRAFTED.model_copy(update={"app": ""})).when(ReviseFlow(flow="7", status=1)).then_refused(20205)


def test_a_revised_app_is_the_one_that_is_bound(drafted):
    wish = ReviseFlow(flow="7", status=1, app="other")
    drafted.when(wish).then(FlowRevised(status=1, app="other", released=True), FlowBound(app="other"))


@pytest.mark.parametrize(("operation", "platform", "bits"), [(1, 1, 1), (1, 2, 4), (1, 4, 32), (2, 1, 8), (2, 2, 8)])
def test_a_release_sets_its_bit(drafted, operation, platform, bits):
    drafted.when(publish(operation, platform)).then(published(bits, operation, platform))


@pytest.mark.parametrize(("platform", "bits"), [(1, 2), (2, 16), (4, 64)])
def test_taking_off_sets_its_bit(drafted, platform, bits):
    drafted.after(publish(1, platform)).when(publish(3, platform)).then(FlowTakenOff(platform=platform, release_status=bits))


def test_bits_of_platforms_are_kept_apart_but_the_api_bit_is_shared(drafted):
    both = drafted.after(publish(1, 1), publish(2, 1), publish(1, 2))
    assert both.state.release_status == 1 | 8 | 4
    both.when(publish(3, 2)).then(FlowTakenOff(platform=2, release_status=1 | 16))
    both.after(publish(3, 2)).when(publish(1, 2)).then(published(1 | 4, 1, 2))


@pytest.mark.parametrize(
    ("operation", "platform", "code"),
    [(2, 4, 20006), (0, 1, 20206), (4, 1, 20206), (-1, 1, 20206), (1, 0, 20206), (1, 3, 20206), (1, 8, 20206)],
)
def test_what_the_table_does_not_have_is_refused(drafted, operation, platform, code):
    drafted.when(publish(operation, platform)).then_refused(code)


def test_taking_off_never_publishes_the_draft_again(drafted):
    later = drafted.after(publish(1, 1, "v1"), ReviseFlow(flow="7", definition="d2", document={}), publish(3, 1))
    assert later.state.versions == {"v1": "d1"}
    (event,) = later.when(publish(3, 1)).events
    assert isinstance(event, FlowTakenOff)


def test_a_published_version_is_never_overwritten_and_the_same_content_again_is_fine(drafted):
    once = drafted.after(publish(1, 1, "v1"))
    once.when(publish(1, 2, "v1")).then(published(1 | 4, 1, 2, "v1"))
    changed = once.after(ReviseFlow(flow="7", definition="d2", document={}))
    assert "v1" in changed.when(publish(1, 1, "v1")).then_refused(20206)
    changed.when(publish(1, 1, "v2")).then(published(1, 1, 1, "v2", "d2"))
    changed.when(publish(1, 1)).then(published(1, 1, 1, "", "d2"))


def test_content_that_comes_with_a_release_becomes_the_draft_too(drafted):
    wish = publish(1, 1, "v1", definition="d3", document={"a": 1})
    drafted.when(wish).then(published(1, 1, 1, "v1", "d3", {"a": 1}))
    assert drafted.after(wish).state.draft == "d3"


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0, False),
        (1, True),
        (4, True),
        (32, True),
        (8, True),
        (2, False),
        (2 | 4, True),
        (2 | 16 | 64, False),
        (1 | 2 | 16 | 64, False),
        (16, False),
    ],
)
def test_a_flow_can_be_called_when_it_is_published_somewhere(bits, expected):
    assert callable_(bits) is expected


def test_an_app_is_bound_to_what_is_published(drafted):
    wish = BindFlow(flow="7", app="other")
    drafted.when(wish).then_refused(20204)
    drafted.after(publish(2, 1)).when(wish).then(FlowBound(app="other"))
    drafted.after(publish(), publish(3, 1), publish(3, 2), publish(3, 4)).when(wish).then_refused(20204)


def test_only_its_own_app_may_delete_a_flow(drafted):
    drafted.when(DeleteFlow(flow="7", app="other")).then_refused(20103)
    drafted.when(DeleteFlow(flow="7", app="demo")).then(FlowDeleted(by="demo"))
    given(FLOW).when(DeleteFlow(flow="7", app="demo")).then_refused(20103)


@pytest.mark.parametrize(
    "wish", [ReviseFlow(flow="7", name="x", status=1), publish(1, 1, "v1"), publish(2, 2), publish(3, 4), BindFlow(flow="7", app="a")]
)
def test_all_wishes_are_idempotent(drafted, wish):
    ready = drafted.after(publish(1, 2))
    assert ready.after(wish, wish).state == ready.after(wish).state


def test_an_app_that_is_bound_is_unbound_and_another_is_refused():
    bound = given(FLOW, DRAFTED, published(1), FlowBound(app="a"))
    bound.when(UnbindFlow(flow="7", app="a")).then(FlowUnbound(app="a"))
    bound.when(UnbindFlow(flow="7", app="b")).then_refused(20007)
    given(FLOW, DRAFTED, published(1), FlowBound(app="a"), FlowUnbound(app="a")).when(UnbindFlow(flow="7", app="a")).then_refused(20007)


def test_a_version_to_compare_with_is_saved_replaced_and_removed(drafted):
    saved = CompareFlow(flow="7", flow_version="c", definition="d2", document={})
    drafted.when(saved).then(FlowCompared(flow_version="c", definition="d2", document={}))
    compared = given(FLOW, DRAFTED, FlowCompared(flow_version="c", definition="d2"))
    compared.when(saved).then(FlowCompared(flow_version="c", definition="d2", document={}))
    compared.when(CompareFlow(flow="7", flow_version="c")).then(FlowComparisonEnded(flow_version="c"))
    drafted.when(CompareFlow(flow="7", flow_version="c")).then_refused(20103)


def test_a_published_version_is_no_name_to_compare_with():
    given(FLOW, DRAFTED, published(1, version="v1")).when(CompareFlow(flow="7", flow_version="v1", definition="d2")).then_refused(20102)


def test_a_comparison_changes_neither_draft_nor_release():
    before = FLOW.evolve(FLOW.evolve(FLOW.initial, DRAFTED, 0), published(1), 0)
    after = FLOW.evolve(before, FlowCompared(flow_version="c", definition="d2"), 0)
    assert isinstance(before, Present)
    assert isinstance(after, Present)
    assert (before.draft, before.versions, before.release_status) == (after.draft, after.versions, after.release_status)
