"""What this process counts and times, for Prometheus.

Labels come from short fixed lists: never a key id, an account or a path.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

EXCHANGES: Final = Counter(
    "tokensvc_exchanges",
    "Exchanges by how they ended: `issued`, or why not, which is finer than what callers are told.",
    ["outcome"],
)
RATE_LIMITED: Final = Counter(
    "tokensvc_rate_limited",
    "Refusals for a limit: `key-minute`, `key-day`, `account-minute`, `account-day`, "
    "`calls-minute`, `dead-credentials` or `leak-reports`.",
    ["policy"],
)
LATE_REFUSALS: Final = Counter(
    "tokensvc_late_refusals", "Refusals that came late because their network is refused often."
)
REQUEST_SECONDS: Final = Histogram(
    "tokensvc_http_request_duration_seconds",
    "From the headers of a request to its answer; the status 499 stands for a poll whose client "
    "hung up before.",
    ["route", "status"],
    buckets=_SECONDS,
)
BATCH_SIZE: Final = Histogram(
    "tokensvc_ledger_batch_size",
    "Requests that were judged by one statement.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
BATCH_SECONDS: Final = Histogram(
    "tokensvc_ledger_batch_duration_seconds",
    "Time that Postgres took for a batch.",
    buckets=_SECONDS,
)
BATCHES_FAILED: Final = Counter(
    "tokensvc_ledger_batches_failed",
    "Batches that Postgres did not judge; their requests were answered 503.",
)
SLOW_LANE_WAITING: Final = Gauge(
    "tokensvc_slow_lane_length",
    "Keys of suspected networks that wait to be looked up.",
    multiprocess_mode="livesum",
)
PROPAGATION_SECONDS: Final = Histogram(
    "tokensvc_denylist_propagation_seconds",
    "From the making of an entry to a follower's receipt for it.",
    buckets=_SECONDS,
)
FOLLOWERS: Final = Gauge(
    "tokensvc_denylist_followers",
    "Followers that prove their names and were heard of within a minute.",
    multiprocess_mode="livemax",
)
UNPROVED_FOLLOWERS: Final = Gauge(
    "tokensvc_denylist_unproved_followers",
    "Followers that show no token and were heard of within a minute.",
    multiprocess_mode="livemax",
)
FOLLOWER_LAG_SECONDS: Final = Gauge(
    "tokensvc_denylist_follower_lag_seconds",
    "Of the followers that prove their names, the worst: age of the first entry that it lacks.",
    multiprocess_mode="livemax",
)
DENYLIST_RESETS: Final = Counter(
    "tokensvc_denylist_resets",
    "How often Postgres had lost part of the denylist that this process held: after a failover, or "
    "because a backup was restored.",
)
DENYLIST_HEALED: Final = Counter(
    "tokensvc_denylist_healed", "Revocations that Postgres had lost and this process wrote again."
)
DENYLIST_ENTRIES: Final = Gauge(
    "tokensvc_denylist_entries",
    "Revocations in force, as far as this process knows.",
    multiprocess_mode="livemax",
)
COPY_AGE_SECONDS: Final = Gauge(
    "tokensvc_copy_age_seconds",
    "How long ago Postgres confirmed the copies that JWKS and feed are answered from.",
    multiprocess_mode="livemax",
)
CLOCK_DIFFERENCE_SECONDS: Final = Gauge(
    "tokensvc_clock_difference_seconds",
    "How far Postgres's clock and this process's are apart, whichever is ahead.",
    multiprocess_mode="livemax",
)
SIGNING_KEYS_REFUSED: Final = Gauge(
    "tokensvc_signing_keys_refused",
    "Signing keys whose row in the database does not agree with the private key in it.",
    multiprocess_mode="livemax",
)
SIGNING_KEYS: Final = Gauge(
    "tokensvc_signing_keys",
    "Signing keys that are pending, active or retiring.",
    ["alg", "phase"],
    multiprocess_mode="livemax",
)
SIGNING_KEY_AGE_SECONDS: Final = Gauge(
    "tokensvc_signing_key_age_seconds",
    "For how long the present signing key has signed.",
    ["alg"],
    multiprocess_mode="livemax",
)
NEXT_ROTATION_AT: Final = Gauge(
    "tokensvc_signing_key_next_rotation_timestamp_seconds",
    "When the next signing key is due to take over, in seconds since 1970; infinite for an "
    "algorithm that no audience asks for.",
    ["alg"],
    multiprocess_mode="livemax",
)
AUDIT_HEAD: Final = Gauge(
    "tokensvc_audit_head",
    "The number of the newest event of the audit trail, as this process has read it last.",
    multiprocess_mode="livemax",
)
POOL_CONNECTIONS: Final = Gauge(
    "tokensvc_pool_connections",
    "Connections to Postgres that the pools may open, by whether they are in use.",
    ["state"],
    multiprocess_mode="livesum",
)
NOTIFICATION_QUEUE_RATIO: Final = Gauge(
    "tokensvc_notification_queue_ratio",
    "How full Postgres's queue of notifications is, from 0 to 1.",
    multiprocess_mode="livemax",
)
USAGE_WAITING: Final = Gauge(
    "tokensvc_usage_queue_length",
    "Sums of the use of keys that wait to be written.",
    multiprocess_mode="livesum",
)
USAGE_DROPPED: Final = Counter(
    "tokensvc_usage_dropped", "Uses of keys that were not written because too many waited."
)
NOTICE_ATTEMPTS: Final = Counter(
    "tokensvc_notice_attempts", "Attempts to deliver a notice, by how they ended.", ["outcome"]
)
NOTICE_OLDEST_SECONDS: Final = Gauge(
    "tokensvc_notice_oldest_seconds",
    "How long the oldest notice waits to be delivered; those of disabled endpoints are left out.",
    multiprocess_mode="livemax",
)
LOG_LINES_DROPPED: Final = Counter(
    "tokensvc_log_lines_dropped",
    "Log lines that could not be written, or not soon enough.",
)
CONNECTIONS_LIMITED: Final = Counter(
    "tokensvc_connections_limited",
    "Connections and polls that were cut short for a limit, by the limit.",
    ["limit"],
)
BUILD_INFO: Final = Gauge(
    "tokensvc_build_info",
    "Always 1; the label names the version that runs.",
    ["version"],
    multiprocess_mode="livemax",
)
