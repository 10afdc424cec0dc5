"""What earns a badge: the sentence, the stored form, what it speaks of, and what makes no sense."""

import json

import pytest
from hypothesis import given

from lti_tool.domain.criteria import (
    Approved,
    BadgeEarned,
    Completed,
    Criteria,
    Group,
    PointsAtLeast,
    ScoreAtLeast,
    Submitted,
    activities_of,
    all_of,
    any_of,
    asks_approval,
    badges_of,
    check,
    criteria_from_json,
    criteria_to_json,
    cut,
    describe,
    moved,
)
from tests.unit.rule_strategies import criteria

QUIZ, LAB, ESSAY = 1, 2, 3
TITLES = {QUIZ: "Quiz 1", LAB: "Lab 2", ESSAY: "Essay"}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (ScoreAtLeast(QUIZ, 80), "Score at least 80 % in Quiz 1"),
        (PointsAtLeast(QUIZ, 7.5), "Score at least 7.5 points in Quiz 1"),
        (Completed(LAB), "Complete Lab 2"),
        (Submitted(ESSAY), "Hand in Essay"),
        (BadgeEarned(7), "Earn the badge Algebra I"),
        (Approved(), "Be approved by a teacher"),
        (Completed(9), "Complete an activity that is gone"),
        (all_of(ScoreAtLeast(QUIZ, 80), Completed(LAB)), "Score at least 80 % in Quiz 1 and complete Lab 2"),
        (
            any_of(ScoreAtLeast(QUIZ, 80), Completed(LAB), Approved()),
            "Score at least 80 % in Quiz 1, complete Lab 2 or be approved by a teacher",
        ),
        (
            Group(2, (Completed(QUIZ), Completed(LAB), Submitted(ESSAY))),
            "Do at least 2 of these: complete Quiz 1; complete Lab 2; hand in Essay",
        ),
        (
            all_of(Completed(QUIZ), any_of(Completed(LAB), Submitted(ESSAY))),
            "Complete Quiz 1 and (complete Lab 2 or hand in Essay)",
        ),
        (all_of(Completed(QUIZ)), "Complete Quiz 1"),
    ],
)
def test_criteria_read_as_a_sentence(asked: Criteria, sentence: str) -> None:
    assert describe(asked, TITLES, {7: "Algebra I"}) == sentence


@given(criteria())
def test_criteria_survive_the_way_to_their_stored_form_and_back(asked: Criteria) -> None:
    assert criteria_from_json(json.loads(json.dumps(criteria_to_json(asked)))) == asked


@given(criteria())
def test_generated_criteria_make_sense(asked: Criteria) -> None:
    check(asked)


@given(criteria())
def test_moving_there_and_back_changes_nothing(asked: Criteria) -> None:
    there = {key: key + 100 for key in activities_of(asked)}
    back = {new: old for old, new in there.items()}
    assert activities_of(moved(asked, there)) == set(there.values())
    assert moved(moved(asked, there), back) == asked


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        (Group(None, ()), "a group has 1 to 30 parts"),
        (Group(3, (Completed(1), Completed(2))), "a group cannot need more parts than it has, or none"),
        (Group(0, (Completed(1),)), "a group cannot need more parts than it has, or none"),
        (all_of(*[Completed(n) for n in range(31)]), "a group has 1 to 30 parts"),
        (all_of(all_of(all_of(all_of(all_of(Completed(1)))))), "groups may be 4 deep at most"),
    ],
)
def test_groups_without_sense_are_told(asked: Criteria, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        check(asked)


def test_criteria_know_what_they_speak_of() -> None:
    asked = all_of(ScoreAtLeast(QUIZ, 80), any_of(Completed(LAB), BadgeEarned(7), Approved()))
    assert activities_of(asked) == {QUIZ, LAB}
    assert badges_of(asked) == {7}
    assert asks_approval(asked)
    assert not asks_approval(Completed(LAB))


def test_an_unknown_kind_is_told() -> None:
    with pytest.raises(ValueError, match="unknown kind of criteria: spell"):
        criteria_from_json({"kind": "spell", "activity": 1})


@pytest.mark.parametrize(
    ("value", "text"),
    [(80.0, "80"), (79.999, "79.99"), (8.2, "8.2"), (72.1, "72.1"), (-0.001, "0"), (1e30, "1" + "0" * 30)],
)
def test_what_was_reached_is_never_rounded_up(value: float, text: str) -> None:
    assert cut(value) == text


@pytest.mark.parametrize(("value", "text"), [(80.0, "80"), (8.2, "8.2"), (72.1, "72.1"), (66.667, "66.667")])
def test_what_is_asked_for_is_told_as_it_is(value: float, text: str) -> None:
    assert describe(PointsAtLeast(QUIZ, value), {QUIZ: "Quiz"}) == f"Score at least {text} points in Quiz"
