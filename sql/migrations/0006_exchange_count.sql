-- migrate:up

-- How many exchanges of all keys together ended how, by the hour: what an overview would otherwise
-- add up from the rows of every key. The release before does not write it, so hours in which both
-- ran may be short.

create table exchange_count (
    hour timestamptz not null,
    outcome text not null,
    count bigint not null,
    constraint exchange_count_pkey primary key (hour, outcome)
) with (fillfactor = 50);

insert into exchange_count (hour, outcome, count)
select hour, outcome, sum(count) from api_key_usage group by hour, outcome;
