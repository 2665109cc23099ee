-- Stale hours that are in a window or wanted, without those that a broken object holds back. $1:
-- before which hour, $2 and $3: the window.
select hour, replaced, reread from stale_hours s
where hour < $1
  and not exists (select from blocked_hours h where h.hour = s.hour)
  and (wanted or (hour >= $2 and hour < $3)
       or exists (select from batch_hours b where b.hour = s.hour))
order by hour
