"""`lti-badges demo --check` as a newcomer runs it: in processes of its own, with nothing prepared."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[2]


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LTI_BADGES_")}
    command = [sys.executable, "-m", "lti_tool", "demo", *options]
    return subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False, timeout=180)


def test_the_journey_is_walked_step_by_step() -> None:
    done = demo("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [line for line in done.stdout.splitlines() if line.startswith("ok  ")]
    assert len(steps) >= 10
    assert done.stdout.splitlines()[-1] == "The journey works: the local Badgr holds the assertion."


def test_a_badgr_that_refuses_makes_it_fail() -> None:
    done = demo("--check", "--badgr-refuses")
    assert done.returncode == 1
    assert "FAILED: The award becomes an assertion at Badgr" in done.stderr
