"""Columns of numbers are read in the byte order of the network."""

from __future__ import annotations

import struct
import sys
from array import array

from tokensvc.core.denylist.columns import _read_array


def test_numbers_are_read_on_every_processor(monkeypatch):
    numbers = array("q", [1, -2, 2**62])
    assert _read_array("q", struct.pack(">3q", *numbers)) == numbers
    monkeypatch.setattr(sys, "byteorder", "big" if sys.byteorder == "little" else "little")
    in_other_order = array("q", numbers)
    if sys.byteorder == "little":
        in_other_order.byteswap()
    assert _read_array("q", in_other_order.tobytes()) == numbers
