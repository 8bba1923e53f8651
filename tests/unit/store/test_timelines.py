"""The newest timeline that was seen outlives the process, in a small file."""

from __future__ import annotations

import json
import stat

import pytest

from tokensvc.core.primary import HostState, SeenTimelines, decide_primary
from tokensvc.store.timelines import FILE_NAME, TimelineFile, Timelines

OURS, OTHER = 7001, 7002


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "data", tmp_path / "keys"


def choose(timelines, timeline, *, cluster=OURS, host="one:5432"):
    """Let a process find one primary; return what it thinks of it."""
    state = HostState(host=host, server=host, is_standby=False, cluster=cluster, timeline=timeline)
    choice = decide_primary([state], timelines.recall())
    timelines.remember(choice)
    return choice.problem


def new_process(folders, *, may_make=False):
    return Timelines(TimelineFile(folders, may_make=may_make))


def test_f44_a_process_that_starts_later_refuses_an_older_primary(folders):
    folders[1].mkdir()
    assert choose(new_process(folders), 2) is None
    assert choose(new_process(folders), 1) == "old_primary"
    assert choose(new_process(folders), 2) is None
    assert choose(new_process(folders), 3) is None


def test_the_file_lies_in_the_first_folder_that_is_there_and_only_its_owner_reads_it(folders):
    folders[1].mkdir()
    choose(new_process(folders), 2)
    written = folders[1] / FILE_NAME
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert json.loads(written.read_text()) == {"cluster": OURS, "timelines": {str(OURS): 2}}
    folders[0].mkdir()
    choose(new_process(folders), 3)
    assert json.loads((folders[0] / FILE_NAME).read_text())["timelines"] == {str(OURS): 3}
    assert sorted(path.name for folder in folders for path in folder.iterdir()) == [FILE_NAME] * 2
    assert choose(new_process(folders), 2) == "old_primary", "both files count"


def test_a_service_makes_the_data_folder_if_there_is_neither_and_a_command_does_not(folders):
    assert choose(new_process(folders), 2) is None
    assert not folders[0].exists()
    choose(new_process(folders, may_make=True), 2)
    assert (folders[0] / FILE_NAME).is_file()
    assert stat.S_IMODE(folders[0].stat().st_mode) == 0o700


def test_what_another_process_has_seen_meanwhile_counts_and_ends_older_connections(folders):
    folders[0].mkdir()
    first, second = new_process(folders), new_process(folders)
    assert [choose(process, 1) for process in (first, second)] == [None, None]
    assert choose(first, 2) is None
    assert (first.changes, second.changes) == (1, 0)
    assert choose(second, 1) == "old_primary"
    assert second.changes == 1
    assert choose(second, 2) is None
    assert second.changes == 1


def test_two_processes_that_write_at_once_end_up_with_the_newest(folders):
    folders[0].mkdir()
    fast, slow = new_process(folders), new_process(folders)
    fast.recall()
    slow.recall()
    choose(fast, 3)
    slow.seen = SeenTimelines()  # it has read the file before the fast one has written
    (folders[0] / FILE_NAME).write_text(f'{{"cluster": {OURS}, "timelines": {{"{OURS}": 2}}}}')
    assert choose(fast, 3) is None
    assert choose(new_process(folders), 2) == "old_primary"


def test_nothing_is_written_while_nothing_is_new(folders):
    folders[0].mkdir()
    timelines = new_process(folders)
    choose(timelines, 2)
    before = (folders[0] / FILE_NAME).stat().st_ino
    for _ in range(3):
        choose(timelines, 2)
        choose(new_process(folders), 2)
    assert (folders[0] / FILE_NAME).stat().st_ino == before


def test_another_cluster_is_said_once_and_is_the_one_from_then_on(folders, logs):
    folders[0].mkdir()
    choose(new_process(folders), 5)
    timelines = new_process(folders)
    for _ in range(3):
        assert choose(timelines, 1, cluster=OTHER) is None
    (said,) = logs.find("other_cluster")
    assert (said["level"], said["host"], said["cluster"]) == ("warning", "one:5432", OTHER)
    assert choose(new_process(folders), 1, cluster=OTHER) is None
    assert len(logs.find("other_cluster")) == 1
    assert choose(new_process(folders), 4) == "old_primary", "the first cluster is not forgotten"


def test_connections_end_when_it_becomes_unclear_which_server_is_the_primary():
    timelines = Timelines()
    choose(timelines, 1)
    twins = [
        HostState(host=host, server=host, is_standby=False, cluster=OURS, timeline=1)
        for host in ("one", "two")
    ]
    for _ in range(3):
        timelines.remember(decide_primary(twins, timelines.recall()))
    assert timelines.changes == 1


@pytest.mark.parametrize(
    "content", ["", "nonsense", "[]", "{}", '{"cluster": null, "timelines": {"x": 1}}', '"x"']
)
def test_a_file_that_cannot_be_read_is_said_once_and_replaced(folders, logs, content):
    folders[0].mkdir()
    (folders[0] / FILE_NAME).write_text(content)
    timelines = new_process(folders)
    assert choose(timelines, 2) is None
    assert choose(timelines, 2) is None
    assert len(logs.find("timelines_not_read")) == 1
    assert choose(new_process(folders), 1) == "old_primary"


def test_a_folder_that_cannot_be_written_to_leaves_it_to_the_next_one(folders, logs):
    for folder in folders:
        folder.mkdir()
    (folders[0] / FILE_NAME).mkdir()  # whoever we are, a folder is not replaced by a file
    choose(new_process(folders), 2)
    assert (folders[1] / FILE_NAME).is_file()
    assert [path.name for path in folders[0].iterdir()] == [FILE_NAME]
    assert logs.find("timelines_not_read")
