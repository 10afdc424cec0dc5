"""Reads the forms of a badge class and of an issuer; every fault is named at its field."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lti_tool.badgr.bodies import unescaped
from lti_tool.badgr.types import MOST, UNITS, Alignment, BadgeClass, Issuer, Lifetime, NewBadgeClass, NewIssuer
from lti_tool.lti.addresses import origin_of

BADGE_FIELDS = ("name", "description", "criteria", "criteria_url", "tags", "alignments", "amount", "unit")
ISSUER_FIELDS = ("name", "url", "email", "description")
LONGEST = {"name": 255, "description": 2000, "criteria": 10_000}
ADDRESS = "Enter a whole address, such as https://school.example.org/, or nothing."
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


@dataclass
class Form:
    """What was entered, and its faults by field."""

    values: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)


def badge_values(badge: BadgeClass | None) -> dict[str, str]:
    """The form as it starts: empty, or with what the badge class has."""
    if badge is None:
        return dict.fromkeys(BADGE_FIELDS, "") | {"unit": "years"}
    lifetime = badge.lifetime
    return {
        "name": badge.name,
        "description": badge.description,
        "criteria": unescaped(badge.criteria_narrative or ""),
        "criteria_url": badge.criteria_url or "",
        "tags": ", ".join(badge.tags),
        "alignments": "\n".join(f"{a.name} | {a.url}" for a in badge.alignments),
        "amount": str(lifetime.amount) if lifetime else "",
        "unit": lifetime.unit if lifetime else "years",
    }


def issuer_values(issuer: Issuer | None) -> dict[str, str]:
    """The form as it starts."""
    if issuer is None:
        return dict.fromkeys(ISSUER_FIELDS, "")
    return {"name": issuer.name, "url": issuer.url or "", "email": issuer.email, "description": issuer.description}


def read_badge(
    form: Mapping[str, str], image: str, present: Sequence[Alignment] = ()
) -> tuple[Form, NewBadgeClass | None]:
    """The badge class that was entered, with this picture; None when something is wrong.

    What the form does not show of the `present` alignments is kept with their addresses.
    """
    read = Form({name: form.get(name, "").strip() for name in BADGE_FIELDS})
    values, errors = read.values, read.errors
    for name, what in (("name", "a name"), ("description", "what it stands for, in a sentence")):
        if not values[name]:
            errors[name] = f"Enter {what}."
    for name, limit in LONGEST.items():
        if len(values[name]) > limit:
            errors[name] = f"At most {limit} characters are possible here."
    if not values["criteria"] and not values["criteria_url"]:
        errors["criteria"] = "Say what earns the badge, or give the address of a page that does."
    if values["criteria_url"] and not origin_of(values["criteria_url"]):
        errors["criteria_url"] = ADDRESS
    alignments = _alignments(values["alignments"], {alignment.url: alignment for alignment in present})
    if alignments is None:
        errors["alignments"] = "Write one in a line: its name, then |, then its address."
    lifetime = _lifetime(values["amount"], values["unit"])
    if values["amount"] and lifetime is None:
        errors["amount"] = "Enter a whole number from 1 to 99999, or nothing if the badge never ends."
    if not image:
        errors.setdefault("picture", "Choose a picture.")
    if errors or alignments is None:
        return read, None
    tags = tuple(dict.fromkeys(tag.strip() for tag in values["tags"].split(",") if tag.strip()))
    made = NewBadgeClass(
        name=values["name"],
        description=values["description"],
        image=image,
        criteria_narrative=values["criteria"],
        criteria_url=values["criteria_url"],
        tags=tags,
        alignments=alignments,
        lifetime=lifetime,
    )
    return read, made


def read_issuer(form: Mapping[str, str], image: str | None) -> tuple[Form, NewIssuer | None]:
    """The issuer that was entered; None when something is wrong."""
    read = Form({name: form.get(name, "").strip() for name in ISSUER_FIELDS})
    values, errors = read.values, read.errors
    if not values["name"] or len(values["name"]) > LONGEST["name"]:
        errors["name"] = "Enter a name of at most 255 characters."
    if not origin_of(values["url"]):
        errors["url"] = "Enter the address of the organisation, such as https://school.example.org/."
    if not _EMAIL.fullmatch(values["email"]):
        errors["email"] = "Enter an e-mail address that is verified in the connected Badgr account."
    if errors:
        return read, None
    return read, NewIssuer(**values, image=image)


def _alignments(text: str, present: Mapping[str, Alignment]) -> tuple[Alignment, ...] | None:
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, url = (part.strip() for part in line.partition("|"))
        if not name or not origin_of(url):
            return None
        found.append(replace(present.get(url, Alignment(name, url)), name=name))
    return tuple(found)


def _lifetime(amount: str, unit: str) -> Lifetime | None:
    if not (amount.isascii() and amount.isdigit() and len(amount) <= len(str(MOST)) and 0 < int(amount) <= MOST):
        return None
    return Lifetime(int(amount), unit) if unit in UNITS else None
