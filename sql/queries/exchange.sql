-- The authoritative question of every exchange.

-- name: judge(digest, key_id, jtis)
select key_id, account_id, capabilities, refusal, denied_up_to, at from judge_exchange($1, $2, $3);
