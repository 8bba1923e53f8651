-- migrate:up

-- How many exchanges of all keys of an account ended how, by the hour: what its page would
-- otherwise add up from the rows of every key. Nobody asks for more than the last month. The
-- release before does not write it, so hours in which both ran may be short.
create table account_usage (
    account_id text not null,
    hour timestamptz not null,
    outcome text not null,
    count bigint not null,
    constraint account_usage_pkey primary key (account_id, hour, outcome)
) with (fillfactor = 50);
create index account_usage_hour_idx on account_usage (hour);

insert into account_usage (account_id, hour, outcome, count)
select key.account_id, used.hour, used.outcome, sum(used.count)
from api_key_usage as used join api_key as key on key.id = used.key_id
where used.hour > (select clock_timestamp() - interval '32 days')
group by key.account_id, used.hour, used.outcome;
