-- Notes by which detector the bars were judged. $1: the detector.
insert into bar_detector_version (detector) values ($1)
on conflict (is_the_only_row) do update set detector = $1
