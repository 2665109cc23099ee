-- Whether hours were computed from another place than one. $1: the place.
select exists (select from batch_hours where location not in ('', $1))
