"""Checks what an administrator enters for a source beside its secret, as its kind asks for it."""

from collections.abc import Mapping, Sequence

from lti_tool.errors import InvalidInputError
from lti_tool.services.registration import check_url
from lti_tool.settings import Settings
from lti_tool.sources.kind import Option

LONGEST = 2000


def checked(
    settings: Settings, options: Sequence[Option], told: Mapping[str, str], known: Mapping[str, str]
) -> dict[str, str]:
    """What to keep of the options, those that are empty left out; raises InvalidInputError naming one.

    A secret that is left empty stays as it is, unless what it goes with was taken away.
    """
    kept = {option.name: _checked(settings, option, told, known) for option in options}
    kept = {name: value for name, value in kept.items() if value}
    labels = {option.name: option.label for option in options}
    for option in options:
        is_half = option.name in kept and option.needs and option.needs not in kept
        if is_half and option.secret and not told.get(option.name, "").strip():
            # It is not shown, and so cannot be emptied.
            del kept[option.name]
        elif is_half:
            raise InvalidInputError(f"{labels[option.needs]}: is needed with “{option.label}”.")
    return kept


def _checked(settings: Settings, option: Option, told: Mapping[str, str], known: Mapping[str, str]) -> str:
    value = told.get(option.name, "").strip()
    if option.secret and not value:
        value = known.get(option.name, "")
    if option.required and not value:
        raise InvalidInputError(f"{option.label}: must not be empty.")
    if value and option.address:
        check_url(settings, option.label, value)
    if len(value) > LONGEST:
        raise InvalidInputError(f"{option.label}: must have at most {LONGEST} characters.")
    return value
