from __future__ import annotations

import stat

import pytest

from tokensvc.core.api_key import new_api_key

URL = "http://127.0.0.1:9"


@pytest.fixture
def secret():
    return new_api_key().text


def test_a_profile_keeps_the_key_where_only_its_user_reads_it_and_never_shows_it(
    offline_cli, secret, tmp_path
):
    cli = offline_cli
    added = cli(f"profile add work --url {URL}", stdin=f"{secret}\n")
    file = tmp_path / "config" / "tokensvc" / "profiles.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret in file.read_text()
    shown = [added, cli("profile list"), cli("profile list -o json"), cli("profile use work")]
    assert all(secret not in result.output for result in shown)
    assert cli.json("profile list") == [
        {"name": "work", "url": URL, "key": "stored", "in_use": True}
    ]
    away = cli("key list", code=6).stderr
    assert away.startswith(f"tokensvc: {URL} does not answer (Connection refused)")
    assert cli.json("profile remove work")["state"] == "removed"
    assert secret not in file.read_text()
    assert "no profiles yet" in cli("profile list").stderr


def test_a_profile_may_only_name_the_file_of_the_key(offline_cli, secret, tmp_path):
    (tmp_path / "key").write_text(secret)
    row = offline_cli.json(f"profile add work --url {URL} --key-file key")
    assert row["key"] == str(tmp_path / "key")
    assert secret not in (tmp_path / "config" / "tokensvc" / "profiles.json").read_text()
    offline_cli("--profile work key list", code=6)
    (tmp_path / "key").unlink()
    assert "cannot be read" in offline_cli("--profile work key list", code=5).stderr


def test_what_names_a_service_goes_in_an_order(offline_cli, secret, monkeypatch):
    cli, other = offline_cli, "http://127.0.0.1:10"
    cli(f"profile add work --url {URL}", TOKENSVC_API_KEY=secret)
    cli("profile use work")
    monkeypatch.setenv("TOKENSVC_API_KEY", secret)
    assert URL in cli("key list", code=6).stderr
    assert other in cli("key list", code=6, TOKENSVC_URL=other).stderr
    assert f"{URL} does" in cli("--profile work key list", code=6, TOKENSVC_URL=other).stderr
    assert other in cli(f"--url {other} key list", code=6).stderr
    assert "TOKENSVC_DATABASE_URL" in cli("--host key list", code=1).stderr
    cli("profile use --none")
    assert URL in cli("key list", code=6, TOKENSVC_PROFILE="work").stderr
    assert "there is no profile" in cli("--profile gone key list", code=3).stderr
    assert "contradict" in cli("whoami", code=2, TOKENSVC_URL=URL, TOKENSVC_PROFILE="work").stderr


def test_what_works_on_this_machine_alone_refuses_a_service(offline_cli):
    for line in ("init", "migrate", "audit export", "audit prune --before 2020-01-01 --yes"):
        refused = offline_cli(line, code=1, TOKENSVC_URL=URL)
        assert f"TOKENSVC_URL names {URL}" in refused.stderr


@pytest.mark.parametrize("url", ["http://tokens.example", "ftp://x", "tokens.example"])
def test_a_key_goes_over_https_or_loopback_alone(url, offline_cli, secret):
    assert offline_cli(f"--url {url} key list", code=5, TOKENSVC_API_KEY=secret).stderr
    assert offline_cli(f"profile add x --no-key --url {url}", code=5).stderr


def test_a_key_in_the_place_of_a_url_is_not_repeated(offline_cli, secret):
    refused = offline_cli(f"--url {secret} key list", code=5).stderr
    assert "--url must be a URL" in refused
    assert secret not in refused


def test_a_damaged_file_of_profiles_is_told_in_one_line(offline_cli, tmp_path):
    folder = tmp_path / "config" / "tokensvc"
    folder.mkdir(parents=True)
    (folder / "profiles.json").write_text("[]")
    assert "is damaged; remove it" in offline_cli("profile list", code=5).stderr
