-- migrate:up

-- An audience says what the header `typ` of its tokens is: some libraries take nothing but "JWT".
-- What is for the service itself never has it.

alter table audience add column typ text not null default 'at+jwt';
alter table audience add constraint audience_typ_known
check (typ = 'at+jwt' or (typ = 'JWT' and not is_own));

create view listed_audience_2 as
select name, description, token_life, alg, typ, created_at from audience;
