"""What every page is made of, whatever people have called their things."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

import pytest
from tests.browser.visits import VISITS
from tests.integration.things import make_key
from tests.web.browsing import open_browser
from yarl import URL

from tokensvc.web.dashboard.pages import PAGES

# Markup, quotes, a script from right to left, and letters as wide as there are.
HOSTILE = "\"><script>alert('1')</script><b>' onload=x &amp; {{ 7*7 }} \u0634\u0631\u0643\u0629 "
HOSTILE += "W" * (200 - len(HOSTILE))
_MOST_OPTIONS = 8  # of a list; where there are more, they are all alike
SHOWN = [page.path for page in PAGES if page.method == "GET" and page.template]
# Pages that name nothing that people have named.
NAMELESS = {
    "/sign-in", "/sign-in/done", "/accounts/new", "/accounts/tiers/new", "/capabilities/new",
    "/audiences/new", "/signing-keys", "/signing-keys/rotate", "/signing-keys/{kid}",
    "/signing-keys/jwks", "/signing-keys/{kid}/revoke", "/denylist/revoke", "/decoder", "/health",
    "/reference", "/reference/{subject}", "/reference/{subject}/{name}", "/notices/{id}/delete",
    "/notices/deliveries",
}  # fmt: skip


class Markup(HTMLParser):
    """What stands in a page: scripts, attributes, ids, labels, lists of options, addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.named: set[str] = set()  # by labels and descriptions
        self.lists: list[tuple[str, str, list[str]]] = []  # where to, the name, the options
        self.links: set[str] = set()
        self.forms: set[tuple[str, str]] = set()
        self.faults: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "script" and "src" not in given and given.get("type") != "application/json":
            self.faults.append("a script of its own")
        self.faults += [name for name in given if name.startswith("on") or name == "style"]
        if "id" in given:
            self.ids[given["id"]] += 1
        if tag != "dialog":  # a script fetches what is in it
            for name in ("for", "aria-describedby", "aria-labelledby", "popovertarget"):
                self.named.update(given.get(name, "").split())
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag == "form":
            self._form = given["method"].upper(), given["action"]
            self.forms.add(self._form)
        elif tag == "select":
            method, action = self._form
            self.lists.append((action if method == "GET" else "", given["name"], []))
        elif tag == "option":
            self.lists[-1][2].append(given["value"])

    @property
    def repeated(self) -> list[str]:
        """Ids and options that stand twice where they must not."""
        lists = [self.ids, *(Counter(options) for _, _, options in self.lists)]
        return [name for each in lists for name, count in each.items() if count > 1]

    @property
    def filters(self) -> list[str]:
        """Addresses of lists as the choices of a page filter and sort them, each by one option."""
        return [
            f"{action}?{urlencode({name: option})}"
            for action, name, options in self.lists
            for option in options[:_MOST_OPTIONS]
            if action
        ]


@pytest.fixture
async def things(client, admin):
    """Ids of what bears the name, by the words that stand for them in VISITS."""
    await admin("POST /v1/capabilities", {"name": "orders:read", "description": HOSTILE})
    address = "https://orders.acme.example"
    await admin("POST /v1/audiences", {"name": address, "description": HOSTILE})
    tier = (await admin("GET /v1/tiers/default")).body
    limits = {name: tier[name] for name in ("key_per_minute", "key_per_day")}
    await admin("PATCH /v1/tiers/default", {"description": HOSTILE, **limits})
    account = (await admin("POST /v1/accounts", {"name": HOSTILE})).body["id"]
    wish = {
        "account": account,
        "name": HOSTILE,
        "description": HOSTILE,
        "capabilities": ["orders:read"],
        "metadata": {"<b>": HOSTILE},
        "claims": {"region": HOSTILE},
    }
    key, revoked = [(await admin("POST /v1/keys", wish)).body for _ in range(2)]
    leak = {"key": key["key"], "url": f"https://x.example/{HOSTILE}"[:200], "source": "commit"}
    assert (await admin("POST /v1/leaks", {"leaks": [leak]})).status == 202
    for act in ("enable", "revoke-tokens"):
        assert (await admin(f"POST /v1/keys/{key['id']}/{act}", {})).status == 200
    gone = await admin(f"POST /v1/keys/{revoked['id']}/revoke", {"reason": HOSTILE})
    assert gone.status == 200
    await client.get("/v1/denylist?follower=" + "w" * 64)
    hook = {"url": "https://hooks.acme.example/x", "description": HOSTILE, "account": account}
    endpoint = (await admin("POST /v1/notice-endpoints", hook)).body["id"]
    await admin(f"POST /v1/notice-endpoints/{endpoint}/test", {})
    kid = (await admin("GET /v1/signing-keys")).body["items"][0]["kid"]
    return {
        "key": key["id"],
        "revoked": revoked["id"],
        "account": account,
        "endpoint": endpoint,
        "kid": kid,
    }


async def test_t29_every_page_is_sound_and_takes_names_for_text(client, database, things, subtests):
    admin = await make_key(database, name=HOSTILE, capabilities=("tokensvc:admin",))
    browser = await open_browser(client, admin)
    routes = client.app.router
    for path in SHOWN:
        with subtests.test(msg=path):
            page = await browser.get(VISITS[path].format(**things))
            assert page.status in {200, 303}, page.words
            if page.status == 303:
                continue
            markup = Markup(page.text)
            assert markup.faults == []
            assert markup.repeated == []
            assert markup.named - markup.ids.keys() == set()
            assert "&lt;script&gt;" in page.text or path in NAMELESS
            found = [("GET", link) for link in markup.links if link.startswith("/")]
            dead = [each for each in [*found, *markup.forms] if not leads(routes, *each)]
            assert dead == []
            for address in markup.filters:
                listed = await browser.get(address.removeprefix("/dashboard"))
                assert listed.status == 200, address


def leads(routes, method, address):
    """Tell whether an address of ours leads to a page, not to the one that says there is none."""
    path = urlsplit(address).path
    if path.startswith("/dashboard/static/"):
        return True
    for resource in routes.resources():
        if method in {route.method for route in resource}:
            match = resource.get_info().get("path") == path or (
                "pattern" in resource.get_info()
                and resource.get_info()["pattern"].fullmatch(URL(path).raw_path)
            )
            if match and "{rest" not in resource.canonical:
                return True
    return False
