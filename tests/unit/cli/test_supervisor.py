"""What systemd is told about the service."""

from __future__ import annotations

import os
import socket

import pytest

from tokensvc.cli.supervisor import Supervisor, take_supervisor


@pytest.fixture
def news():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(10)
        yield listener


def test_a_supervisor_is_told_in_a_socket_of_the_file_system(news, tmp_path):
    address = str(tmp_path / "news")
    news.bind(address)
    Supervisor(address).say("READY=1")
    assert news.recv(100) == b"READY=1"


def test_a_supervisor_is_told_in_the_abstract_namespace(news):
    name = f"tokensvc-test-{os.getpid()}"
    news.bind(f"\0{name}")
    Supervisor(f"@{name}").say("READY=1")
    assert news.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/news", "@nobody-listens", "x" * 200])
def test_a_supervisor_that_is_not_there_changes_nothing(address):
    Supervisor(address).say("READY=1")


def test_programs_that_the_service_starts_do_not_inherit_its_supervisor(
    news, tmp_path, monkeypatch
):
    address = str(tmp_path / "news")
    news.bind(address)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    supervisor = take_supervisor()
    assert "NOTIFY_SOCKET" not in os.environ
    supervisor.say("READY=1")
    assert news.recv(100) == b"READY=1"
