-- Returns the moment before which no watermark may lie: the latest `iat` that may have been given
-- out before Postgres forgot what the window rows said of it.
--
-- The table iat_floor is unlogged. So a crash empties it, and a standby that is promoted has it
-- empty: just when the last `latest_iat` of the window rows may be lost. Then the floor is the
-- limit that no `iat` has passed. Otherwise it is an older limit, which has passed already.
create function find_iat_floor() returns timestamptz
language plpgsql as $$
declare
    floor_at timestamptz;
begin
    select iat_floor.at into floor_at from iat_floor;
    if not found then
        insert into iat_floor (at) select issuance.iat_limit from issuance
        on conflict (only_row) do nothing;
        select iat_floor.at into floor_at from iat_floor;
    end if;
    return floor_at;
end $$;
