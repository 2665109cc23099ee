-- Ranges of missing offsets that nobody has accepted.
select topic, partition, first_offset, last_offset, offsets, first_folder, last_folder
from missing_offsets where not is_accepted order by topic, partition, first_offset
