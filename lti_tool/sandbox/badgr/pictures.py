"""Drawings of badges and issuers, as SVG (Badgr takes PNG and SVG)."""

from html import escape
from math import cos, pi, sin

COLOURS = (("#2563eb", "#93c5fd"), ("#b45309", "#fcd34d"), ("#047857", "#6ee7b7"), ("#7c3aed", "#c4b5fd"))


def badge(initials: str, number: int) -> str:
    """A toothed medal with letters on it; `number` chooses the colours."""
    dark, light = COLOURS[number % len(COLOURS)]
    points = " ".join(
        f"{200 + radius * cos(turn * pi / 24):.1f},{200 + radius * sin(turn * pi / 24):.1f}"
        for turn in range(48)
        for radius in (190 if turn % 2 else 172,)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" width="400" height="400">'
        f'<polygon points="{points}" fill="{dark}"/><circle cx="200" cy="200" r="146" fill="{light}"/>'
        f'<circle cx="200" cy="200" r="128" fill="#fff"/>'
        f'<text x="200" y="206" font-family="system-ui, sans-serif" font-size="104" font-weight="700" fill="{dark}" '
        f'text-anchor="middle" dominant-baseline="middle">{escape(initials)}</text></svg>'
    )


def issuer(initials: str) -> str:
    """A plain shield with letters on it."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" width="400" height="400">'
        '<path d="M40 40h320v180c0 90-80 130-160 160C120 350 40 310 40 220z" fill="#1e293b"/>'
        '<text x="200" y="190" font-family="system-ui, sans-serif" font-size="130" font-weight="700" fill="#f8fafc" '
        f'text-anchor="middle" dominant-baseline="middle">{escape(initials)}</text></svg>'
    )


def baked(picture: str, assertion_url: str) -> str:
    """The picture with the assertion's address in it (Open Badges 2.0, Baking, SVG)."""
    mark = f'<openbadges:assertion xmlns:openbadges="http://openbadges.org" verify="{escape(assertion_url)}"/>'
    return picture.replace("</svg>", f"{mark}</svg>")
