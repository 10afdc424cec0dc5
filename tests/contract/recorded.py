"""Reads the recorded exchanges with a real Badgr server (badgr/EXCHANGES.md) and compares answers with them."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXCHANGES = Path(__file__).parent / "badgr" / "EXCHANGES.md"
CODE = re.compile(r"```http\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    method: str
    target: str
    request_headers: dict[str, str]
    request_body: str
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        """The body of the answer."""
        return json.loads(self.body)


def exchange(section: int, title: str) -> Exchange:
    """The exchange under `### title` in `## section. …`; raises LookupError."""
    whole = EXCHANGES.read_text()
    part = re.split(rf"^## {section}\. ", whole, flags=re.MULTILINE)[1].split("\n## ")[0]
    found = [text for text in part.split("\n### ")[1:] if text.splitlines()[0].strip() == title]
    if not found:
        raise LookupError(f"§{section} {title}")
    request, response = CODE.findall(found[0])[:2]
    request_head, _, request_body = request.partition("\n\n")
    response_head, _, response_body = response.partition("\n\n")
    first, *request_lines = request_head.strip().splitlines()
    method, target = first.split(" ", 1)
    status_line, *response_lines = response_head.strip().splitlines()
    return Exchange(
        method,
        target,
        _headers(request_lines),
        request_body.strip(),
        int(status_line.split()[1]),
        _headers(response_lines),
        response_body.strip(),
    )


def differences(answer: Any, recorded: Any, path: str = "$") -> list[str]:
    """Where members or types differ; null and an empty list say nothing of what may stand there."""
    if answer is None or recorded is None:
        return []
    if isinstance(answer, dict) and isinstance(recorded, dict):
        wrong = [f"{path}.{name}: only in one" for name in answer.keys() ^ recorded.keys()]
        for name in answer.keys() & recorded.keys():
            wrong += differences(answer[name], recorded[name], f"{path}.{name}")
        return wrong
    if isinstance(answer, list) and isinstance(recorded, list):
        return differences(answer[0], recorded[0], f"{path}[0]") if answer and recorded else []
    kinds = _kind(answer), _kind(recorded)
    return [] if kinds[0] == kinds[1] else [f"{path}: {kinds[0]} instead of {kinds[1]}"]


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _headers(lines: list[str]) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in lines if ": " in line)
