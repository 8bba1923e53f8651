-- migrate:up

-- No watermark lies before a token that Postgres has forgotten in a crash or a failover.

alter table issuance add column iat_limit timestamptz not null default '-infinity';
update issuance set iat_limit = coalesce(
    (select max(account_window.latest_iat) from account_window), '-infinity'
);

create unlogged table iat_floor (
    at timestamptz not null,
    run uuid not null default gen_random_uuid(),
    only_row boolean not null default true,
    constraint iat_floor_pkey primary key (only_row),
    constraint iat_floor_only_row check (only_row)
);

-- load: functions/find_iat_floor.sql
-- load: functions/raise_iat_limit.sql
-- load: functions/raise_watermark.sql
create trigger account_watermark_is_raised before update of watermark on account
for each row when (new.watermark is distinct from old.watermark)
execute function raise_watermark();
create trigger api_key_watermark_is_raised before update of watermark on api_key
for each row when (new.watermark is distinct from old.watermark)
execute function raise_watermark();
