"""A badge that is earned each time anew goes out each time, in whatever order its awards are approved."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from lti_tool.models import Repeat
from lti_tool.services import decisions
from tests.functional.deciding import awards, drafted_course, statuses
from tests.world import LEARNER, LEARNER_ADDRESS, World


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_both_go_out_in_whatever_order(world: World, order: Sequence[int]) -> None:
    teacher = drafted_course(world, needs_approval=True, repeat=Repeat.EACH_TIME)
    teacher.submit("/activate", {"scope": "from_now"})
    world.work()
    for score in (9, 2, 9):
        world.grade(LEARNER, score=score)
        world.work()
    made = awards(world)
    assert [award.number for award in made] == [1, 2]
    for number in order:
        decisions.approve(world.tools, 1, [made[number].id], "Terry", datetime.now(UTC), approved=True)
        world.work()
    for _ in range(3):
        world.tick()
    assert statuses(world) == ["issued", "issued"]
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"] * 2
    assert len({award.assertion_id for award in awards(world)}) == 2
