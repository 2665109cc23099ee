-- The states of a partition's detectors, in order. $1: its source, $2: the partition.
select is_whole, states from detector_log where source = $1 and partition = $2 order by number
