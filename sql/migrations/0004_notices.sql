-- migrate:up

-- Notices: who is told of what, and what was delivered.

create table notice_endpoint (
    id text not null,
    account_id text,
    url text not null,
    events text[] not null,
    description text not null,
    sealed_secret bytea,
    old_sealed_secret bytea,
    old_secret_until timestamptz,
    created_at timestamptz not null,
    confirmed_at timestamptz,
    disabled_at timestamptz,
    disabled_because text,
    deleted_at timestamptz,
    failing_since timestamptz,
    failures int not null default 0,
    due_at timestamptz,
    leased_until timestamptz not null default '-infinity',
    constraint notice_endpoint_pkey primary key (id),
    constraint notice_endpoint_account_fkey foreign key (account_id) references account (id),
    constraint notice_endpoint_id_form check (id ~ '^hook_[0-9A-Za-z]{16}$'),
    constraint notice_endpoint_disabled_because_known check (
        disabled_because in ('asked', 'failing', 'gone', 'unsubscribed')
    ),
    constraint notice_endpoint_disabled check (
        (disabled_at is null) = (disabled_because is null)
    )
) with (fillfactor = 70);
create index notice_endpoint_account_idx on notice_endpoint (account_id, created_at, id);
create index notice_endpoint_due_idx on notice_endpoint (due_at) where due_at is not null;

create table notice_event (
    number bigint generated always as identity,
    id text not null,
    at timestamptz not null,
    name text not null,
    account_id text,
    subject text not null,
    subject_number bigint not null,
    detail jsonb not null,
    once text,
    constraint notice_event_pkey primary key (number),
    constraint notice_event_once_unique unique (once)
);
create index notice_event_account_idx on notice_event (account_id, number);
create index notice_event_subject_idx on notice_event (subject, number);
create index notice_event_at_idx on notice_event (at);

create table notice_number (
    subject text not null,
    number bigint not null,
    constraint notice_number_pkey primary key (subject)
) with (fillfactor = 50);

create table notice_delivery (
    id bigint generated always as identity,
    event_number bigint not null,
    endpoint_id text not null,
    created_at timestamptz not null,
    next_at timestamptz,
    attempts int not null default 0,
    tried_at timestamptz,
    status int,
    error text,
    delivered_at timestamptz,
    constraint notice_delivery_pkey primary key (id),
    constraint notice_delivery_event_fkey foreign key (event_number)
        references notice_event (number) on delete cascade,
    constraint notice_delivery_endpoint_fkey foreign key (endpoint_id)
        references notice_endpoint (id) on delete cascade
) with (fillfactor = 70);
create index notice_delivery_waiting_idx on notice_delivery (endpoint_id, next_at)
where next_at is not null;
create index notice_delivery_endpoint_idx on notice_delivery (endpoint_id, id);
create index notice_delivery_event_idx on notice_delivery (event_number);

create table notice_cursor (
    audit_number bigint not null,
    checked_at timestamptz not null default '-infinity',
    only_row boolean not null default true,
    constraint notice_cursor_pkey primary key (only_row),
    constraint notice_cursor_only_row check (only_row)
) with (fillfactor = 50);
insert into notice_cursor (audit_number) select number from audit_head;

create table api_key_network (
    key_id text not null,
    network text not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    constraint api_key_network_pkey primary key (key_id, network)
);
create index api_key_network_last_idx on api_key_network (last_at);

create index api_key_expires_idx on api_key (expires_at, id) where expires_at is not null;

create view listed_notice_endpoint as
select id, account_id, url, events, description, created_at, confirmed_at, disabled_at,
    disabled_because, failing_since, failures, old_secret_until
from notice_endpoint
where deleted_at is null;

create view listed_notice as
select number, id, at, name, account_id, subject, subject_number, detail from notice_event;

create view listed_notice_delivery as
select delivery.id, delivery.endpoint_id, endpoint.account_id, event.id as notice_id, event.name,
    event.subject, delivery.created_at, delivery.next_at, delivery.attempts, delivery.tried_at,
    delivery.status, delivery.error, delivery.delivered_at
from notice_delivery as delivery
    join notice_event as event on event.number = delivery.event_number
    join notice_endpoint as endpoint on endpoint.id = delivery.endpoint_id
where endpoint.deleted_at is null;

-- load: functions/append_notices.sql
