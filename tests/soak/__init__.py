"""What takes long: crashes, failovers, installations, many rounds. `make soak` runs it.

A promise that is proved here at length has a short proof elsewhere, which `make test` runs. One
module for each way in which a service is strained; what it shares with the short proof lies in
tests/e2e. A module that needs a program which this machine lacks skips, and says which.
"""

from __future__ import annotations
