"""What pages load: styles, scripts, the icon of the tab. Its address changes with its content.

So a browser may keep it for ever, and sees a new release at once. All of it is in memory, and
compressed once.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tokensvc.web.dashboard.guard import HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_IMPORTED: Final = re.compile(r'url\("(vendor/[^"]+)"\)')
_YEAR: Final = "public, max-age=31536000, immutable"
_ASK: Final = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent. `version` is made of its content."""

    content_type: str
    body: bytes
    compressed: bytes
    version: str


@functools.cache
def load_assets() -> Mapping[str, Asset]:
    """Return all files by their names, like "vendor/htmx.min.js"."""
    folder = files("tokensvc.web.dashboard") / "static"
    found: dict[str, Asset] = {}
    # Our own styles come last: they name the versions of what they import from `vendor`.
    for room in ("vendor", ""):
        for file in (folder / room if room else folder).iterdir():
            content_type = _TYPES.get(f".{file.name.rpartition('.')[2]}")
            if content_type is not None:
                name = f"{room}/{file.name}" if room else file.name
                found[name] = _build(content_type, file.read_text("utf-8"), found)
    return found


def _build(content_type: str, text: str, known: Mapping[str, Asset]) -> Asset:
    """Return an asset. A style that imports another one names its version."""
    named = _IMPORTED.sub(lambda found: f'url("{found[1]}?v={known[found[1]].version}")', text)
    body = named.encode("utf-8")
    version = hashlib.sha256(body).hexdigest()[:16]
    return Asset(content_type, body, gzip.compress(body, mtime=0), version)


def build_address(name: str) -> str:
    """Return the address of a file, below the dashboard."""
    return f"/static/{name}?v={load_assets()[name].version}"


async def get_static(request: web.Request) -> web.Response:
    """Send a file."""
    asset = load_assets().get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    headers = {**HEADERS, "Vary": "Accept-Encoding"}
    is_named = request.query.get("v") == asset.version
    headers["Cache-Control"] = _YEAR if is_named else _ASK
    body = asset.body
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        body, headers["Content-Encoding"] = asset.compressed, "gzip"
    return web.Response(
        body=body, headers=headers, content_type=asset.content_type, charset="utf-8"
    )
