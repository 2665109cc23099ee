-- Notes that what was said of an hour still stands though ticks were added: they are of symbols in
-- which nothing was found. $1: the hour, $2: the detectors, $3: the kinds that may have begun in
-- the hour before. None of a whole market may have been found.
update judged_hours j
set judged_at = now(), added_symbols = '{}'
where j.hour = $1 and j.detectors = $2 and j.added_symbols is not null
  and not exists (select from anomalies a
                  where a.time >= j.hour and a.time < j.hour + interval '1 hour'
                    and (a.symbol = any (j.added_symbols)
                         or a.verdict = 'provisional'
                            and a.found_at > j.judged_at - interval '10 minutes'))
  and not exists (select from batch_hours n
                  where n.hour = j.hour + interval '1 hour' and n.start_changed_at > j.judged_at)
  and not exists (select from batch_hours n
                  where n.hour = j.hour - interval '1 hour'
                    and (n.end_changed_at > j.judged_at
                         or n.computed_at > j.judged_at
                            and exists (select from anomalies a
                                        where a.time >= j.hour
                                          and a.time < j.hour + interval '1 hour'
                                          and a.kind = any ($3))))
