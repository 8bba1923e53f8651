-- The question that decides every exchange, for a whole batch at once.

-- name: judge(digests, counts, claimed_key_ids, demands, expected_at, seen_seq, seen_tag)
select question, key_id, account_id, capabilities, refusal, audiences, claims, watermark, at, ahead,
    admitted, key_per_minute, key_per_day, account_per_minute, account_per_day,
    key_minute_left, key_day_left, account_minute_left, account_day_left
from judge_exchanges_2($1, $2, $3, $4, $5, $6, $7);
