"""Looking at the dashboard in tests, as a browser does: cookies, forms, where a request is from."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp.test_utils import TestClient

    from tokensvc.issuer.admin.api_keys import NewKey

COOKIE: Final = "__Host-tokensvc"
OURS: Final = {"Sec-Fetch-Site": "same-origin"}
_FORM: Final = re.compile(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)
_WRITTEN: Final = re.compile(r"(<pre\b.*?</pre>|<textarea\b.*?</textarea>)", re.DOTALL)
_CARRIED: Final = re.compile(r'name="(form_token|version)" value="([^"]*)"')


def fold(text: str) -> str:
    """Return HTML without white space between tags, and with a blank for all other.

    What stands in `pre` and `textarea` is left as it is.
    """
    parts = _WRITTEN.split(text)
    parts[::2] = [re.sub(r">\s+<", "><", re.sub(r"\s+", " ", part)) for part in parts[::2]]
    return "".join(parts)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A page as it came back. `text` is HTML, with white space as browsers read it."""

    status: int
    text: str
    headers: Mapping[str, str]
    place: str  # where the browser is sent; empty if it is not

    @property
    def words(self) -> str:
        """What a reader sees, on one line."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.text)).split())

    def find_lock(self, action: str) -> str:
        """Return the lock of a form for this path."""
        return dict(self.find_carried(action))["form_token"]

    def find_carried(self, action: str) -> list[tuple[str, str]]:
        """Return what a form for this path carries unseen: its lock, and the version it shows."""
        for path, inner in _FORM.findall(self.text):
            if html.unescape(path) == f"/dashboard{action}":
                carried = _CARRIED.findall(inner)
                assert "form_token" in dict(carried)
                return carried
        raise AssertionError(f"no form leads to {action}")


@dataclass
class Browser:
    """A browser with its cookies. Paths are below the dashboard."""

    client: TestClient[Any, Any]
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> Shown:
        return await self._send("GET", path, None, headers)

    async def post(
        self,
        path: str,
        fields: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
        *,
        seen: Shown | None = None,
        **headers: str,
    ) -> Shown:
        """Send a form. `seen`: the page that it stands on."""
        pairs = list(fields.items() if hasattr(fields, "items") else fields)
        if seen is not None:
            pairs += seen.find_carried(path)
        return await self._send("POST", path, urlencode(pairs), {**OURS, **headers})

    async def sign_in(self, key: NewKey | str) -> Shown:
        text = key if isinstance(key, str) else key.key.text
        return await self.post("/sign-in", {"api_key": text, "next": "/keys"})

    async def _send(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> Shown:
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        async with self.client.request(
            method, f"/dashboard{path}", data=body, headers=sent, allow_redirects=False
        ) as answer:
            for line in answer.headers.getall("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
                    if not morsel.value:
                        del self.cookies[name]
            text = await answer.text()
            return Shown(
                status=answer.status,
                text=fold(text) if answer.content_type == "text/html" else text,
                headers=answer.headers,
                place=answer.headers.get("Location", ""),
            )


async def open_browser(client: TestClient[Any, Any], key: NewKey) -> Browser:
    """Return a browser in which the holder of a key is signed in."""
    browser = Browser(client)
    signed_in = await browser.sign_in(key)
    assert signed_in.status == 303, signed_in.words
    return browser


def find_fields(page: Shown, action: str) -> list[tuple[str, str]]:
    """Return what a browser would send if nobody changed anything in a form."""
    reader = _FormReader(f"/dashboard{action}")
    reader.feed(page.text)
    return reader.fields


class _FormReader(HTMLParser):
    """Collects the fields of the form with one action."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self._action = action
        self._is_inside = False
        self._area: str | None = None  # the text area that is open
        self._choice: str | None = None  # the list that is open
        self._options: list[tuple[bool, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._is_inside = given.get("action") == self._action
        elif self._is_inside and tag == "input" and "name" in given:
            if given.get("type") not in {"checkbox", "radio"} or "checked" in given:
                self.fields.append((given["name"], given.get("value", "on")))
        elif self._is_inside and tag == "textarea":
            self._area = given["name"]
        elif self._is_inside and tag == "select":
            self._choice, self._options = given["name"], []
        elif tag == "option":
            self._options.append(("selected" not in given, given["value"]))

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.fields.append((self._area, data.removeprefix("\n")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
        elif tag == "textarea":
            self._area = None
        elif tag == "select" and self._choice is not None:
            (_, value) = min(self._options, key=lambda option: option[0])  # else the first
            self.fields.append((self._choice, value))
            self._choice = None
