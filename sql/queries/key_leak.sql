-- Where API keys were found that have leaked.

-- name: report(digests, urls, sources, ending, operation, actor, leeway)
select key_id, records from report_leaks($1, $2, $3, $4, $5, $6, $7);

-- name: list(key_id)
select url, source, reported_at from key_leak where key_id = $1
order by reported_at, url, source;

-- name: sum_use(key_id, moment)
-- From the beginning of the hour of that moment on.
select outcome, sum(count)::bigint as count from api_key_usage
where key_id = $1 and hour >= date_trunc('hour', $2::timestamptz, 'UTC')
group by outcome order by outcome;
