-- Notes how far the objects of partitions go. $1: topics, $2: partitions, $3: next offsets, $4:
-- newest ticks, $5: when they were stored.
insert into archive_high_offsets as known (topic, partition, next_offset, tick, stored_at)
select * from unnest($1::text[], $2::integer[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
on conflict (topic, partition) do update
    set (next_offset, tick, stored_at)
        = (select case when is_anew then excluded.next_offset
                       else greatest(known.next_offset, excluded.next_offset) end,
                  case when is_anew then excluded.tick else greatest(known.tick, excluded.tick) end,
                  case when is_anew or known.next_offset is null
                           or excluded.next_offset >= known.next_offset
                       then excluded.stored_at else known.stored_at end
           from (select exists (select from kafka_sources s
                                where s.topic = known.topic and s.first_seen_at > known.stored_at
                                  and s.first_seen_at <= excluded.stored_at
                                  and exists (select from kafka_sources e
                                              where e.topic = s.topic
                                                and e.first_seen_at < s.first_seen_at))
                            as is_anew) as topic)
