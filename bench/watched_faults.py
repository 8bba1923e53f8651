"""What must not happen: it is listed by kind, and by what was late meanwhile."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from bench.watched_machine import Machine

_SAMPLES: Final = 8  # so many faults of a kind are shown


class Fault(NamedTuple):
    """Something that must not happen. `was_late`: it is one because it took too long."""

    kind: str
    detail: object
    noticed_on: float
    was_late: bool


class Faults:
    """What must not happen and did.

    What took too long may be the fault of a machine that had no processor for the product, or of a
    measurement that looked too late. That is listed apart. Nothing else is ever excused.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._noticed: list[Fault] = []

    def note(self, kind: str, detail: object = "") -> None:
        """Note a fault that no slowness excuses."""
        self._noticed.append(Fault(kind, detail, time.monotonic(), was_late=False))

    def note_late(self, kind: str, detail: object = "") -> None:
        """Note what should have happened by now."""
        self._noticed.append(Fault(kind, detail, time.monotonic(), was_late=True))

    def report(self) -> int:
        """Print all faults; return how many are the product's."""
        found: defaultdict[tuple[str, str | None], list[str]] = defaultdict(list)
        for fault in self._noticed:
            who, figures = self._machine.find_excuse(fault.noticed_on)
            excuse, detail = (who, f"; {figures}") if fault.was_late else (None, "")
            found[fault.kind, excuse].append(f"{fault.detail}{detail}")
        for (kind, excuse), details in found.items():
            how = "FAULT" if excuse is None else f"apart, because {excuse} was late"
            print(f"  {how}, {len(details)} times: {kind}")
            for detail in list(dict.fromkeys(details))[:_SAMPLES]:
                print(f"    {detail}")
        print(f"  {self._machine.describe()}")
        return sum(len(details) for (_, excuse), details in found.items() if excuse is None)
