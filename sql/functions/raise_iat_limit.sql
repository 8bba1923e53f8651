-- Lets tokens be issued up to `wanted`, and returns the limit that holds then.
--
-- Nobody issues a token whose `iat` lies behind the limit, so it must not be lost to a crash: its
-- commit waits for the disk. It does not wait for a standby, because exchanges go on without one.
-- The limit is raised long before it is reached, and so a standby has it in time.
create function raise_iat_limit(wanted timestamptz) returns timestamptz
language plpgsql as $$
declare
    limit_at timestamptz;
begin
    perform set_config('synchronous_commit', 'local', true);
    perform find_iat_floor();  -- first, because it must not be the new limit
    update issuance set iat_limit = greatest(issuance.iat_limit, wanted)
    returning issuance.iat_limit into limit_at;
    return limit_at;
end $$;
