-- migrate:up

-- Who this service is, as its starts say. Of two services on one database, whose tokens name
-- different issuers, each refuses those of the other one: so a start that differs is told.

create table service_identity (
    issuer text,                                -- null while it was only tried out, on loopback
    key_prefix text not null,
    only_row boolean not null default true,
    constraint service_identity_pkey primary key (only_row),
    constraint service_identity_only_row check (only_row)
);
