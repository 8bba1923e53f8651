"""`python -m bench`: exchanges per second, and the latency of revocation.

The other modules take longer, and prove more.
"""

from __future__ import annotations

import sys

from bench import revocation, throughput

if __name__ == "__main__":
    sys.exit(throughput.main() or revocation.main())
