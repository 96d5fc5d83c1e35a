"""The refusal of a picture file."""

from __future__ import annotations


class BadPicture(ValueError):
    """Bytes that are not taken: why, to count by; what was found and expected; what to do."""

    def __init__(self, reason: str, problem: str, hint: str) -> None:
        self.reason, self.problem, self.hint = reason, problem, hint
        super().__init__(f"{problem}; {hint}.")

    def __reduce__(self) -> tuple:  # exceptions with several arguments do not pickle by themselves
        return type(self), (self.reason, self.problem, self.hint)


def damaged(why: str) -> BadPicture:
    """Return the refusal of a file that is cut or damaged, with the reason in words."""
    return BadPicture("damaged", f"is cut or damaged ({why[:120]})", "get it again")
