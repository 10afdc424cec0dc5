"""The hosted regions, under their old (Badgr) and new (Parchment) names (BADGR.md, "Known addresses")."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A hosted region; `ui_url` is None where its name is not known and must be given."""

    label: str
    ui_url: str | None
    api_url: str


PRESETS: Mapping[str, Preset] = {
    "us": Preset("Parchment Digital Badges (US)", "https://badges.parchment.com", "https://api.badges.parchment.com"),
    "eu": Preset("Parchment Digital Badges (EU)", "https://badges.parchment.eu", "https://api.badges.parchment.eu"),
    "ca": Preset("Parchment Digital Badges (CA)", "https://badges.parchment.ca", "https://api.badges.parchment.ca"),
    "au": Preset("Parchment Digital Badges (AU)", "https://badges.parchment.au", "https://api.badges.parchment.au"),
    "sg": Preset("Parchment Digital Badges (SG)", None, "https://api.badges.parchment.sg"),
    "test": Preset(
        "Parchment Digital Badges (test)",
        "https://test.badges.parchment.com",
        "https://api.test.badges.parchment.com",
    ),
    "demo": Preset("Parchment Digital Badges (demo)", None, "https://api.demo.badges.parchment.com"),
    "us-badgr": Preset("Badgr (US)", "https://badgr.com", "https://api.badgr.io"),
    "eu-badgr": Preset("Badgr (EU)", "https://eu.badgr.com", "https://api.eu.badgr.io"),
    "ca-badgr": Preset("Badgr (CA)", "https://ca.badgr.com", "https://api.ca.badgr.io"),
    "au-badgr": Preset("Badgr (AU)", "https://au.badgr.com", "https://api.au.badgr.io"),
    "sg-badgr": Preset("Badgr (SG)", None, "https://api.sg.badgr.io"),
    "test-badgr": Preset("Badgr (test)", "https://test.badgr.com", "https://api.test.badgr.com"),
    "demo-badgr": Preset("Badgr (demo)", None, "https://api.demo.badgr.com"),
}
