"""What an administrator clicks where, in each family of LMS, when a part of the connection does not work."""

# The names of menus are those of the vendors' documentation; docs/administrator.md has the whole ways.
_GENERAL = {
    "keys": "Check the key set address on the page of this LMS, and whether this machine can reach it.",
    "scopes": "Ask the administrator of the LMS to switch this service on for Badges.",
    "roster": "Ask the administrator of the LMS to let Badges read names and roles (NRPS).",
    "email": "Ask the administrator of the LMS to let Badges see e-mail addresses.",
    "launch": "Open Badges from a course as a teacher, then check again.",
}
_FAMILIES = {
    "moodle": {
        "scopes": (
            "In Moodle: Site administration → Plugins → Activity modules → External tool → Manage tools → Badges → "
            "Services: set IMS LTI Assignment and Grade Services to “Use this service for grade sync and column "
            "management”, and IMS LTI Names and Role Provisioning to “Use this service”."
        ),
        "roster": (
            "In Moodle: Manage tools → Badges → Services: set IMS LTI Names and Role Provisioning to “Use this service "
            "to retrieve members' information”."
        ),
        "email": "In Moodle: Manage tools → Badges → Privacy: set “Share launcher's email with tool” to Always.",
    },
    "canvas": {
        "scopes": (
            "In Canvas: Admin → Developer Keys → Badges → Edit: under LTI Advantage Services switch on everything "
            "that Badges asks for; then check that the key is On."
        ),
        "roster": (
            "In Canvas: Admin → Developer Keys → Badges → Edit: switch on “Can retrieve user data associated with the "
            "context the tool is installed in”."
        ),
        "email": (
            "In Canvas: Admin → Developer Keys → Badges → Edit: set the privacy level to Public. At a lower level "
            "Canvas withholds e-mail addresses."
        ),
    },
    "brightspace": {
        "scopes": (
            "In Brightspace: Admin Tools → Manage Extensibility → LTI Advantage → Badges: switch on Assignment and "
            "Grade Services and Names and Role Provisioning Services, here and in the deployment."
        ),
        "email": (
            "In Brightspace: Admin Tools → External Learning Tools → the deployment of Badges → Security Settings: "
            "switch on Email, First Name and Last Name."
        ),
    },
    "blackboard": {
        "scopes": (
            "In Blackboard: Administrator Panel → LTI Tool Providers → Badges → Edit: allow grade service access and "
            "membership service access."
        ),
        "email": (
            "In Blackboard: Administrator Panel → LTI Tool Providers → Badges → Edit: under User Fields to Send choose "
            "Name and Email Address."
        ),
    },
    "sakai": {
        "scopes": "In Sakai: Administration Workspace → External Tools → Badges → Edit: allow gradebook and roster.",
        "email": "In Sakai: Administration Workspace → External Tools → Badges → Edit: send email addresses.",
    },
}
_OTHER_NAMES = {
    "desire2learn": "brightspace",
    "d2l": "brightspace",
    "blackboardlearn": "blackboard",
    "blackboard learn": "blackboard",
}


def for_family(family: str, topic: str) -> str:
    """The advice for a topic (keys, scopes, roster, email, launch) in a family of LMS (`product_family_code`)."""
    name = family.strip().lower()
    own = _FAMILIES.get(_OTHER_NAMES.get(name, name), {})
    return own.get(topic) or own.get("scopes" if topic == "roster" else topic) or _GENERAL[topic]
