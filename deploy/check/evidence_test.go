package check

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The queries of the dashboard Evidence by panel, which have what a person types.
func evidence(t *testing.T) map[string]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RawSQL string }
		}
	}
	if err := json.Unmarshal([]byte(textOf(t, "../../grafana/dashboards/evidence.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			found[panel.Title] = target.RawSQL
		}
	}
	if len(found) < 4 {
		t.Fatalf("only %v", found)
	}
	return found
}

// As Grafana does it: `:sqlstring` doubles quotes and puts the text between two.
func typed(query string, values map[string]string) string {
	for _, name := range []string{"hour", "topic", "partition", "offset"} {
		query = strings.ReplaceAll(query, "${"+name+":sqlstring}", "'"+strings.ReplaceAll(values[name], "'", "''")+"'")
	}
	return query
}

func (made server) answer(query string) (string, error) {
	command := exec.Command("psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--host="+made.folder,
		fmt.Sprintf("--port=%d", made.port), "--username=stocks", "--dbname=stocks", "--command=set timezone = 'Asia/Kolkata'", "--command="+query)
	said, err := command.CombinedOutput()
	return strings.TrimSpace(string(said)), err
}

// A red panel says that something is broken, and here somebody is about to type the rest.
func TestWhatAPersonTypesIntoEvidenceIsNoError(t *testing.T) {
	t.Parallel()
	made := startServer(t)
	files, err := filepath.Glob("../../migrations/0*.sql")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		made.psql(t, "stocks", "--file="+file)
	}
	made.psql(t, "stocks", "--command=with run as (insert into batch_runs (started_at, finished_at, status, arguments) values (now(), now(), 'ok', '') returning run_id)"+
		" insert into batch_hours select '2026-11-29 05:00+00', '', run_id, 1, 1, 0, 1, now() from run")
	queries := evidence(t)
	hours := map[string]string{
		"": "2026-11-29 10:30:00+05:30", "2026-11-29T05:00Z": "2026-11-29 10:30:00+05:30", "1795928400000": "2026-11-29 10:30:00+05:30",
		"2026-11-29 05": "2026-11-29 10:30:00+05:30", " 2026-11-29T05Z ": "2026-11-29 10:30:00+05:30", "2026-11-29 06:59+02": "2026-11-29 09:30:00+05:30",
		"2026-11-29T05:59:59.9": "2026-11-29 10:30:00+05:30", "2026-11-29 10:30+0530": "2026-11-29 10:30:00+05:30", "2024-02-29": "2024-02-29 05:30:00+05:30",
		"abc": "", "2026": "1970-01-01 05:30:00+05:30", "2026-1": "", "2026-11-31": "", "2026-02-30 10": "", "2026-13-01": "", "0000-01-01": "",
		"2026-11-30 24": "", "2026-11-30 14:60": "", "x'y": "", "1e5": "", "-5": "", "99999999999999999999999": "", "now": "", "infinity": "",
		"2026-11-30 14:00 Europe/Berlin": "", "2026-11-30T14:00-99": "", "%\\": "",
	}
	for hour, wanted := range hours {
		for _, panel := range []string{"The hour", "Its objects"} {
			answer, err := made.answer(typed(queries[panel], map[string]string{"hour": hour}))
			first, _, _ := strings.Cut(answer, "|")
			if err != nil || (panel == "The hour" && first != wanted) {
				t.Errorf("%s, %q: %s (%v), and not %q", panel, hour, first, err, wanted)
			}
		}
	}
	numbers := []string{"", "0", " 7 ", "p", "-1", "1e5", "1.5", "99999999999", "99999999999999999999", "'", "٣"}
	for index, number := range numbers {
		for _, values := range []map[string]string{
			{"topic": "it's", "partition": number, "offset": "1"}, {"topic": "it's", "partition": "1", "offset": number},
			{"partition": number, "offset": numbers[len(numbers)-1-index]},
		} {
			for _, panel := range []string{"The message, if it is no tick", "What was found in it"} {
				if answer, err := made.answer(typed(queries[panel], values)); err != nil {
					t.Errorf("%s, %v: %s", panel, values, answer)
				}
			}
		}
	}
}
