-- Sees to it that no act writes a watermark that lies before a token which was issued already.
--
-- The act has taken the greatest of the clock and of `latest_iat`, which a crash may have taken
-- back while the clock was set back. Healing also writes watermarks of earlier acts: those are
-- left as they were, because the key goes on and its later tokens are good.
create function raise_watermark() returns trigger
language plpgsql as $$
begin
    if new.watermark > clock_timestamp() - interval '5 seconds' then
        new.watermark := greatest(new.watermark, find_iat_floor());
    end if;
    return new;
end $$;
