"""The event log: whole lines or none, read by one who follows while it is written."""

import errno
import os

import pytest

from worker.event_log import EventLog, read_events
from worker.event_tail import EventTail


@pytest.fixture
def disk(monkeypatch):
    """A disk whose room, in bytes, can be set; a write that exceeds it is done in part, the next one refused."""
    write = os.write
    room = [10**9]

    def limited(descriptor, content):
        fitting = bytes(content)[: room[0]]
        if not fitting:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= len(fitting)
        return write(descriptor, fitting)

    monkeypatch.setattr(os, "write", limited)
    return room


def messages(events):
    return [event.message for event in events]


@pytest.mark.parametrize("left", [0, 1, 30, 79])
def test_a_line_that_does_not_fit_leaves_nothing_and_the_next_one_has_its_number(tmp_path, disk, left):
    file = tmp_path / "events.jsonl"
    log = EventLog(file, 1)
    log.write("log", message="first")
    before = file.read_bytes()
    disk[0] = left
    with pytest.raises(OSError, match="No space left"):
        log.write("log", message="second")
    assert file.read_bytes() == before
    disk[0] = 10**9
    log.write("log", message="third")
    log.close()
    assert [(event.seq, event.message) for event in read_events(file)] == [(1, "first"), (2, "third")]


def test_a_write_that_takes_several_goes_is_one_line(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:7]))
    log = EventLog(tmp_path / "events.jsonl", 1)
    log.write("log", message="in pieces")
    log.close()
    assert messages(read_events(tmp_path / "events.jsonl")) == ["in pieces"]


def test_one_who_follows_is_not_misled_by_half_a_line_that_is_taken_back(tmp_path):
    file = tmp_path / "events.jsonl"
    log = EventLog(file, 1)
    with EventTail(file, 1) as tail:
        log.write("log", message="first")
        whole = file.stat().st_size
        with file.open("ab") as torn:
            torn.write(b'{"kind":"log","attempt":1,"seq":2,')
        assert messages(tail.read()) == ["first"]
        os.truncate(file, whole)
        log.write("log", message="second")
        with file.open("ab") as other:
            other.write(b"\n")
        log.write("log", message="third")
        assert messages(tail.read()) == ["second", "third"]
        assert tail.read() == []
    log.close()
