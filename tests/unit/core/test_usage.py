from __future__ import annotations

from tokensvc.core.usage import LastUse, Usage

HOUR = 1_800_000_000
USE = LastUse(HOUR + 5, "10.0.0.0/24", "api")


def test_uses_are_summed_by_key_hour_and_outcome():
    usage = Usage(10)
    usage.add_issued("a", USE)
    usage.add_issued("a", USE._replace(at=HOUR + 3599, audience="other"))
    usage.add("a", "disabled", HOUR + 3600)
    assert usage.sums == {(HOUR, "issued"): {"a": 2}, (HOUR + 3600, "disabled"): {"a": 1}}
    assert usage.waiting == 2
    assert usage.last == {"a": USE._replace(at=HOUR + 3599, audience="other")}


def test_what_is_too_much_is_dropped_and_counted_as_dropped():
    usage = Usage(1)
    usage.add_issued("a", USE)
    usage.add_issued("b", USE)
    usage.add_issued("a", USE)
    assert (usage.sums, usage.dropped) == ({(HOUR, "issued"): {"a": 2}}, 1)
    assert list(usage.last) == ["a"]


def test_what_could_not_be_written_is_taken_back_and_does_not_hide_what_is_newer():
    old, new = Usage(10), Usage(10)
    old.add_issued("a", USE)
    old.add_issued("b", USE)
    new.add_issued("a", USE._replace(at=HOUR + 60))
    new.take_back(old)
    assert new.sums == {(HOUR, "issued"): {"a": 2, "b": 1}}
    assert new.last == {"a": USE._replace(at=HOUR + 60), "b": USE}


def test_places_are_kept_where_a_key_was_used_before_its_last_use():
    old, new = Usage(10), Usage(10)
    old.add_issued("a", USE._replace(network="10.0.1.0/24"))
    old.add_issued("a", USE)
    new.add_issued("a", USE._replace(network="10.0.2.0/24"))
    new.take_back(old)
    assert new.places == {("a", "10.0.1.0/24"), ("a", "10.0.0.0/24")}
