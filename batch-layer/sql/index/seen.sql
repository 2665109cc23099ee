-- A fingerprint of all that the index says of an hour. $1: the hour.
select md5(concat_ws(
    E'\n',
    (select string_agg(concat_ws(' ', h.key, o.etag, o.size, o.folder, o.format, o.placeless,
                                 o.gone, h.merged, h.ticks, h.fingerprint, h.places,
                                 coalesce(h.summed::text, '-'),
                                 coalesce(h.summed_places::text, '-')), E'\n' order by h.key)
     from archive_object_hours h join archive_objects o using (key)
     where h.hour = $1),
    (select concat('stale ', replaced, ' ', reread) from stale_hours where hour = $1),
    (select concat('computed ', extract(epoch from computed_at), ' ', gone_objects)
     from batch_hours where hour = $1),
    (select concat('held ', count(*)) from held_hours where hour = $1)))
