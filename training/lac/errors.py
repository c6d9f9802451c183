"""What a user can mend, said in one line."""


class UserError(Exception):
    """The user can mend it: a flag, a file, a checkpoint. Exit code 2."""

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        got: object = None,
        allowed: str | None = None,
        fix: str | None = None,
    ) -> None:
        place = "" if where is None else f" ({where})"
        against = [] if got is None else [f"got {got}"]
        against += [] if allowed is None else [f"allowed: {allowed}"]
        details = "" if not against else f": {'; '.join(against)}"
        super().__init__(f"{what}{place}{details}." + ("" if fix is None else f" {fix}"))


class BadDocument(Exception):
    """A row that cannot be trained on, and why. It is named and left out."""
