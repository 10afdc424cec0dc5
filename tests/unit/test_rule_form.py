"""The form of a rule: what is right becomes a draft, what is wrong is named at its field, nothing typed is lost."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_tool.domain.criteria import (
    Approved,
    BadgeEarned,
    Completed,
    Criteria,
    Group,
    PointsAtLeast,
    ScoreAtLeast,
    Submitted,
    all_of,
    any_of,
    check,
)
from lti_tool.errors import InvalidInputError
from lti_tool.models import OnFall, Repeat
from lti_tool.services.drafts import Draft
from lti_tool.web.condition_check import Choices
from lti_tool.web.condition_tree import change, fields_of, read_tree, tree_of
from lti_tool.web.rule_form import RuleForm, read_rule_form, values_of

GOOD = {"badge_class": "b1", "kind": "score", "percent": "80", "activity": "3"}
CHOICES = Choices({3: "Quiz 1", 4: "Lab 2"}, {7: "Algebra I", 8: "Own"}, own_badge_id=8)
NESTED = {
    "badge_class": "b1",
    "kind": "group",
    "join": "all",
    "0.kind": "score",
    "0.percent": "80",
    "0.activity": "3",
    "1.kind": "group",
    "1.join": "some",
    "1.needed": "2",
    "1.0.kind": "completed",
    "1.0.activity": "4",
    "1.1.kind": "badge",
    "1.1.badge": "7",
    "1.2.kind": "approved",
}
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)

numbers = st.one_of(st.integers(1, 100).map(float), st.floats(1, 100))
leaves = st.one_of(
    st.builds(ScoreAtLeast, st.sampled_from([3, 4]), numbers),
    st.builds(PointsAtLeast, st.sampled_from([3, 4]), st.floats(0.01, 1_000_000)),
    st.builds(Completed, st.sampled_from([3, 4])),
    st.builds(Submitted, st.sampled_from([3, 4])),
    st.builds(BadgeEarned, st.just(7)),
    st.builds(Approved),
)


@st.composite
def groups(draw: st.DrawFn, depth: int = 1) -> Criteria:
    inner = leaves if depth == 4 else st.one_of(leaves, groups(depth + 1))
    parts = tuple(draw(st.lists(inner, min_size=1, max_size=3)))
    return Group(draw(st.one_of(st.none(), st.integers(1, len(parts)))), parts)


criteria = st.one_of(leaves, groups())
moments = st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)))


def read(form: dict[str, str], present: Draft | None = None) -> RuleForm:
    return read_rule_form(form, CHOICES, {"b1"}, present)


@pytest.mark.parametrize(
    ("changes", "draft"),
    [
        ({}, Draft(ScoreAtLeast(3, 80.0))),
        ({"percent": " 72,5 % "}, Draft(ScoreAtLeast(3, 72.5))),
        ({"percent": "100"}, Draft(ScoreAtLeast(3, 100.0))),
        ({"kind": "points", "points": "12,5"}, Draft(PointsAtLeast(3, 12.5))),
        ({"kind": "completed", "percent": ""}, Draft(Completed(3))),
        ({"kind": "submitted", "percent": ""}, Draft(Submitted(3))),
        ({"kind": "badge", "badge": "7", "activity": ""}, Draft(BadgeEarned(7))),
        ({"kind": "approved", "activity": ""}, Draft(Approved())),
        ({"activity": "new", "new_activity": " Lab 9 "}, Draft(ScoreAtLeast(-1, 80.0), {-1: "Lab 9"})),
        (
            {"kind": "completed", "activity": "new_module", "new_activity": "Unit 1"},
            Draft(Completed(-1), {-1: "Unit 1"}, new_kinds={-1: "module"}),
        ),
        (
            {"kind": "completed", "activity": "course"},
            Draft(Completed(-1), {-1: "The whole course"}, new_kinds={-1: "course"}),
        ),
        (
            {"activity": "course_grade"},
            Draft(ScoreAtLeast(-1, 80.0), {-1: "Course grade"}, new_kinds={-1: "course_grade"}),
        ),
        ({"counts_from": "2026-09-01T12:00"}, Draft(ScoreAtLeast(3, 80.0), counts_from=NOON)),
        ({"counts_until": "2026-09-01T14:00+02:00"}, Draft(ScoreAtLeast(3, 80.0), counts_until=NOON)),
        ({"grades": "all"}, Draft(ScoreAtLeast(3, 80.0), fully_graded=False)),
        ({"needs_approval": "yes"}, Draft(ScoreAtLeast(3, 80.0), needs_approval=True)),
        ({"on_fall": "revoke"}, Draft(ScoreAtLeast(3, 80.0), on_fall=OnFall.REVOKE)),
        ({"repeat": "each_time"}, Draft(ScoreAtLeast(3, 80.0), repeat=Repeat.EACH_TIME)),
    ],
)
def test_good_forms(changes: dict[str, str], draft: Draft) -> None:
    found = read(GOOD | changes)
    assert (found.draft, found.errors) == (draft, {})


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"badge_class": ""}, {"badge_class"}),
        ({"badge_class": "of another issuer"}, {"badge_class"}),
        ({"kind": "luck"}, {"kind"}),
        ({"percent": ""}, {"percent"}),
        ({"percent": "lots"}, {"percent"}),
        ({"percent": "0"}, {"percent"}),
        ({"percent": "101"}, {"percent"}),
        ({"percent": "nan"}, {"percent"}),
        ({"percent": "inf"}, {"percent"}),
        ({"kind": "points", "points": "0"}, {"points"}),
        ({"kind": "points", "points": ""}, {"points"}),
        ({"activity": ""}, {"activity"}),
        ({"activity": "5"}, {"activity"}),
        ({"activity": "³"}, {"activity"}),
        ({"activity": "9" * 400}, {"activity"}),
        ({"activity": "new", "new_activity": "  "}, {"new_activity"}),
        ({"activity": "new_module", "new_activity": ""}, {"new_activity"}),
        ({"activity": "course"}, {"activity"}),
        ({"kind": "points", "points": "5", "activity": "course"}, {"activity"}),
        ({"kind": "completed", "activity": "course_grade"}, {"activity"}),
        ({"kind": "submitted", "activity": "course_grade"}, {"activity"}),
        ({"kind": "badge", "badge": ""}, {"badge"}),
        ({"kind": "badge", "badge": "6"}, {"badge"}),
        ({"kind": "badge", "badge": "8"}, {"badge"}),
        ({"counts_from": "yesterday"}, {"counts_from"}),
        ({"counts_until": "0001-01-01T00:00+12:00"}, {"counts_until"}),
        ({"counts_from": "2026-09-02T00:00", "counts_until": "2026-09-01T00:00"}, {"counts_until"}),
        ({"on_fall": "cry"}, {"on_fall"}),
        ({"repeat": "ever"}, {"repeat"}),
        ({"badge_class": "", "percent": "", "activity": ""}, {"badge_class", "percent", "activity"}),
    ],
)
def test_faults_are_named_and_what_was_entered_stays(changes: dict[str, str], fields: set[str]) -> None:
    found = read(GOOD | changes)
    assert found.draft is None
    assert set(found.errors) == fields
    assert all(found.fields[name] == value.strip() for name, value in (GOOD | changes).items())


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"0.percent": "x"}, {"0.percent"}),
        ({"1.0.activity": ""}, {"1.0.activity"}),
        ({"1.1.badge": "8"}, {"1.1.badge"}),
        ({"1.needed": "4"}, {"1.needed"}),
        ({"1.needed": "0"}, {"1.needed"}),
        ({"1.needed": "1.5"}, {"1.needed"}),
        ({"1.join": "none"}, {"1.join"}),
        ({"1.1.kind": "group"}, {"1.1.join"}),
        (
            {f"{'1.' * n}kind": "group" for n in range(1, 5)} | {f"{'1.' * n}0.kind": "approved" for n in range(5)},
            {"1.1.1.1.join"},
        ),
    ],
)
def test_faults_deep_in_groups_are_named_too(changes: dict[str, str], fields: set[str]) -> None:
    assert set(read(NESTED | changes).errors) == fields


def test_groups_are_read() -> None:
    found = read(NESTED)
    inner = Group(2, (Completed(4), BadgeEarned(7), Approved()))
    assert found.draft == Draft(all_of(ScoreAtLeast(3, 80.0), inner))
    assert found.sentence == (
        "Score at least 80 % in Quiz 1 and (do at least 2 of these: complete Lab 2; earn the badge Algebra I; be "
        "approved by a teacher)"
    )


def test_the_same_new_name_is_one_activity() -> None:
    form = {"badge_class": "b1", "kind": "group", "join": "any"}
    for number, title in enumerate(["Lab 9", "LAB 9", "Lab 10"]):
        form |= {f"{number}.kind": "completed", f"{number}.activity": "new", f"{number}.new_activity": title}
    draft = read(form).draft
    assert draft == Draft(any_of(Completed(-1), Completed(-1), Completed(-2)), {-1: "Lab 9", -2: "Lab 10"})


def test_a_module_and_an_activity_of_one_name_are_two() -> None:
    form = {"badge_class": "b1", "kind": "group", "join": "all"}
    for number, kind in enumerate(["new", "new_module", "new_module"]):
        form |= {f"{number}.kind": "completed", f"{number}.activity": kind, f"{number}.new_activity": "Cells"}
    draft = read(form).draft
    assert draft is not None
    assert draft.criteria == all_of(Completed(-1), Completed(-2), Completed(-2))
    assert draft.new_kinds == {-2: "module"}


def test_what_is_not_chosen_yet_is_a_gap_in_the_sentence() -> None:
    assert read(NESTED | {"1.0.activity": ""}).sentence.startswith("Score at least 80 % in Quiz 1 and (do at least 2")
    assert "complete …;" in read(NESTED | {"1.0.activity": ""}).sentence
    assert read(NESTED | {"0.percent": ""}).sentence == ""


@pytest.mark.parametrize(
    "more",
    [{"2.0.kind": "score"}, {"7.kind": "score"}, {"1.0.0.kind": "score"}, {"x.kind": "score"}, {"-1.kind": "score"}],
)
def test_fields_of_unknown_places_are_ignored(more: dict[str, str]) -> None:
    assert read(NESTED | more) == read(NESTED)


def test_far_too_many_conditions_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="100 conditions"):
        read(NESTED | {f"0.0.{number}.kind": "score" for number in range(101)})


@given(
    criteria,
    st.lists(moments, min_size=2, max_size=2),
    st.booleans(),
    st.booleans(),
    st.sampled_from(OnFall),
    st.sampled_from(Repeat),
)
def test_every_rule_survives_the_form(
    asked: Criteria, window: list[datetime | None], final: bool, approval: bool, on_fall: OnFall, repeat: Repeat
) -> None:
    start, end = window
    if start and end and start >= end:
        start = None
    draft = Draft(asked, {}, start, end, final, approval, on_fall, repeat)
    assert read(values_of(draft) | {"badge_class": "b1"}, draft).draft == draft


@given(
    criteria, st.lists(st.tuples(st.sampled_from(["add", "group", "remove"]), st.text("01.", max_size=6)), max_size=8)
)
def test_whatever_button_is_pressed_the_tree_stays_a_tree(asked: Criteria, wishes: list[tuple[str, str]]) -> None:
    tree = tree_of(asked)
    for what, where in wishes:
        tree, _ = change(tree, f"{what}:{where}")
        assert read_tree(fields_of(tree)) == tree
    filled = {
        name: "3" if name.endswith("activity") else "7" if name.endswith("badge") else value
        for name, value in fields_of(tree).items()
    }
    found = read(filled | {"badge_class": "b1"})
    assert all(name.endswith("needed") for name in found.errors)
    if found.draft:
        check(found.draft.criteria)


def test_buttons_change_the_tree() -> None:
    tree, focus = change(read_tree(GOOD), "add:")
    assert focus == (1,)
    assert fields_of(tree)["0.activity"] == "3"
    assert (fields_of(tree)["join"], fields_of(tree)["1.percent"]) == ("all", "80")
    tree, focus = change(tree, "group:")
    assert focus == (2,)
    assert [part.values["kind"] for part in tree.parts[2].parts] == ["score", "score"]
    tree, focus = change(tree, "add:2")
    assert focus == (2, 2)
    tree, focus = change(tree, "remove:1")
    assert focus == ()
    assert len(tree.parts) == 2
    # One that is left alone needs no group.
    tree, _ = change(tree, "remove:1")
    assert read(fields_of(tree) | {"badge_class": "b1"}).draft == Draft(ScoreAtLeast(3, 80.0))


@pytest.mark.parametrize(
    "wish", ["", "add", "add:9", "add:0.0", "group:0.0.0.0", "remove:9", "sing:0", "add:²", "add:-1"]
)
def test_a_wish_without_sense_changes_nothing(wish: str) -> None:
    tree = read_tree(NESTED)
    assert wish == "add" or change(tree, wish)[0] == tree


def test_an_empty_group_goes_with_its_last_condition() -> None:
    tree = read_tree({"kind": "group", "0.kind": "score", "1.kind": "group", "1.0.kind": "approved"})
    assert change(tree, "remove:1.0")[0] == read_tree({"kind": "score"})
    assert change(read_tree(GOOD), "remove:")[0] == read_tree({})
