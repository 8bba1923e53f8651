-- migrate:up

-- The contact of an account is the one mailbox that is told of its keys. It is an endpoint of the
-- account like any other, and only marked here. The release before knows nothing of the mark.

alter table notice_endpoint add column is_contact boolean not null default false;
alter table notice_endpoint add constraint notice_endpoint_contact_is_mailbox
check (not is_contact or (account_id is not null and sealed_secret is null));
create unique index notice_endpoint_contact_unique on notice_endpoint (account_id)
where is_contact and deleted_at is null;

create view listed_account_2 as
select listed.id, listed.name, listed.created_at, listed.suspended_at,
    listed.tier, listed.per_minute, listed.per_day, listed.minute_limit, listed.day_limit,
    contact.id as contact_id, contact.url as contact_url,
    contact.confirmed_at as contact_confirmed_at
from listed_account as listed
    left join notice_endpoint as contact
        on contact.account_id = listed.id and contact.is_contact and contact.deleted_at is null;
