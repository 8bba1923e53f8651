"""Records held as columns, so that a million of them fit into memory.

A `RevocationRecord` with all that belongs to it takes about 600 bytes. The same facts in columns
take about 70, besides the value, which the table for lookups shares.
"""

from __future__ import annotations

import math
import sys
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
_PADDING: Final = b" "
_NO_WATERMARK: Final = math.nan
# An ending is its place in ENDINGS here. That is stored nowhere, so the order may change.
_ENDING_NAMES: Final = tuple(ENDINGS)
_ENDING_NUMBERS: Final[dict[Ending, int]] = {name: n for n, name in enumerate(_ENDING_NAMES)}
_KINDS: Final = tuple(facts.kind for facts in ENDINGS.values())


class PackedRecords(NamedTuple):
    """Records as Postgres packs them: each field holds one fact of all of them, in order.

    The numbers are in network byte order: integers of 64 bits, and moments as doubles, which are
    seconds since 1970 with their microseconds. Without a watermark it is NaN. Each tag is padded
    with spaces to 32 bytes, and `healed` has a byte for each record, 0 or 1.
    """

    seqs: bytes
    tags: str
    values: Sequence[str]
    exps: bytes
    watermarks: bytes
    created: bytes
    endings: Sequence[Ending]
    healed: bytes


class RecordColumns:
    """Records in order of `seq`. They are appended at one end and dropped at the other."""

    # Every slot is a column, and the methods below go through all of them by these names.
    __slots__ = (
        "_created", "_endings", "_exps", "_healed", "_seqs", "_tags", "_values", "_watermarks",
    )  # fmt: skip

    def __init__(self) -> None:
        self._seqs = array("q")
        self._tags = bytearray()
        self._values: list[str] = []
        self._exps = array("q")
        self._watermarks = array("d")
        self._created = array("d")
        self._endings = bytearray()
        self._healed = bytearray()

    @classmethod
    def of(cls, records: Iterable[RevocationRecord]) -> Self:
        """Return columns that hold `records`."""
        made = cls()
        for record in records:
            made._append(record)
        return made

    @classmethod
    def unpack(cls, packed: PackedRecords) -> Self:
        """Return columns that hold what Postgres has packed."""
        made = cls()
        made._seqs = _read_array("q", packed.seqs)
        made._tags += packed.tags.encode("ascii")
        made._values += packed.values
        made._exps = _read_array("q", packed.exps)
        made._watermarks = _read_array("d", packed.watermarks)
        made._created = _read_array("d", packed.created)
        made._endings += bytes(map(_ENDING_NUMBERS.__getitem__, packed.endings))
        made._healed += packed.healed
        return made

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._seqs)

    def __iter__(self) -> Iterator[RevocationRecord]:
        """Go through the records, oldest first."""
        return map(self.record, range(len(self)))

    def _append(self, record: RevocationRecord) -> None:
        watermark = record.watermark
        self._seqs.append(record.position.seq)
        self._tags += record.position.tag.encode("ascii").ljust(_TAG_BYTES, _PADDING)
        self._values.append(record.revocation.value)
        self._exps.append(record.revocation.exp)
        self._watermarks.append(_NO_WATERMARK if watermark is None else watermark.timestamp())
        self._created.append(record.created_at.timestamp())
        self._endings.append(_ENDING_NUMBERS[record.ending])
        self._healed.append(record.healed)

    def extend(self, other: RecordColumns) -> None:
        """Append the records of other columns."""
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))

    def cut(self, start: int, stop: int) -> RecordColumns:
        """Return a copy of the records from `start` to before `stop`."""
        made = RecordColumns()
        # Every column has one item for each record, except the tags, which lie end to end.
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
        return Position(self._seqs[index], tag.rstrip(_PADDING).decode("ascii"))

    def created_at(self, index: int) -> datetime:
        """Return the moment at which a record was made."""
        return datetime.fromtimestamp(self._created[index], UTC)

    def record(self, index: int) -> RevocationRecord:
        """Return one record."""
        watermark = self._watermarks[index]
        return RevocationRecord(
            position=self.position(index),
            revocation=self._revocation(index),
            ending=_ENDING_NAMES[self._endings[index]],
            healed=bool(self._healed[index]),
            watermark=None if math.isnan(watermark) else datetime.fromtimestamp(watermark, UTC),
            created_at=self.created_at(index),
        )

    def revocations(self) -> Iterator[Revocation]:
        """Go through what followers get to know of the records."""
        return map(self._revocation, range(len(self)))

    def _revocation(self, index: int) -> Revocation:
        watermark = self._watermarks[index]
        return Revocation(
            _KINDS[self._endings[index]],
            self._values[index],
            self._exps[index],
            None if math.isnan(watermark) else int(watermark),
        )


def _read_array(typecode: str, data: bytes) -> array[Any]:
    """Return the numbers in `data`, which are in network byte order."""
    numbers = array(typecode, data)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
