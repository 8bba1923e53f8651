"""structlog without rich.

structlog imports rich, if it is there, to colour lines for people. Ours are JSON. In a service rich
would be used for nothing else, and takes 4 MB of each process.
"""

from __future__ import annotations

import sys

_blocks = "rich" not in sys.modules
if _blocks:
    sys.modules["rich"] = None  # type: ignore[assignment] # to import it raises ImportError
try:
    import structlog
finally:
    if _blocks:
        del sys.modules["rich"]

__all__ = ["structlog"]
