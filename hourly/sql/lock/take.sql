-- Takes the lock, unless another run has it that does not share it. $1: who, $2: what is shared.
insert into batch_lock (token, holder, shares)
select gen_random_uuid(), $1, $2
where not exists (select from batch_lock where $2::text is null or shares is distinct from $2)
returning token::text
