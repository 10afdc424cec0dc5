"""The errors that a visitor or a caller may be told about, in plain words."""


class LtiBadgesError(Exception):
    """Something was refused; `status` is the HTTP status, `title` what happened, `advice` what to do next."""

    status = 400
    title = "That did not work"

    def __init__(self, advice: str, title: str | None = None) -> None:
        super().__init__(advice)
        self.advice = advice
        self.title = title or self.title


class NotFoundError(LtiBadgesError):
    """It is not there, or not for this visitor: both look the same from outside."""

    status = 404
    title = "This page was not found"


class InvalidInputError(LtiBadgesError):
    """What was typed or sent cannot be taken; the advice names the field."""

    title = "Please check what you entered"


class ConflictError(LtiBadgesError):
    """The request was fine, but things have moved on since the page was opened."""

    status = 409
    title = "This has changed meanwhile"


class OutdatedError(ConflictError):
    """What somebody decided on is not what they were shown any more: nothing was done, and they look again."""
