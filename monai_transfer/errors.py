"""The errors a user can cause, all with the same four parts."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave breaks a rule.

    Reads ``<where>: <what> must <rule>, got <value>. <What to do.>``

    Args:
        where: file, subject, option or object the fault is in.
        what: the quantity at fault.
        rule: what it must do or be, after the word "must".
        got: the offending value; ``None`` leaves the clause out.
        todo: what the user can do about it, a full sentence.

    Example:
        >>> print(InputError("sub-01", "label", "hold 0, 1, 2 or 4", got=3, todo="Map the value."))
        sub-01: label must hold 0, 1, 2 or 4, got 3. Map the value.
    """

    def __init__(
        self, where: str, what: str, rule: str, *, got: object = None, todo: str = ""
    ) -> None:
        self.where, self.what, self.rule, self.got, self.todo = where, what, rule, got, todo
        value = "" if got is None else f", got {got}"
        super().__init__(f"{where}: {what} must {rule}{value}. {todo}".rstrip())


def choice(where: str, what: str, got: str, options: Iterable[str]) -> InputError:
    """An :class:`InputError` for a name that is not one of `options`, with the closest ones.

    Up to fifteen options are listed.

    Example:
        >>> print(choice("train.json", "strategy", "al", ["all", "head"]))
        train.json: strategy must be one of all, head, got al. Did you mean all?
    """
    known = sorted(options)
    close = difflib.get_close_matches(got, known, n=2)
    hint = f"Did you mean {' or '.join(close)}?" if close else ""
    listed = ", ".join(known) if len(known) <= 15 else f"the {len(known)} known ones"
    return InputError(where, what, f"be one of {listed}", got=got, todo=hint)
