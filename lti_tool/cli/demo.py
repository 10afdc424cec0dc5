"""`lti-badges demo`: the tool with a small local LMS and a small local Badgr, to click through or to walk by itself."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import requests

from lti_tool.sandbox.badgr import BadgrConfig, create_badgr
from lti_tool.sandbox.lms import LmsConfig, Webhook, create_lms
from lti_tool.sandbox.serving import LocalServer

PORTS = {"lms": 8101, "tool": 8102, "badgr": 8103}
CLIENT_ID, DEPLOYMENT_ID = "lti-badges-demo", "1"
START_SECONDS = 60
COURSE = "2"


@dataclass(frozen=True)
class Demo:
    """The addresses of what is running, and the state of the two stand-ins."""

    tool_url: str
    lms_url: str
    badgr_url: str
    lms: Any
    badgr: Any


@click.command()
@click.option(
    "--check", is_flag=True, help="Walk the whole journey without a person; exit 0 only if the badge is there."
)
@click.option("--badgr-refuses", is_flag=True, help="With --check: let the local Badgr refuse every award (must fail).")
def demo(check: bool, badgr_refuses: bool) -> None:
    """Start the tool, a worker, a small local LMS and a small local Badgr on this machine."""
    with running_demo(fixed_ports=not check) as demo_:
        if not check:
            _invite(demo_)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
            click.echo("\nStopping.")
            return
        try:
            from lti_tool.cli.journey import JourneyError, walk  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"--check needs a package more ({error.name}): install lti-badges[demo]"
            ) from None
        try:
            walk(demo_, badgr_refuses=badgr_refuses)
        except JourneyError as error:
            click.echo(f"FAILED: {error}", err=True)
            sys.exit(1)


@contextmanager
def running_demo(*, fixed_ports: bool = False) -> Iterator[Demo]:
    """Start everything in a folder of its own, register all with each other, and stop it at the end."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lti-badges-demo-")))
        ports = {name: _port(port if fixed_ports else 0) for name, port in PORTS.items()}
        # Two hosts, so that the frame is on another site than the page around it, as in real life.
        tool_url, lms_url = f"http://127.0.0.1:{ports['tool']}", f"http://localhost:{ports['lms']}"
        lms, badgr = create_lms(LmsConfig(base_url=lms_url)), create_badgr(BadgrConfig())
        stack.enter_context(LocalServer(lms, "localhost", ports["lms"]))
        badgr_url = stack.enter_context(LocalServer(badgr, "127.0.0.1", ports["badgr"])).url
        demo_ = Demo(tool_url, lms_url, badgr_url, lms.extensions["sandbox_lms"], badgr.extensions["sandbox_badgr"])
        environment = _environment(home, tool_url, ports["tool"])
        _register(demo_, environment)
        stack.enter_context(_serving(environment, tool_url))
        requests.post(f"{lms_url}/sandbox/announce/{COURSE}", timeout=30).raise_for_status()
        yield demo_


def _invite(demo_: Demo) -> None:
    teacher, learner = (f"{demo_.lms_url}/courses/{COURSE}/badges?as={sub}" for sub in ("3", "4"))
    click.echo(f"""
Everything is running. Click through it in this order:

  1. As the teacher      {teacher}
                         Connect to Badgr (as Olive Owner), choose the issuer, a badge, and
                         “score at least 80 % in Quiz 1”; look at the preview; switch it on.
  2. Grade               {demo_.lms_url}/courses/{COURSE}/gradebook?as=3
                         Give Lea Learner 9 of 10 points in Quiz 1.
  3. As the learner      {learner}
                         See the badge, and follow its verify link.

  The local LMS          {demo_.lms_url}
  The local Badgr        {demo_.badgr_url}
  The tool               {demo_.tool_url}/readyz

Stop with Ctrl+C; nothing is kept.""")


def _environment(home: Path, tool_url: str, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LTI_BADGES_")}
    return kept | {
        "LTI_BADGES_BASE_URL": tool_url,
        "LTI_BADGES_BIND": f"127.0.0.1:{port}",
        "LTI_BADGES_DATABASE_URL": f"sqlite:///{home}/lti-badges.db",
        "LTI_BADGES_QUEUE_URL": f"sqlite:///{home}/queue.db",
        "LTI_BADGES_SECRET_KEYS": secrets.token_hex(32),
        # The LMS and Badgr of the demo are on this machine and without https.
        "LTI_BADGES_ALLOW_PRIVATE_ADDRESSES": "true",
        "LTI_BADGES_LOG_LEVEL": "WARNING",
    }


def _register(demo_: Demo, environment: dict[str, str]) -> None:
    """What an administrator does once, by the same commands."""
    lms, tool = demo_.lms_url, demo_.tool_url
    _command(environment, "migrate")
    _command(
        environment, "platform", "add", "--name=Sandbox LMS", f"--issuer={lms}", f"--client-id={CLIENT_ID}",
        f"--deployment={DEPLOYMENT_ID}", f"--login-url={lms}/lti/auth", f"--token-url={lms}/lti/token",
        f"--jwks-url={lms}/lti/jwks",
    )  # fmt: skip
    config = BadgrConfig()
    _command(
        environment, "badgr-server", "add", "--name=Sandbox Badgr", "--no-check",
        f"--ui-url={demo_.badgr_url}", f"--api-url={demo_.badgr_url}", f"--client-id={config.client_id}",
        f"--client-secret={config.client_secret}",
    )  # fmt: skip
    source = json.loads(_command(environment, "source", "add", "--platform=1", "--name=Gradebook", "--json"))[0]
    demo_.lms.register_tool(
        login_url=f"{tool}/lti/login",
        launch_url=f"{tool}/lti/launch",
        jwks_url=f"{tool}/lti/jwks.json",
        client_id=CLIENT_ID,
        deployment_id=DEPLOYMENT_ID,
    )
    demo_.lms.webhook = Webhook(source["address"], source["secret"])


def _command(environment: dict[str, str], *arguments: str) -> str:
    shown = " ".join(a if "secret" not in a else "--client-secret=…" for a in arguments)
    click.echo(f"$ lti-badges {shown}")
    command = [sys.executable, "-m", "lti_tool", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    if done.returncode:
        raise click.ClickException(f"lti-badges {arguments[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def _serving(environment: dict[str, str], tool_url: str) -> Iterator[None]:
    click.echo("$ lti-badges serve")
    server = subprocess.Popen([sys.executable, "-m", "lti_tool", "serve"], env=environment)
    try:
        _wait_until_ready(server, tool_url)
        yield
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], tool_url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            raise click.ClickException("The tool did not start; its log is above.")
        try:
            if requests.get(f"{tool_url}/readyz", timeout=5).ok:
                return
        except requests.RequestException:
            # It listens before it answers.
            pass
        time.sleep(0.1)
    raise click.ClickException(f"The tool was not ready within {START_SECONDS} seconds; its log is above.")


def _port(wanted: int) -> int:
    """The wanted port, or a free one when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
