package check

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

const composeScripts = "../compose/"

// asService runs a script of deploy/compose as the service does: by its entrypoint and environment,
// with .env's lines.
func asService(t *testing.T, name string, lines ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	service := loadWith(t, file).Services[name]
	words := append(slices.Clone(service.Entrypoint), service.Command...)
	for index, word := range words {
		words[index] = strings.Replace(word, "/etc/compose/", composeScripts, 1)
	}
	command := exec.Command(words[0], words[1:]...)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	for key, value := range service.Environment {
		if value != nil {
			command.Env = append(command.Env, key+"="+*value)
		}
	}
	said, err := command.CombinedOutput()
	return string(said), err
}

// The passwords of .env.example that are those of a demo, each with its line.
func demoPasswords(t *testing.T) []string {
	t.Helper()
	names := []string{}
	for _, match := range regexp.MustCompile(`(?m)^(\w+_PASSWORD)=\w`).FindAllStringSubmatch(textOf(t, "../../.env.example"), -1) {
		names = append(names, match[1])
	}
	if len(names) < 7 {
		t.Fatalf("only %v", names)
	}
	return names
}

// Whatever others can reach has passwords of one's own: each of them, those of roles and of volumes
// that are there already.
func TestNoAddressBeyondLoopbackBesideAPasswordOfTheDemo(t *testing.T) {
	own := []string{}
	for _, name := range demoPasswords(t) {
		own = append(own, name+"=own-of-"+strings.ToLower(name))
	}
	for _, address := range []string{"", "BIND_ADDRESS=127.0.0.1", "BIND_ADDRESS=127.0.0.53", "BIND_ADDRESS=[::1]"} {
		if said, err := asService(t, "exposure", address); err != nil {
			t.Errorf("%q: %s", address, said)
		}
	}
	for _, address := range []string{"0.0.0.0", "192.168.1.7", "[::]", "10.127.0.0"} {
		if said, err := asService(t, "exposure", append(own, "BIND_ADDRESS="+address)...); err != nil {
			t.Errorf("%s with passwords of one's own: %s", address, said)
		}
		said, err := asService(t, "exposure", "BIND_ADDRESS="+address)
		if err == nil || !strings.Contains(said, address) {
			t.Errorf("%s with the demo's passwords: %q", address, said)
		}
		for index, name := range demoPasswords(t) {
			if !strings.Contains(said, name) {
				t.Errorf("%s is not named: %s", name, said)
			}
			all := slices.Clone(own)
			all[index] = ""
			if said, err := asService(t, "exposure", append(all, "BIND_ADDRESS="+address)...); err == nil || !strings.Contains(said, ": "+name+".") {
				t.Errorf("%s with the demo's %s: %q", address, name, said)
			}
		}
	}
	// Grafana alone: its own password is asked for, and no other.
	said, err := asService(t, "exposure", "GRAFANA_BIND_ADDRESS=0.0.0.0")
	if err == nil || !strings.Contains(said, ": GRAFANA_ADMIN_PASSWORD.") {
		t.Errorf("Grafana for all as admin/admin: %q", said)
	}
	if said, err := asService(t, "exposure", "GRAFANA_BIND_ADDRESS=0.0.0.0", "GRAFANA_ADMIN_PASSWORD=own"); err != nil {
		t.Errorf("Grafana for all with a password of its own: %s", said)
	}
}

func TestWhateverPublishesAPortWaitsForTheLookAtItsPasswords(t *testing.T) {
	forEachSelection(t, func(t *testing.T, project *types.Project) {
		for name, service := range project.Services {
			if len(service.Ports) > 0 && service.DependsOn["exposure"].Condition != "service_completed_successfully" {
				t.Errorf("%s publishes a port without a look at .env", name)
			}
		}
	})
}

func TestGrafanaAloneCanBeReachedByOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte("GRAFANA_BIND_ADDRESS=0.0.0.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, service := range loadWith(t, file).Services {
		for _, port := range service.Ports {
			if (port.HostIP == "0.0.0.0") != (name == "grafana") {
				t.Errorf("%s is published on %s", name, port.HostIP)
			}
		}
	}
}

// Each password that a server keeps in a volume of its own reaches it at each `up`, and nobody logs
// in before.
func TestWhoLogsInWaitsForThePasswords(t *testing.T) {
	forEachSelection(t, func(t *testing.T, project *types.Project) {
		for name, service := range project.Services {
			url := service.Environment["DATABASE_URL"]
			if (url == nil && name != "grafana") || project.Services["passwords"].Image == "" {
				continue
			}
			waits := service.DependsOn["passwords"].Condition == "service_completed_successfully" ||
				service.DependsOn["migrate"].Condition == "service_completed_successfully"
			if !waits {
				t.Errorf("%s logs in before the passwords are those of .env", name)
			}
		}
		job, server := project.Services["passwords"], project.Services["postgres"]
		if job.Image != server.Image {
			t.Errorf("passwords has psql of %s, the server is %s", job.Image, server.Image)
		}
		for _, name := range []string{"POSTGRES_PASSWORD", "OWNER_DB_PASSWORD", "SPEED_DB_PASSWORD", "BATCH_DB_PASSWORD", "GRAFANA_DB_PASSWORD"} {
			if job.Environment[name] == nil {
				t.Errorf("passwords has no %s", name)
			}
		}
		isShared := func(service types.ServiceConfig) bool {
			return slices.ContainsFunc(service.Volumes, func(volume types.ServiceVolumeConfig) bool {
				return volume.Type == "volume" && volume.Source == "postgres-socket" && volume.Target == "/var/run/postgresql"
			})
		}
		if !isShared(job) || !isShared(server) {
			t.Error("passwords does not reach the server's socket")
		}
	})
}

// A server of the test's own: a socket that asks for no password, as the image has it, and TCP that
// does.
type server struct {
	folder string
	port   int
	as     *syscall.SysProcAttr
}

func startServer(t *testing.T) server {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Skip("no PostgreSQL on this machine (`cargo xtask setup` installs one)")
	}
	bin, folder := filepath.Dir(found[len(found)-1]), t.TempDir()
	made := server{folder: folder, port: freePort(t)}
	if os.Geteuid() == 0 { // which PostgreSQL refuses
		other, err := user.Lookup("postgres")
		if err != nil {
			t.Skip(err)
		}
		uid, err := strconv.ParseUint(other.Uid, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		made.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		for path := folder; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
			if err := os.Chmod(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(folder, int(uid), int(uid)); err != nil {
			t.Fatal(err)
		}
	}
	made.run(t, filepath.Join(bin, "initdb"), "--no-sync", "--username=stocks", "--auth-local=trust", "--auth-host=scram-sha-256", "--pgdata="+folder+"/data")
	options := fmt.Sprintf("-c listen_addresses=127.0.0.1 -c port=%d -c unix_socket_directories=%s -c log_statement=all -c fsync=off", made.port, folder)
	made.run(t, filepath.Join(bin, "pg_ctl"), "--pgdata="+folder+"/data", "--log="+folder+"/log", "--wait", "--options="+options, "start")
	t.Cleanup(func() {
		made.run(t, filepath.Join(bin, "pg_ctl"), "--pgdata="+folder+"/data", "--mode=immediate", "--wait", "stop")
	})
	made.psql(t, "postgres", "--command=create database stocks")
	made.psql(t, "stocks", "--file=../postgres/roles.sql")
	return made
}

func (made server) run(t *testing.T, name string, arguments ...string) {
	t.Helper()
	command := exec.Command(name, arguments...)
	command.SysProcAttr, command.Dir = made.as, made.folder
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, said)
	}
}

func (made server) psql(t *testing.T, database string, arguments ...string) {
	t.Helper()
	command := exec.Command("psql", append([]string{
		"--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--host=" + made.folder, fmt.Sprintf("--port=%d", made.port), "--username=stocks",
		"--dbname=" + database,
	}, arguments...)...)
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v\n%s", err, said)
	}
}

// What the job `passwords` does, with .env's lines.
func (made server) setPasswords(t *testing.T, lines ...string) {
	t.Helper()
	if said, err := made.tryPasswords(t, lines...); err != nil || len(said) > 0 {
		t.Fatalf("%v\n%s", err, said)
	}
}

func (made server) tryPasswords(t *testing.T, lines ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	service := loadWith(t, file).Services["passwords"]
	words := append(slices.Clone(service.Entrypoint), service.Command...)
	for index, word := range words {
		word = strings.Replace(word, "/etc/compose/", composeScripts, 1)
		words[index] = strings.Replace(word, "/var/run/postgresql", made.folder, 1)
	}
	command := exec.Command(words[0], append(words[1:], fmt.Sprintf("--port=%d", made.port))...)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	for key, value := range service.Environment {
		command.Env = append(command.Env, key+"="+*value)
	}
	said, err := command.CombinedOutput()
	return string(said), err
}

func (made server) letsIn(role, password string) bool {
	command := exec.Command("psql", "--no-psqlrc", "--host=127.0.0.1", fmt.Sprintf("--port=%d", made.port), "--username="+role, "--dbname=stocks", "--command=select 1")
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "PGPASSWORD=" + password}
	return command.Run() == nil
}

// Also on a volume that was made with other ones, and back and forth.
func TestPostgresHasThePasswordsThatEnvSaysAtEachUp(t *testing.T) {
	t.Parallel()
	made := startServer(t)
	made.psql(t, "stocks", "--command=alter role stocks password 'stocks'")
	roles := map[string]string{
		"stocks": "POSTGRES_PASSWORD", "stocks_owner": "OWNER_DB_PASSWORD", "speed_writer": "SPEED_DB_PASSWORD",
		"batch_writer": "BATCH_DB_PASSWORD", "grafana_reader": "GRAFANA_DB_PASSWORD",
	}
	made.setPasswords(t)
	for role, password := range map[string]string{
		"stocks": "stocks", "stocks_owner": "owner", "speed_writer": "speed", "batch_writer": "batch", "grafana_reader": "grafana",
	} {
		if !made.letsIn(role, password) {
			t.Errorf("%s does not get in by the demo's password", role)
		}
	}
	for _, own := range []string{"first-one.~", "it's \"b\" and c", "third"} {
		lines := []string{}
		for role, name := range roles {
			lines = append(lines, name+"=\""+strings.ReplaceAll(own, `"`, `\"`)+role+"\"")
		}
		made.setPasswords(t, lines...)
		for role, name := range roles {
			if !made.letsIn(role, own+role) {
				t.Errorf("%s does not get in by %s", role, name)
			}
			if made.letsIn(role, "stocks") || made.letsIn(role, strings.TrimSuffix(strings.ToLower(name), "_db_password")) {
				t.Errorf("%s still gets in by the demo's password", role)
			}
		}
		log, err := os.ReadFile(made.folder + "/log")
		if err != nil || strings.Contains(string(log), strings.ReplaceAll(own, "'", "''")) {
			t.Errorf("the server's log has the password (%v)", err)
		}
	}
	// By hand, where .env says nothing: the demo's password does not come back.
	made.psql(t, "stocks", "--command=alter role stocks password 'by hand'")
	made.setPasswords(t)
	if made.letsIn("stocks", "stocks") || !made.letsIn("stocks", "by hand") {
		t.Error("the superuser's password is the demo's again")
	}
	if !made.letsIn("speed_writer", "speed") {
		t.Error("a role has another password than its program")
	}
}

// A volume from before the roles, or without one of them: whatever can log in does so by .env's
// password all the same, since the server's port is there already.
func TestARoleThatIsMissingLeavesNoOtherOneThePasswordOfTheDemo(t *testing.T) {
	t.Parallel()
	made := startServer(t)
	made.psql(t, "stocks", "--command=alter role stocks password 'stocks'")
	made.setPasswords(t)
	roles := map[string]string{"stocks_owner": "owner", "speed_writer": "speed", "batch_writer": "batch", "grafana_reader": "grafana"}
	lines := []string{"POSTGRES_PASSWORD=own.secret", "OWNER_DB_PASSWORD=own.secret", "SPEED_DB_PASSWORD=own.secret", "BATCH_DB_PASSWORD=own.secret", "GRAFANA_DB_PASSWORD=own.secret"}
	// None is missing at the end: each alone, and all of them.
	for _, missing := range [][]string{{"stocks_owner"}, {"grafana_reader"}, {"stocks_owner", "speed_writer", "batch_writer", "grafana_reader"}} {
		for _, role := range missing {
			made.psql(t, "stocks", "--command=alter role "+role+" rename to gone_"+role)
		}
		said, err := made.tryPasswords(t, lines...)
		var failed *exec.ExitError
		if !errors.As(err, &failed) || failed.ExitCode() != 3 || !strings.Contains(said, `role "`+missing[0]+`" does not exist`) || strings.Contains(said, "secret") {
			t.Errorf("without %v: %v, %s", missing, err, said)
		}
		if made.letsIn("stocks", "stocks") || !made.letsIn("stocks", "own.secret") {
			t.Errorf("without %v the superuser still has the demo's password", missing)
		}
		for role, demo := range roles {
			if !slices.Contains(missing, role) && (made.letsIn(role, demo) || !made.letsIn(role, "own.secret")) {
				t.Errorf("without %v %s still has the demo's password", missing, role)
			}
		}
		for _, role := range missing {
			made.psql(t, "stocks", "--command=alter role gone_"+role+" rename to "+role)
		}
		made.setPasswords(t, lines...)
		made.psql(t, "stocks", "--command=alter role stocks password 'stocks'")
		made.setPasswords(t)
	}
	if log := textOf(t, made.folder+"/log"); strings.Contains(log, "own.secret") {
		t.Error("the server's log has the password")
	}
}

// fake makes programs of shell scripts, and gives a PATH that has them first.
func fake(t *testing.T, programs map[string]string) (string, string) {
	t.Helper()
	folder := t.TempDir()
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder, "PATH=" + folder + ":" + os.Getenv("PATH")
}

// Grafana reads the variable only when it makes its database.
func TestGrafanaStartsWithThePasswordThatEnvSays(t *testing.T) {
	folder, path := fake(t, map[string]string{
		"grafana": `read -r password; echo "$*: $password" >> "$GF_PATHS_DATA/said"; 
case $password in
refused) echo "too short"; exit 1 ;;
gone*) echo "Error: could not read user from database. Error: ${password#gone}"; exit 1 ;;
esac`,
		"run": `echo "started $*" >> "$GF_PATHS_DATA/said"`,
	})
	start := func(password string, hasDatabase bool) (string, string, error) {
		data := t.TempDir()
		if hasDatabase {
			if err := os.WriteFile(data+"/grafana.db", []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		command := exec.Command("/bin/sh", composeScripts+"grafana.sh", folder+"/run", "one")
		command.Env = []string{path, "GF_PATHS_DATA=" + data, "GF_PATHS_HOME=/home", "GF_PATHS_CONFIG=/config", "GF_SECURITY_ADMIN_PASSWORD=" + password}
		output, err := command.CombinedOutput()
		said, _ := os.ReadFile(data + "/said")
		return string(said), string(output), err
	}
	const reset = "cli --homepath /home --config /config admin reset-admin-password --password-from-stdin: "
	for _, known := range []struct {
		password, said string
		hasDatabase    bool
	}{
		{"own $(x)'\"", "started one\n", false},
		{"own $(x)'\"", reset + "own $(x)'\"\nstarted one\n", true},
		// A person may have changed it in the browser: the demo's does not come back.
		{"admin", "started one\n", true},
	} {
		if said, output, err := start(known.password, known.hasDatabase); said != known.said || err != nil || output != "" {
			t.Errorf("%+v: %q, %q, %v", known, said, output, err)
		}
	}
	if said, output, err := start("refused", true); err == nil || strings.Contains(said, "started") || !strings.Contains(output, "too short") || !strings.Contains(output, "GRAFANA_ADMIN_PASSWORD") {
		t.Errorf("a password that is not taken: %q, %q, %v", said, output, err)
	}
	// Who has deleted it after making one of their own has nobody whose password could be the demo's.
	for _, words := range []string{"user not found", "[user.not-found] user not found", "[user.not-found]"} {
		if said, output, err := start("gone"+words, true); err != nil || !strings.HasSuffix(said, "started one\n") || !strings.Contains(output, "GRAFANA_ADMIN_PASSWORD") {
			t.Errorf("an administrator who was deleted, %s: %q, %q, %v", words, said, output, err)
		}
	}
	service := load(t, nil, composeFile).Services["grafana"]
	if words := strings.Join(service.Entrypoint, " "); words != "/bin/sh /etc/compose/grafana.sh /run.sh" || len(service.Command) > 0 {
		t.Errorf("Compose starts Grafana by %s", words)
	}
}

// What is provisioned is mounted read-only and knows no address.
func TestGrafanasAlertsLeadToTheRunbooksOfTheHouse(t *testing.T) {
	folder, path := fake(t, map[string]string{"run": `echo "$GF_PATHS_PROVISIONING" > "$TMPDIR/said"`})
	start := func(runbooks string) (string, string, error) {
		temporary := t.TempDir()
		command := exec.Command("/bin/sh", composeScripts+"grafana.sh", folder+"/run")
		command.Env = []string{
			path, "TMPDIR=" + temporary, "GF_PATHS_DATA=" + temporary, "GF_PATHS_PROVISIONING=../../grafana/provisioning",
			"GF_SECURITY_ADMIN_PASSWORD=admin", "RUNBOOKS=" + runbooks,
		}
		output, err := command.CombinedOutput()
		said, _ := os.ReadFile(temporary + "/said")
		return strings.TrimSpace(string(said)), string(output), err
	}
	const address = "https://git.example.com/~owner/stock_lambda/-/blob/v1.0.0/docs/operations.md?plain=1"
	provisioned, output, err := start(address)
	if err != nil || provisioned == "" {
		t.Fatal(output, err)
	}
	before, after := textOf(t, "../../grafana/provisioning/alerting/batch-layer.json"), textOf(t, provisioned+"/alerting/batch-layer.json")
	alerts := strings.Count(before, `"runbook": "docs/operations.md#`)
	if alerts < 10 || strings.Count(after, `"runbook_url": "`+address+`#`) != alerts || strings.Contains(after, `"runbook":`) {
		t.Errorf("of %d alerts %d have an address", alerts, strings.Count(after, `"runbook_url": "`+address+`#`))
	}
	for _, same := range []string{"/datasources/stocks.yaml", "/dashboards/stocks.yaml"} {
		if textOf(t, provisioned+same) != textOf(t, "../../grafana/provisioning"+same) {
			t.Errorf("%s is another", same)
		}
	}
	if provisioned, output, err := start(""); err != nil || provisioned != "../../grafana/provisioning" {
		t.Errorf("without an address: %q, %s, %v", provisioned, output, err)
	}
	for _, none := range []string{"docs/operations.md", `https://x" }, "a": "`, "https://a|b", "https://a&b", `https://a\nb`} {
		if _, output, err := start(none); err == nil || !strings.Contains(output, "RUNBOOKS") {
			t.Errorf("%q: %s", none, output)
		}
	}
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte("RUNBOOKS="+address+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if given := loadWith(t, file).Services["grafana"].Environment["RUNBOOKS"]; given == nil || *given != address {
		t.Errorf("Compose hands on %v", given)
	}
}

// runSchedule lets the schedule run in a time of its own until `days` are over. `verdicts` are the
// exit codes of verify, of which the last stays. When each verify began, in seconds.
func runSchedule(t *testing.T, days, interval int, verdicts ...int) []int {
	t.Helper()
	words := []string{}
	for _, verdict := range verdicts {
		words = append(words, strconv.Itoa(verdict))
	}
	folder, path := fake(t, map[string]string{
		"date": `cat "$CLOCK"`,
		// The process that is asked to end is the schedule: it traps, and ends well.
		"sleep": `now=$(($(cat "$CLOCK") + $1)); echo "$now" > "$CLOCK"; [ "$now" -lt "$END" ] || kill -TERM "$PPID"`,
		"batch-layer": `[ "${1:-}" = verify ] || exit 3
cat "$CLOCK" >> "$CLOCK.verified"
code=$(head -n 1 "$CLOCK.verdicts"); [ "$(wc -l < "$CLOCK.verdicts")" -eq 1 ] || sed -i 1d "$CLOCK.verdicts"
exit "$code"`,
	})
	clock := folder + "/clock"
	for file, text := range map[string]string{clock: "0\n", clock + ".verdicts": strings.Join(words, "\n") + "\n", clock + ".verified": ""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("/bin/sh", composeScripts+"batch-schedule.sh")
	command.Env = []string{path, "CLOCK=" + clock, fmt.Sprintf("END=%d", days*86400), fmt.Sprintf("BATCH_INTERVAL=%d", interval)}
	said, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "batch-layer ended with exit code 3; next run in "+strconv.Itoa(interval)+" s") {
		t.Fatalf("%v\n%s", err, said)
	}
	began := []int{}
	for _, line := range strings.Fields(textOf(t, clock+".verified")) {
		seconds, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		began = append(began, seconds)
	}
	return began
}

// `sleep` would refuse it, and a run follow on a run.
func TestAPauseThatIsNoneIsRefused(t *testing.T) {
	folder, path := fake(t, map[string]string{"batch-layer": `echo run >> "$RUNS"`})
	for _, interval := range []string{"", "0", "00", "-5", "abc", "60 s", "1.5", "1e3", "999999"} {
		command := exec.Command("/bin/sh", composeScripts+"batch-schedule.sh")
		command.Env = []string{path, "RUNS=" + folder + "/runs", "BATCH_INTERVAL=" + interval}
		said, err := command.CombinedOutput()
		if _, ran := os.ReadFile(folder + "/runs"); err == nil || ran == nil || !strings.Contains(string(said), "BATCH_INTERVAL") {
			t.Errorf("%q: %v, %s", interval, err, said)
		}
	}
}

// Each verify reads all objects of two days.
func TestWhatStaysDifferentIsComparedOnceADay(t *testing.T) {
	t.Parallel()
	if began := runSchedule(t, 4, 3600, 0); !slices.Equal(began, []int{0, 86400, 172800, 259200}) {
		t.Errorf("where nothing differs, verify began at %v", began)
	}
	// A backfill that is on its way at first: again at the next run, and daily once nothing differs.
	if began := runSchedule(t, 2, 600, 4, 1, 0); len(began) != 4 || began[1] != 600 || began[2] > 1200 || began[3]-began[2] != 86400 {
		t.Errorf("where the first two differ, verify began at %v", began)
	}
	for _, verdicts := range [][]int{{1}, {4}, {0, 1}} {
		began := runSchedule(t, 8, 3600, verdicts...)
		count := func(from, to int) int {
			return len(slices.DeleteFunc(slices.Clone(began), func(at int) bool { return at < from*86400 || at >= to*86400 }))
		}
		if count(0, 3) > 14 || count(4, 8) > 5 || count(4, 8) < 3 {
			t.Errorf("verify that ends with %v began at %v", verdicts, began)
		}
	}
}

func TestMorePartitionsAreAddedAndFewerSaid(t *testing.T) {
	for partitions, wanted := range map[string]struct{ asked, said string }{
		"4": {"", ""},
		"6": {"--alter --topic stock_prices --partitions 6\n", "6 partitions, 4 before"},
		"3": {"", "keeps its 4 partitions"},
	} {
		folder, path := fake(t, map[string]string{"kafka-topics.sh": `shift 2
case $1 in
--describe) printf 'Topic: %s\tTopicId: x\tPartitionCount: 4\tReplicationFactor: 1\tConfigs: \n\tTopic: x\tPartition: 0\tLeader: 1\n' "$3" ;;
--alter) echo "$*" >> "$KAFKA_BIN/altered" ;;
--create) [ "$2" = --if-not-exists ] && [ "$3" = --topic ] ;;
esac`})
		command := exec.Command("/bin/bash", composeScripts+"topics.sh")
		command.Env = []string{path, "KAFKA_BIN=" + folder, "PARTITIONS=" + partitions}
		said, err := command.CombinedOutput()
		asked, _ := os.ReadFile(folder + "/altered")
		if err != nil || string(asked) != wanted.asked || !strings.Contains(string(said), wanted.said) {
			t.Errorf("%s partitions: %q, %q, %v", partitions, asked, said, err)
		}
	}
	if words := load(t, nil, composeFile).Services["topics"].Entrypoint; !slices.Equal(words, []string{"/bin/bash", "/etc/compose/topics.sh"}) {
		t.Errorf("Compose runs %v", words)
	}
}

// A number that cannot be read is no number of partitions that is enough.
func TestPartitionsThatCannotBeComparedAreSaid(t *testing.T) {
	for name, known := range map[string]struct{ partitions, described string }{
		"PartitionCount":                           {"8", "Topic: stock_prices ReplicationFactor: 1"},
		"KAFKA_PARTITIONS is abc":                  {"abc", "Topic: stock_prices PartitionCount: 4"},
		"KAFKA_PARTITIONS is 0":                    {"0", "Topic: stock_prices PartitionCount: 4"},
		"KAFKA_PARTITIONS is 99999999999999999999": {"99999999999999999999", "Topic: stock_prices PartitionCount: 4"},
	} {
		folder, path := fake(t, map[string]string{"kafka-topics.sh": `case $* in *--describe*) echo "$DESCRIBED" ;; *--alter*) exit 9 ;; esac`})
		command := exec.Command("/bin/bash", composeScripts+"topics.sh")
		command.Env = []string{path, "KAFKA_BIN=" + folder, "PARTITIONS=" + known.partitions, "DESCRIBED=" + known.described}
		var failed *exec.ExitError
		if said, err := command.CombinedOutput(); !errors.As(err, &failed) || failed.ExitCode() != 1 || !strings.Contains(string(said), name) {
			t.Errorf("%+v: %s, %v", known, said, err)
		}
	}
}

// The RUN of connect/Dockerfile, with files of the test's in the place of the downloads.
func TestTheSinkAndTheAgentAreHeldAgainstTheirSums(t *testing.T) {
	dockerfile := textOf(t, "../../connect/Dockerfile")
	_, script, _ := strings.Cut(dockerfile, "\nRUN ")
	script, _, found := strings.Cut(script, " && mkdir -p")
	if !found {
		t.Fatal("connect/Dockerfile unpacks nothing")
	}
	folder := t.TempDir()
	for path, name := range map[string]string{"/tmp/plugin.zip": "zip", "/opt/jmx-agent/agent.jar": "jar"} {
		script = strings.ReplaceAll(script, path, folder+"/"+name)
		if err := os.WriteFile(folder+"/"+name, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sum := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	for _, known := range []struct {
		zip, jar string
		isTaken  bool
	}{
		{"", sum("jar"), true}, {sum("zip"), sum("jar"), true}, {sum("other"), sum("jar"), false}, {"", sum("other"), false}, {sum("zip"), sum("zip"), false},
		{sum("zip"), "", false}, {"", "", false},
	} {
		command := exec.Command("/bin/sh", "-c", strings.TrimSuffix(strings.TrimSpace(script), "\\"))
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "SINK_SHA256=" + known.zip, "JMX_AGENT_SHA256=" + known.jar}
		said, err := command.CombinedOutput()
		if (err == nil) != known.isTaken || !strings.Contains(string(said), sum("zip")) || !strings.Contains(string(said), sum("jar")) {
			t.Errorf("%+v: %v, %s", known, err, said)
		}
		if strings.Contains(string(said), "SINK_SHA256 is empty") != (known.zip == "") {
			t.Errorf("%+v: %s", known, said)
		}
	}
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte("S3_SINK_SHA256=one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	given := loadWith(t, file).Services["connect"].Build.Args
	if *given["SINK_SHA256"] != "one" || given["JMX_AGENT_SHA256"] != nil {
		t.Errorf("Compose hands on %v", given)
	}
	// The agent is of Maven Central, and its sum is fixed.
	if !regexp.MustCompile(`\nARG JMX_AGENT_SHA256=[0-9a-f]{64}\n`).MatchString(dockerfile) ||
		!strings.Contains(dockerfile, "\nARG JMX_AGENT_URL=https://repo1.maven.org/maven2/io/prometheus/jmx/") {
		t.Error("the agent is not verified, or is from elsewhere than Maven Central")
	}
}

// What keeps data has the time to close them: Docker's own ten seconds are short for that.
func TestWhatKeepsDataHasAMinuteToStop(t *testing.T) {
	forEachSelection(t, func(t *testing.T, project *types.Project) {
		for _, name := range []string{"kafka", "postgres", "zookeeper"} {
			service, ok := project.Services[name]
			if !ok {
				continue
			}
			if grace := service.StopGracePeriod; grace == nil || *grace < types.Duration(60_000_000_000) {
				t.Errorf("%s is killed after %v", name, grace)
			}
		}
	})
}

// docs/logs.md has the list: an image that is built with traces takes them by .env.
func TestTheVariablesOfTracesHaveAWayInByEnv(t *testing.T) {
	names := regexp.MustCompile("`(OTEL_[A-Z_]+)`").FindAllStringSubmatch(textOf(t, "../../docs/logs.md"), -1)
	lines := ""
	for _, name := range names {
		lines += name[1] + "=given\n"
	}
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	project := loadWith(t, file)
	for _, service := range []string{"speed-layer", "batch-layer", "batch-schedule"} {
		for _, name := range names {
			if value := project.Services[service].Environment[name[1]]; value == nil || *value != "given" {
				t.Errorf("%s does not get %s", service, name[1])
			}
		}
		if !slices.ContainsFunc(project.Services[service].Volumes, func(volume types.ServiceVolumeConfig) bool {
			return volume.Target == "/etc/stocks/files" && volume.ReadOnly
		}) {
			t.Errorf("%s has no folder for files that variables name", service)
		}
	}
	if len(names) < 8 {
		t.Errorf("docs/logs.md has only %v", names)
	}
}

// What the head of overlays/prod tells to make, wherever one stands, and what dev needs.
func TestSecretsThatOneIsToldToMakeAreNotCommitted(t *testing.T) {
	ignored := func(path string) bool {
		command := exec.Command("git", "-C", workspace, "check-ignore", "--quiet", "--no-index", path)
		err := command.Run()
		var failed *exec.ExitError
		if err != nil && !(errors.As(err, &failed) && failed.ExitCode() == 1) {
			t.Skip("no clone: ", err)
		}
		return err == nil
	}
	head := textOf(t, "../kubernetes/overlays/prod/kustomization.yaml")
	files := regexp.MustCompile(`--from-file=(\S+)`).FindAllStringSubmatch(head, -1)
	if len(files) < 6 {
		t.Fatalf("only %v", files)
	}
	for _, file := range append(files, []string{"", ".env"}, []string{"", "speed-database-url"}) {
		for _, folder := range []string{"", "deploy/kubernetes/overlays/prod/", "secrets/"} {
			if !ignored(folder + file[1]) {
				t.Errorf("git takes %s%s", folder, file[1])
			}
		}
	}
	if !ignored("deploy/compose/files/store.pem") || ignored("deploy/compose/files/README.md") {
		t.Error("deploy/compose/files keeps its page alone")
	}
	dev, err := filepath.Glob("../kubernetes/overlays/dev/secrets/*")
	if err != nil || len(dev) < 5 {
		t.Fatal(dev, err)
	}
	for _, file := range dev {
		if ignored("deploy/kubernetes/overlays/dev/secrets/" + filepath.Base(file)) {
			t.Errorf("git leaves out %s", file)
		}
	}
}
