-- migrate:up

-- The capabilities of the service itself are there from the start, and say what they allow.

insert into capability (name, description, created_at)
values
    ('tokensvc:admin', 'May do everything', clock_timestamp()),
    ('tokensvc:read', 'May read everything, and change nothing', clock_timestamp()),
    (
        'tokensvc:keys', 'May manage the keys of its own account, and who is told of them',
        clock_timestamp()
    ),
    ('tokensvc:introspect', 'May ask whether a token is live, and what it says', clock_timestamp()),
    (
        'tokensvc:denylist', 'May follow the denylist where that is not open to everybody',
        clock_timestamp()
    )
on conflict (name) do update set description = excluded.description
where capability.description = '';
