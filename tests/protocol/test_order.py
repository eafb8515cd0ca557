"""Every stage of a response with every step, and what no sequence of steps may do."""

from __future__ import annotations

from itertools import product

import pytest

from gatebridge._protocol.order import AFTER, Stage, Step

# A second statement of the rules: at which stages each step is right.
RIGHT_AT = {
    Step.GIVE_HEAD: {Stage.NO_HEAD},
    Step.REPLACE_HEAD: {Stage.NO_HEAD, Stage.HEAD},
    Step.SEND_HEAD: {Stage.HEAD},
    Step.BLOCK: {Stage.HEAD, Stage.HEAD_SENT, Stage.BODY},
    Step.END: {Stage.HEAD, Stage.HEAD_SENT, Stage.BODY},
    Step.FILE: {Stage.HEAD, Stage.HEAD_SENT},
}
LEADS_TO = {
    Step.GIVE_HEAD: Stage.HEAD,
    Step.REPLACE_HEAD: Stage.HEAD,
    Step.SEND_HEAD: Stage.HEAD_SENT,
    Step.BLOCK: Stage.BODY,
    Step.END: Stage.COMPLETE,
    Step.FILE: Stage.COMPLETE,
}


@pytest.mark.parametrize(("stage", "step"), [*product(Stage, Step)], ids=lambda each: each.name)
def test_a_step_is_right_at_its_stages_and_wrong_at_all_others(stage: Stage, step: Step) -> None:
    expected = LEADS_TO[step] if stage in RIGHT_AT[step] else None
    assert AFTER.get((stage, step)) is expected


@pytest.mark.parametrize(("stage", "step"), [*AFTER], ids=lambda each: each.name)
def test_a_stage_only_advances(stage: Stage, step: Step) -> None:
    assert AFTER[stage, step] >= stage


@pytest.mark.parametrize("stage", [*Stage], ids=lambda each: each.name)
def test_a_response_can_always_be_completed(stage: Stage) -> None:
    """No stage is a dead end."""
    reached = {stage}
    while more := {after for (at, _), after in AFTER.items() if at in reached} - reached:
        reached |= more
    assert Stage.COMPLETE in reached
