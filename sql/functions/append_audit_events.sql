-- Appends events to the audit trail, in the order of the arrays, and to its chain of hashes.
-- Nothing else inserts into audit_event. `details` must never hold a secret, nor a number with a
-- fraction.
--
-- Each row holds the SHA-256 of its predecessor's hash and of its own text, which is that of a
-- jsonb array: so a row that is changed, taken out or put in later does not fit to the next one,
-- and everybody can compute it again. An address is not in that text, only a commitment to it: it
-- may be deleted later without a break of the chain.
--
-- The row of audit_head is locked until the commit, and all others that change something wait for
-- it: so the numbers have no gaps in the order of commits. It is locked after the rows that an act
-- changes, and before feed_head. Whoever calls this in a transaction of several statements calls it
-- once, when only feed_head is left to be locked.
--
-- It runs with the rights of the owner: the role of the service may read these tables only.
create function append_audit_events(
    actors jsonb[], operations text[], subjects text[], details jsonb[]
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, public, pg_temp
as $$
declare
    size constant int := cardinality(subjects);
    head audit_head;
    present timestamptz;
    microseconds bigint;
    link bytea;                     -- the hash of the event before
    links bytea[] := '{}';
    address text;
    salt bytea;
    commitments bytea[] := '{}';
begin
    if coalesce(size, 0) = 0 then
        return;
    end if;
    select * into head from audit_head for no key update;
    -- The rows of a backup that is being restored may still be to come.
    if head.number is null then
        raise 'the database is not initialised'
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    present := clock_timestamp();
    microseconds := (extract(epoch from present) * 1000000)::bigint;
    link := head.hash;
    for place in 1 .. size loop
        address := actors[place] ->> 'address';
        if address is null then
            commitments[place] := null;
        else
            salt := uuid_send(gen_random_uuid());
            commitments[place] := sha256(salt || convert_to(address, 'UTF8'));
            insert into audit_address (number, at, address, salt)
            values (head.number + place, present, address, salt);
        end if;
        link := sha256(link || convert_to(
            jsonb_build_array(
                head.number + place, microseconds, actors[place] -> 'name',
                actors[place] -> 'account_id', encode(commitments[place], 'hex'),
                actors[place] -> 'request_id', operations[place], subjects[place],
                details[place]
            )::text,
            'UTF8'
        ));
        links[place] := link;
    end loop;
    insert into audit_event (
        number, at, actor, account_id, address_commitment, request_id, operation, subject, detail,
        hash
    )
    select head.number + new.place, present, new.actor ->> 'name', new.actor ->> 'account_id',
        new.address_commitment, new.actor ->> 'request_id', new.operation, new.subject, new.detail,
        new.hash
    from unnest(actors, operations, subjects, details, commitments, links) with ordinality
        as new (actor, operation, subject, detail, address_commitment, hash, place);
    update audit_head set number = head.number + size, hash = link;
end $$;
