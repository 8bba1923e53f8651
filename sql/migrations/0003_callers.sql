-- migrate:up

-- What a caller changes or ends is undone if its API key has ended before the commit.

-- load: functions/append_events_of_caller.sql
-- load: functions/check_caller_stands.sql
