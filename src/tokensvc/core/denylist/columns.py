"""Records held as columns, so that a million of them fit into memory.

A `RevocationRecord` with all that belongs to it takes about 600 bytes. The same facts in columns
take about 70, besides the value, which the table for lookups shares.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.record import ENDINGS, Ending, RevocationRecord
from tokensvc.core.denylist.revocation import Revocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_TAG_BYTES: Final = 32  # the longest tag that a cursor can name; shorter ones are padded
_ENDING_NAMES: Final = tuple(ENDINGS)
_ENDING_NUMBERS: Final[dict[Ending, int]] = {name: n for n, name in enumerate(_ENDING_NAMES)}
_KINDS: Final = tuple(facts.kind for facts in ENDINGS.values())
_HEALED: Final = 0x80  # beside the number of the ending
_NUMBER: Final = 0x7F


class RecordRow(NamedTuple):
    """A record as a row. The moments are seconds since 1970, with their microseconds."""

    seq: int
    tag: str
    value: str
    expires_at: float
    watermark: float | None
    created_at: float
    ending: Ending
    healed: bool


class RecordColumns:
    """Records in order of `seq`. They are appended at one end and dropped at the other."""

    __slots__ = ("_created", "_endings", "_exps", "_seqs", "_tags", "_values", "_watermarks")

    def __init__(self) -> None:
        self._seqs = array("q")
        self._tags = bytearray()
        self._values: list[str] = []
        self._exps = array("q")
        self._watermarks = array("d")  # NaN: there is none
        self._created = array("d")
        self._endings = bytearray()

    @classmethod
    def of(cls, records: Iterable[RevocationRecord]) -> Self:
        """Return columns that hold `records`."""
        made = cls()
        made.extend_rows([_row(record) for record in records])
        return made

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._seqs)

    def __iter__(self) -> Iterator[RevocationRecord]:
        """Go through the records, oldest first."""
        return map(self.record, range(len(self)))

    def extend_rows(self, rows: Sequence[Iterable[Any]]) -> None:
        """Append rows: the fields of each are those of `RecordRow`, in that order."""
        if not rows:
            return
        seqs, tags, values, ends, watermarks, created, endings, healed = zip(*rows, strict=True)
        self._seqs.extend(seqs)
        self._tags += b"".join(tag.encode("ascii").ljust(_TAG_BYTES, b"\0") for tag in tags)
        self._values.extend(values)
        self._exps.extend(map(int, ends))
        self._watermarks.extend(math.nan if mark is None else mark for mark in watermarks)
        self._created.extend(created)
        self._endings += bytes(
            _ENDING_NUMBERS[ending] | (_HEALED if is_healed else 0)
            for ending, is_healed in zip(endings, healed, strict=True)
        )

    def extend(self, other: RecordColumns) -> None:
        """Append the records of other columns."""
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))

    def cut(self, start: int, stop: int) -> RecordColumns:
        """Return a copy of the records from `start` to before `stop`."""
        made = RecordColumns()
        for name in self.__slots__:
            width = _TAG_BYTES if name == "_tags" else 1
            setattr(made, name, getattr(self, name)[width * start : width * stop])
        return made

    def drop_first(self, count: int) -> None:
        """Drop the first `count` records."""
        for name in self.__slots__:
            width = _TAG_BYTES if name == "_tags" else 1
            del getattr(self, name)[: width * count]

    def find_index(self, seq: int) -> int:
        """Return the index of the first record whose number is `seq` or greater."""
        return bisect_left(self._seqs, seq)

    def holds(self, position: Position) -> bool:
        """Tell whether there is a record at `position`."""
        index = self.find_index(position.seq)
        return index < len(self) and self.position(index) == position

    def seq(self, index: int) -> int:
        """Return the number of a record."""
        return self._seqs[index]

    def exp(self, index: int) -> int:
        """Return the moment after which a record may be forgotten."""
        return self._exps[index]

    def position(self, index: int) -> Position:
        """Return the position of a record."""
        tag = self._tags[_TAG_BYTES * index : _TAG_BYTES * (index + 1)]
        return Position(self._seqs[index], tag.rstrip(b"\0").decode("ascii"))

    def created_at(self, index: int) -> datetime:
        """Return the moment at which a record was made."""
        return datetime.fromtimestamp(self._created[index], UTC)

    def record(self, index: int) -> RevocationRecord:
        """Return one record."""
        watermark, number = self._watermarks[index], self._endings[index]
        return RevocationRecord(
            position=self.position(index),
            revocation=self._revocation(index),
            ending=_ENDING_NAMES[number & _NUMBER],
            healed=bool(number & _HEALED),
            watermark=None if math.isnan(watermark) else datetime.fromtimestamp(watermark, UTC),
            created_at=self.created_at(index),
        )

    def revocations(self) -> Iterator[Revocation]:
        """Go through what followers get to know of the records."""
        return map(self._revocation, range(len(self)))

    def _revocation(self, index: int) -> Revocation:
        watermark = self._watermarks[index]
        return Revocation(
            _KINDS[self._endings[index] & _NUMBER],
            self._values[index],
            self._exps[index],
            None if math.isnan(watermark) else int(watermark),
        )


def _row(record: RevocationRecord) -> RecordRow:
    return RecordRow(
        seq=record.position.seq,
        tag=record.position.tag,
        value=record.revocation.value,
        expires_at=record.revocation.exp,
        watermark=None if record.watermark is None else record.watermark.timestamp(),
        created_at=record.created_at.timestamp(),
        ending=record.ending,
        healed=record.healed,
    )
