"""Real Chromium, third-party cookies blocked, the LMS and the tool on different sites."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.world import World, running_world

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
# High enough for the LMS's page with its frame: a page that is made longer for a picture makes the next click in a
# frame of another site go astray.
WIDE, NARROW = {"width": 1200, "height": 1100}, {"width": 375, "height": 1100}

expect.set_options(timeout=15_000)

Shoot = Callable[[Page, str], None]


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Playwright, once for all tests: it cannot run twice in a process."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Debian's browser, as people have it: not one that a tool downloads."""
    path = shutil.which("chromium")
    assert path, "Chromium is needed: apt-get install chromium"
    return path


@pytest.fixture(scope="session")
def chromium(playwright: Playwright, chromium_path: str) -> Iterator[Browser]:
    """The browser, with third-party cookies blocked."""
    # A sandbox of its own needs rights that a container does not give; third-party cookies are what is blocked.
    browser = playwright.chromium.launch(
        executable_path=chromium_path, args=["--no-sandbox", "--test-third-party-cookie-phaseout"]
    )
    yield browser
    browser.close()


@pytest.fixture(params=["wide", "narrow"])
def context(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A fresh browser profile: a wide light one and a narrow dark one."""
    is_wide = request.param == "wide"
    context = chromium.new_context(
        viewport=WIDE if is_wide else NARROW,  # type: ignore[arg-type]
        color_scheme="light" if is_wide else "dark",
        reduced_motion="reduce",
    )
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def shoot(request: pytest.FixtureRequest) -> Shoot:
    """Keep a picture of a page under artifacts/, named by the test and the step."""
    ARTIFACTS.mkdir(exist_ok=True)

    def shoot(page: Page, step: str) -> None:
        page.screenshot(path=str(ARTIFACTS / f"{request.node.name}-{step}.png"), full_page=True)

    return shoot


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """The three servers; the queue moves when the test says so, so that no picture depends on the machine's speed."""
    with running_world(database_url, tmp_path) as world:
        yield world
