-- migrate:up

-- What followers have applied, by what they ask after. A claim, not a proof: whoever may read the feed can name itself as it likes, unless followers
-- authenticate. Written in batches; rows of those that fell silent are deleted.
create table follower (
    name text not null,
    seq bigint not null,
    tag text not null,
    authenticated boolean not null,
    seen_at timestamptz not null,
    constraint follower_pkey primary key (name),
    constraint follower_name_length check (length(name) between 1 and 200)
) with (fillfactor = 50);
create index follower_seen_idx on follower (seen_at);
