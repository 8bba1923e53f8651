-- migrate:up

-- A token that is revoked by its id stays revoked although a crash took the latest `iat` away and
-- the clock is behind.

-- load: functions/revoke_token_by_id_2.sql
