-- Spans of offsets that nobody has looked through since they changed. $1: how many at most.
select hour, topic, partition, first_offset, last_offset from hour_spans
where not gaps_checked order by topic, partition, first_offset limit $1
