-- What is known of all tokens that were issued: how long a watermark must stay on the denylist.

-- name: raise_longest_life(life)
update issuance set longest_life = $1 where longest_life < $1;

-- name: load_longest_life()
select longest_life from issuance;

-- name: find_latest_iat()
-- It reads all accounts, so it is asked only by a process that starts with a doubtful clock.
select nullif(max(latest_iat), '-infinity') as latest_iat from account_window;
