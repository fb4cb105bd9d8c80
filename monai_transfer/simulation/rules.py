"""What can be simulated, checked before anything is."""

from monai_transfer.errors import InputError, choice
from monai_transfer.simulation.body import DISEASES, RAW
from monai_transfer.simulation.protocols import PROTOCOLS
from monai_transfer.simulation.visits import SESSIONS


def checked_session(disease: str, session: str | None) -> str | None:
    """The session that is meant.

    Raises:
        InputError: one that the disease does not have.
    """
    if disease != "wmh":
        if session is not None:
            raise InputError("simulate", "session", f"be left out for {disease}", got=session)
        return None
    if session is not None and session not in SESSIONS:
        raise choice("simulate", "session", session, SESSIONS)
    return session or SESSIONS[0]


def check_request(
    disease: str, *, spacing_mm: float, seed: int, protocol: str | None, raw: bool = False
) -> None:
    """Refuse what cannot be simulated.

    Raises:
        InputError: for an unknown disease or protocol, raw scans of a cohort that has none, or
            numbers out of range.
    """
    if disease not in DISEASES:
        raise choice("simulate", "disease", disease, DISEASES)
    if raw and disease not in RAW:
        rule = f"be left out for {disease}, which there is prepared only"
        todo = f"Of {', '.join(RAW)} there are raw scans."
        raise InputError("simulate", "raw", rule, todo=todo)
    if protocol is not None and disease == "natural":
        rule = "be left out for natural, whose pictures have no scanner"
        raise InputError("simulate", "protocol", rule, got=protocol)
    if protocol is not None and protocol not in PROTOCOLS:
        raise choice("simulate", "protocol", protocol, PROTOCOLS)
    if protocol is not None and disease == "wmh":
        rule = "be left out for wmh, whose sessions have their own"
        raise InputError("simulate", "protocol", rule, got=protocol)
    if not 0.5 <= spacing_mm <= 10.0:
        raise InputError("simulate", "spacing_mm", "lie between 0.5 and 10", got=spacing_mm)
    if seed < 0:
        raise InputError("simulate", "seed", "be 0 or more", got=seed)
