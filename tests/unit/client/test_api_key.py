"""Where the API key comes from, and what happens to a bad one: with both kinds of source."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.client.loopback import KEY, OTHER_KEY, refusal

from tokensvc.client import KeyFromEnvironment, KeyRejectedError, KeyUnreadableError

INVALID_CLIENT = refusal(401, "invalid_client")


def test_a_key_that_is_rejected_leaves_the_old_token_in_use(new_source, issuer, clock):
    source = new_source()
    source.get()
    issuer.rejected.add(KEY)
    clock.now += 586
    assert [source.get() for _ in range(5)] == ["token-1"] * 5
    assert issuer.asked == 2
    clock.now += 15
    with pytest.raises(KeyRejectedError):
        source.get()


def test_a_key_that_was_replaced_in_its_file_is_used_without_an_error(new_source, issuer, tmp_path):
    path = tmp_path / "key"
    path.write_text(KEY)
    source = new_source(api_key=path)

    def rotate(_request):
        path.write_text(f"{OTHER_KEY}\n")
        return INVALID_CLIENT

    issuer.replies.append(rotate)
    assert source.get() == "token-2"
    assert [request.bearer for request in issuer.received] == [KEY, OTHER_KEY]
    assert "hint tsk-..." in repr(source.source)


def test_a_rejected_key_is_not_sent_again_for_a_moment_but_another_one_is(
    new_source, issuer, clock, tmp_path
):
    path = tmp_path / "key"
    path.write_text(KEY)
    issuer.rejected.add(KEY)
    source = new_source(api_key=path)
    for _ in range(3):
        with pytest.raises(KeyRejectedError, match=f"not accepted: tsk-...{KEY[-4:]}"):
            source.get()
    assert issuer.asked == 1
    path.write_text(OTHER_KEY)
    assert source.get() == "token-2"
    path.write_text(KEY)
    issuer.rejected.clear()
    clock.now += 601
    assert source.get() == "token-3"


def test_the_key_comes_from_a_value_a_file_a_function_or_the_environment(
    new_source, issuer, monkeypatch, tmp_path
):
    (tmp_path / "key").write_text(f"\n{KEY}\n")
    monkeypatch.setenv("TOKENSVC_API_KEY", KEY)
    monkeypatch.setenv("ORDERS_KEY", KEY)
    for place in (KEY, tmp_path / "key", lambda: KEY, None, KeyFromEnvironment("ORDERS_KEY")):
        new_source(api_key=place).get()
    assert [request.bearer for request in issuer.received] == [KEY] * 5


def test_the_key_may_come_from_an_async_function(new_source):
    async def read():
        await asyncio.sleep(0)
        return KEY

    assert new_source(api_key=read).get() == "token-1"


def test_an_async_key_function_that_hangs_is_given_up(new_source):
    async def hang():
        await asyncio.Event().wait()

    with pytest.raises(KeyUnreadableError, match=r"hang: TimeoutError"):
        new_source(api_key=hang, timeout=0.02).get()


def fail():
    raise RuntimeError(f"secret {KEY}")


@pytest.mark.parametrize(
    "place", [fail, lambda: "", lambda: None, lambda: KEY[:-1] + "x", KeyFromEnvironment("NO_SUCH")]
)
def test_the_error_about_an_unreadable_key_does_not_show_what_was_read(place, new_source, issuer):
    source = new_source(api_key=place)
    with pytest.raises(KeyUnreadableError) as raised:
        source.get()
    assert KEY[4:] not in str(raised.value)
    assert issuer.asked == 0


def test_a_missing_key_file_is_an_error_and_is_looked_for_again(new_source, tmp_path):
    source = new_source(api_key=tmp_path / "key")
    with pytest.raises(KeyUnreadableError, match=r"the file .*key: FileNotFoundError"):
        source.get()
    (tmp_path / "key").write_text(KEY)
    assert source.get() == "token-1"
