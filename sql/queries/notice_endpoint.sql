-- Who is told of events.

-- name: insert(id, account_id, url, events, description, sealed_secret, is_confirmed)
insert into notice_endpoint (
    id, account_id, url, events, description, sealed_secret, created_at, confirmed_at
)
select $1, $2, $3, $4::text[], $5, $6::bytea, present, case when $7::boolean then present end
from (select clock_timestamp() as present) as clock;

-- name: find(id)
select * from listed_notice_endpoint where id = $1;

-- name: lock(id)
select from notice_endpoint where id = $1 and deleted_at is null for no key update;

-- name: count_of(account_id)
select count(*) from notice_endpoint
where account_id is not distinct from $1 and deleted_at is null;

-- name: count_links(account_id)
-- How many links its mailboxes were to be sent within a day, also those that are deleted by now.
select count(*)
from notice_endpoint as mailbox join notice_event as event on event.subject = mailbox.id
where mailbox.account_id = $1 and mailbox.sealed_secret is null
    and event.name = 'notice.confirm' and event.at > clock_timestamp() - interval '1 day';

-- name: lock_contact(account_id)
select id from notice_endpoint where account_id = $1 and is_contact and deleted_at is null
for no key update;

-- name: find_mailbox(account_id, url)
-- The oldest one of an account with this address that is not disabled.
select id from notice_endpoint
where account_id = $1 and url = $2 and deleted_at is null and disabled_at is null
order by created_at, id limit 1 for no key update;

-- name: mark_contact(id)
update notice_endpoint set is_contact = true where id = $1;

-- name: update(id, url, events, description)
update notice_endpoint set url = $2, events = $3::text[], description = $4 where id = $1;

-- name: enable(id)
update notice_endpoint as endpoint
set disabled_at = null, disabled_because = null, failing_since = null, failures = 0,
    leased_until = '-infinity',
    due_at = (
        select min(next_at) from notice_delivery
        where endpoint_id = endpoint.id and next_at is not null
    )
where id = $1;

-- name: disable(id, because)
update notice_endpoint set disabled_at = clock_timestamp(), disabled_because = $2
where id = $1 and disabled_at is null and deleted_at is null
returning id;

-- name: delete(id)
update notice_endpoint set deleted_at = clock_timestamp(), due_at = null where id = $1;

-- name: set_secret(id, sealed_secret, grace)
-- The secret from before signs as well for a while.
update notice_endpoint
set old_sealed_secret = sealed_secret, old_secret_until = clock_timestamp() + $3::interval,
    sealed_secret = $2
where id = $1;

-- name: confirm(id)
-- Whoever has ended the notices to a mailbox, and confirms it again, gets them again.
update notice_endpoint
set confirmed_at = clock_timestamp(),
    disabled_at = case when disabled_because <> 'unsubscribed' then disabled_at end,
    disabled_because = nullif(disabled_because, 'unsubscribed')
where id = $1 and confirmed_at is null and deleted_at is null
returning id;

-- name: unsubscribe(id)
-- Nothing but a new link is sent there, also if it is enabled again.
update notice_endpoint
set confirmed_at = null, disabled_at = clock_timestamp(), disabled_because = 'unsubscribed'
where id = $1 and deleted_at is null and disabled_because is distinct from 'unsubscribed'
returning id;

-- name: list_sealed()
select id, sealed_secret, old_sealed_secret from notice_endpoint
where sealed_secret is not null order by id for no key update;

-- name: reseal(id, sealed_secret, old_sealed_secret)
update notice_endpoint set sealed_secret = $2, old_sealed_secret = $3 where id = $1;

-- name: claim(is_failing, lease, crowded)
-- Takes the one that was served longest ago, of those that fail or of the others. If the longest
-- wait decided, whoever is told most would always come first. None of the accounts in `crowded` is
-- served, '' is the service itself. Nobody else takes it before the lease is over or
-- it is released. A lease from before a jump of the clock counts as over. `old_sealed_secret` is
-- null when its time is over.
update notice_endpoint as endpoint
set leased_until = clock.present + $2::interval, due_at = clock.present + $2::interval
from (select clock_timestamp() as present) as clock
where endpoint.id = (
    select waiting.id from notice_endpoint as waiting
    where waiting.due_at <= clock_timestamp()
        and (
            waiting.leased_until <= clock_timestamp()
            or waiting.leased_until > clock_timestamp() + interval '1 hour'
        )
        and waiting.disabled_at is null and waiting.deleted_at is null
        and (waiting.failing_since is not null) = $1
        and coalesce(waiting.account_id, '') <> all ($3::text[])
    order by waiting.leased_until, waiting.due_at limit 1 for update skip locked
)
returning endpoint.id, endpoint.account_id, endpoint.url, endpoint.sealed_secret,
    case
        when endpoint.old_secret_until > clock.present then endpoint.old_sealed_secret
    end as old_sealed_secret,
    endpoint.confirmed_at, endpoint.failures, endpoint.leased_until;

-- name: release(id, leased_until, hold, has_failed)
-- It is left alone for `hold`. `has_failed`: how the last attempt ended; null if there was none.
-- What was appended meanwhile has made it due, and that stays.
update notice_endpoint as endpoint
set leased_until = clock.present + $3::interval,
    failing_since = case
        when $4::boolean is null then endpoint.failing_since
        when $4 then coalesce(endpoint.failing_since, clock.present)
    end,
    failures = case
        when $4 is null then endpoint.failures when $4 then endpoint.failures + 1 else 0
    end,
    due_at = case
        when endpoint.due_at = $2 then waiting.next_at else least(endpoint.due_at, waiting.next_at)
    end
from (select clock_timestamp() as present) as clock,
    (
        select min(next_at) as next_at from notice_delivery
        where endpoint_id = $1 and next_at is not null
    ) as waiting
where endpoint.id = $1 and endpoint.leased_until = $2
returning endpoint.failing_since, clock.present as at;

-- name: delete_before(moment)
delete from notice_endpoint where deleted_at < $1;
