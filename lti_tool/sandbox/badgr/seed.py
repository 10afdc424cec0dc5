"""The accounts and badges that every sandbox Badgr starts with: one user of each role, and one outside."""

from lti_tool.sandbox.badgr.config import BadgrConfig
from lti_tool.sandbox.badgr.pictures import badge, issuer
from lti_tool.sandbox.badgr.state import BadgeClass, BadgrState, Issuer, User


def seeded(config: BadgrConfig) -> BadgrState:
    """A fresh state with them."""
    state = BadgrState(config)
    owner = User("Olive", "Owner", "owner@example.org")
    editor = User("Eddy", "Editor", "editor@example.org")
    staff = User("Stan", "Staff", "staff@example.org")
    outsider = User("Otto", "Outsider", "outsider@example.org")
    unverified = User("Uma", "Unverified", "unverified@example.org", verified=False)
    # A learner's own account, with another address than the LMS's.
    learner = User("Lea", "Learner", "lea@home.example.org")
    for user in (owner, editor, staff, outsider, unverified, learner):
        state.users[user.entity_id] = user
    university = Issuer(
        "Loopback University",
        "owner@example.org",
        "https://university.example.org/",
        "Test issuer",
        {owner.entity_id: "owner", editor.entity_id: "editor", staff.entity_id: "staff"},
        owner.entity_id,
        issuer("LU"),
    )
    college = Issuer(
        "Otto's College",
        "outsider@example.org",
        "https://college.example.org/",
        "Another issuer",
        {outsider.entity_id: "owner"},
        outsider.entity_id,
        issuer("OC"),
    )
    for place in (university, college):
        state.issuers[place.entity_id] = place
    for number, (where, name, initials) in enumerate((
        (university, "Algebra I", "A1"),
        (university, "Algebra II", "A2"),
        (university, "Laboratory Safety", "LS"),
        (university, "First Aid", "FA"),
        (college, "College Badge", "CB"),
    )):  # fmt: skip
        made = BadgeClass(
            where.entity_id,
            name,
            f"Awarded for {name}",
            f"Pass **{name}**.",
            where.created_by,
            badge(initials, number),
            tags=["test"],
            criteria_url="https://university.example.org/criteria",
        )
        if name == "First Aid":
            made.expires = {"amount": 1, "duration": "years"}
        state.badge_classes[made.entity_id] = made
    return state
