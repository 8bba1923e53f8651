-- migrate:up

-- Where API keys were found that have leaked, as whoever found them tells. A key has 50 of these
-- places at most. They are texts of strangers: visible ASCII, and nothing else is sure about them.
create table key_leak (
    key_id text not null,
    url text not null,                          -- '' if it was not told
    source text not null,                       -- what kind of place that is, '' if not told
    reported_at timestamptz not null,
    constraint key_leak_pkey primary key (key_id, url, source),
    constraint key_leak_key_fkey foreign key (key_id) references api_key (id),
    constraint key_leak_length check (length(url) <= 1000 and length(source) <= 100)
);

-- load: functions/report_leaks.sql
