-- Notes by which detector the bars were judged. $1: the detector.
insert into judged_bars (detector) values ($1)
on conflict (is_the_only_row) do update set detector = $1
