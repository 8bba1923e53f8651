-- How many things there are.

-- name: count()
select clock_timestamp() as at,
    (select count(*) from account where deleted_at is null) as accounts,
    (select count(*) from capability) as capabilities,
    (select count(*) from audience) as audiences,
    (select count(*) from denylist where expires_at > clock_timestamp()) as revocations;
