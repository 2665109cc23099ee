-- Notes that an hour was compared without something of it. $1: the hour, $2: what.
update reconciled_hours
set status = case status when 'mismatch' then status else 'open' end,
    detail = concat_ws('; ', nullif(detail, ''), $2::text)
where hour = $1
