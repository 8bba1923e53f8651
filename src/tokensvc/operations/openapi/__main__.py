"""`python -m tokensvc.operations.openapi FILE`: write the document of a service at its defaults."""

from __future__ import annotations

import sys
from pathlib import Path

from tokensvc import __version__
from tokensvc.operations.openapi.document import build_document, build_text

Path(sys.argv[1]).write_text(build_text(build_document("http://127.0.0.1:8080", __version__)))
