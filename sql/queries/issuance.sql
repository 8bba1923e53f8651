-- What is known of all tokens that were issued: how long they may live, and their latest `iat`.

-- name: raise_longest_life(life)
update issuance set longest_life = $1 where longest_life < $1;

-- name: load_longest_life()
select longest_life from issuance;

-- name: find_latest_iat()
-- It reads all accounts, so it is asked only by a process that starts with a doubtful clock.
select nullif(max(latest_iat), '-infinity') as latest_iat from account_window;

-- name: find_latest_moment()
-- No token has a later `iat`, unless it is issued from now on.
select greatest(clock_timestamp(), iat_limit, find_iat_floor()) as at from issuance;

-- name: raise_iat_limit(wanted)
select raise_iat_limit($1) as iat_limit;

-- name: raise_iat_floor(limit)
-- A process may remember a limit that this database has lost; it passes null if it does not. What
-- the database has itself at the beginning of a run counts in any case.
insert into iat_floor (at) select greatest($1, iat_limit) from issuance
on conflict (only_row) do update set at = greatest(iat_floor.at, $1)
returning run;
