package check

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

const (
	composeFile   = "../../docker-compose.yml"
	zookeeperFile = "../../docker-compose.zookeeper.yml"
)

// Services that end by themselves.
var jobs = []string{"exposure", "passwords", "topics", "bucket", "connector", "migrate", "backfill", "batch-layer"}

// Images that are built here.
var built = []string{"speed-layer", "batch-layer", "batch-schedule", "migrate", "simulator", "backfill", "minio"}

// load reads the files as `docker compose` does, without this process's environment.
func load(t *testing.T, profiles []string, files ...string) *types.Project {
	t.Helper()
	return read(t, files, cli.WithProfiles(profiles))
}

// loadWith reads all services with a file of variables in .env's place.
func loadWith(t *testing.T, file string) *types.Project {
	t.Helper()
	return read(t, []string{composeFile}, cli.WithProfiles([]string{"*"}), cli.WithEnvFiles(file), cli.WithDotEnv)
}

func read(t *testing.T, files []string, with ...cli.ProjectOptionsFn) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(files, append(with, cli.WithName("check"))...)
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func forEachSelection(t *testing.T, check func(t *testing.T, project *types.Project)) {
	for name, selection := range map[string]struct{ profiles, files []string }{
		"by default":                {nil, []string{composeFile}},
		"with tools":                {[]string{"tools"}, []string{composeFile}},
		"with ZooKeeper":            {nil, []string{composeFile, zookeeperFile}},
		"with ZooKeeper and tools":  {[]string{"tools"}, []string{composeFile, zookeeperFile}},
		"with every profile at all": {[]string{"*"}, []string{composeFile}},
	} {
		t.Run(name, func(t *testing.T) { check(t, load(t, selection.profiles, selection.files...)) })
	}
}

func TestComposeFilesAreValidAndListTheirServices(t *testing.T) {
	for _, file := range []string{composeFile, zookeeperFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "services:\n")
		files := []string{composeFile}
		if file == zookeeperFile {
			files = append(files, file)
		}
		for name := range load(t, []string{"*"}, files...).Services {
			if file == zookeeperFile && name != "zookeeper" {
				continue
			}
			if !regexp.MustCompile(`(?m)^#   ` + regexp.QuoteMeta(name) + ` `).MatchString(head) {
				t.Errorf("the head of %s does not list %s", file, name)
			}
		}
	}
}

func TestZookeeperTakesKraftsPlace(t *testing.T) {
	project := load(t, nil, composeFile, zookeeperFile)
	kafka := project.Services["kafka"]
	if !strings.Contains(kafka.Image, ":3.9") || kafka.DependsOn["zookeeper"].Condition != "service_healthy" {
		t.Errorf("kafka is %s and depends on %v", kafka.Image, kafka.DependsOn)
	}
}

func TestPortsAreOnLoopbackUnlessAskedFor(t *testing.T) {
	forEachSelection(t, func(t *testing.T, project *types.Project) {
		for name, service := range project.Services {
			for _, port := range service.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("%s publishes %s on %q", name, port.Published, port.HostIP)
				}
			}
			if service.NetworkMode == "host" || service.Privileged {
				t.Errorf("%s shares the host's network, or is privileged", name)
			}
		}
	})
}

func TestServicesArePinnedLimitedAndRestarted(t *testing.T) {
	forEachSelection(t, func(t *testing.T, project *types.Project) {
		for name, service := range project.Services {
			if _, ours := builders(project)[service.Image]; !ours {
				_, version, found := strings.Cut(service.Image, ":")
				if !found || version == "latest" {
					t.Errorf("%s: image %s has no version", name, service.Image)
				}
			}
			if service.MemLimit == 0 {
				t.Errorf("%s may take all memory", name)
			}
			if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
				t.Errorf("%s may gain privileges", name)
			}
			if isJob := slices.Contains(jobs, name); isJob == (service.Restart == "unless-stopped") {
				t.Errorf("%s: restart %q", name, service.Restart)
			}
			if slices.Contains(built, name) && (!service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"})) {
				t.Errorf("%s can write to its root file system, or keeps capabilities", name)
			}
		}
	})
}

// builders gives the services that build each image.
func builders(project *types.Project) map[string][]string {
	found := map[string][]string{}
	for name, service := range project.Services {
		if service.Build != nil {
			found[service.Image] = append(found[service.Image], name)
		}
	}
	return found
}

// Two services that build one image export it side by side, and one of them fails: "already exists".
func TestEachImageIsBuiltByOneServiceAndTheOthersNameIt(t *testing.T) {
	forEachSelection(t, func(t *testing.T, project *types.Project) {
		builders := builders(project)
		for image, services := range builders {
			if len(services) != 1 {
				t.Errorf("%s is built by %v", image, services)
			}
		}
		for name, service := range project.Services {
			if !strings.HasPrefix(service.Image, "stock-lambda/") || service.Build != nil {
				continue
			}
			if len(builders[service.Image]) == 0 || service.PullPolicy != types.PullPolicyNever {
				t.Errorf("%s: nobody builds %s, or it is looked for in a registry", name, service.Image)
			}
		}
	})
}

func TestTheProjectsImagesTakeTheirBasesFromTheEnvironment(t *testing.T) {
	forEachSelection(t, func(t *testing.T, project *types.Project) {
		for name, service := range project.Services {
			if service.Build == nil || service.Build.Target == "" {
				continue // the connector's image has Kafka's as its base
			}
			for _, argument := range []string{"RUST_IMAGE", "RUNTIME_IMAGE"} {
				if service.Build.Args[argument] == nil {
					t.Errorf("%s: no %s for the build", name, argument)
				}
			}
		}
	})
}

// The store that the tests run against is the one that Compose runs.
func TestMinioIsOfTheVersionThatTheTestsHave(t *testing.T) {
	build := load(t, nil, composeFile).Services["minio"].Build
	if build == nil || build.Args["MINIO_VERSION"] == nil {
		t.Fatal("it is not built from its source")
	}
	for _, file := range []string{"../minio/Dockerfile", "../../xtask/src/stack/minio.rs"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), *build.Args["MINIO_VERSION"]) {
			t.Errorf("%s has another version than %s", file, *build.Args["MINIO_VERSION"])
		}
	}
}

// What listens everywhere is no address that a client can go to: Kafka refuses it.
func TestKafkaNamesItselfApartFromWhereItListens(t *testing.T) {
	t.Setenv("BIND_ADDRESS", "0.0.0.0")
	for _, files := range [][]string{{composeFile}, {composeFile, zookeeperFile}} {
		options, err := cli.NewProjectOptions(files, cli.WithName("check"), cli.WithOsEnv)
		if err != nil {
			t.Fatal(err)
		}
		project, err := options.LoadProject(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kafka := project.Services["kafka"]
		if kafka.Ports[0].HostIP != "0.0.0.0" {
			t.Errorf("BIND_ADDRESS does not count: %v", kafka.Ports)
		}
		advertised := strings.Join(kafka.Command, " ")
		if setting := kafka.Environment["KAFKA_ADVERTISED_LISTENERS"]; len(files) == 1 && setting != nil {
			advertised = *setting
		}
		if !strings.Contains(advertised, "HOST://127.0.0.1:9092") || strings.Contains(advertised, "0.0.0.0") {
			t.Errorf("Kafka advertises %s", advertised)
		}
	}
}

// A clone made under umask 077 has files that only their owner reads; an image must not.
func TestWhatIsCopiedIntoTheConnectImageCanBeReadByItsUser(t *testing.T) {
	text, err := os.ReadFile("../../connect/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, _ := strings.Cut(string(text), "\nFROM ${KAFKA_IMAGE}\n")
	if last == "" || strings.Contains(last, "\nCOPY worker.properties") || !strings.Contains(string(text), "chmod -R a+rX /opt/connect-plugins /etc/kafka-connect") {
		t.Error("files get into the image with the rights that they have in the clone")
	}
}

// docs/deployment.md, "Without the sink's zip": these come up where no vendor's page is in reach.
func TestEverythingButTheArchiveComesUpWithoutTheSink(t *testing.T) {
	page, err := os.ReadFile("../../docs/deployment.md")
	if err != nil {
		t.Fatal(err)
	}
	_, said, found := strings.Cut(string(page), "docker compose up --build --detach ")
	if !found {
		t.Fatal("docs/deployment.md does not say what to start")
	}
	line, _, _ := strings.Cut(said, "\n")
	selected, err := load(t, nil, composeFile).WithSelectedServices(strings.Fields(line))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"connect", "connector"} {
		if _, needed := selected.Services[name]; needed {
			t.Errorf("%s needs %s", line, name)
		}
	}
	if _, starts := selected.Services["minio"]; !starts {
		t.Errorf("%s starts no store", line)
	}
}

func TestWhatOthersWaitForHasAHealthCheckOrEnds(t *testing.T) {
	forEachSelection(t, func(t *testing.T, project *types.Project) {
		for name, service := range project.Services {
			for needed, condition := range service.DependsOn {
				other := project.Services[needed]
				switch condition.Condition {
				case "service_healthy":
					if other.HealthCheck == nil {
						t.Errorf("%s waits for %s, which has no health check", name, needed)
					}
				case "service_completed_successfully":
					if !slices.Contains(jobs, needed) {
						t.Errorf("%s waits for the end of %s, which does not end", name, needed)
					}
				default:
					t.Errorf("%s waits for %s only to be started", name, needed)
				}
			}
		}
	})
}

func TestOnlyTheDatabaseItselfLogsInAsSuperuser(t *testing.T) {
	forEachSelection(t, func(t *testing.T, project *types.Project) {
		for name, service := range project.Services {
			if url := service.Environment["DATABASE_URL"]; url != nil && strings.Contains(*url, "//stocks:") {
				t.Errorf("%s logs in as superuser", name)
			}
		}
	})
}

// Those of a program's variables that Compose gives itself, or has no file for: a way in by .env would break it.
var ofCompose = []string{
	"DATABASE_URL", "DATABASE_URL_FILE", "MIGRATIONS", "KAFKA_BROKERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "KAFKA_PROPERTIES_FILE",
	"HTTP_ADDR", "SCHEMA_REGISTRY_PASSWORD_FILE", "LAKE_TEMP_DIR",
}

// As a person writes them into .env; where nobody says anything, a program's own default holds.
func TestEveryVariableOfAProgramHasAWayInByEnv(t *testing.T) {
	speed := variablesOf(t, "speed-layer", "service")
	batch := append(variablesOf(t, "batch-layer"), slices.DeleteFunc(variablesOf(t, "service"), func(name string) bool {
		return name == "KAFKA_PROPERTIES" // verify's, and Compose's Kafka needs none
	})...)
	file, lines := filepath.Join(t.TempDir(), ".env"), ""
	for _, name := range append(slices.Clone(speed), batch...) {
		lines += name + "=of-" + name + "\n"
	}
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	given, plain := loadWith(t, file), load(t, []string{"*"}, composeFile)
	for service, names := range map[string][]string{"speed-layer": speed, "batch-layer": batch, "batch-schedule": batch} {
		for _, name := range names {
			value := given.Services[service].Environment[name]
			if isOurs := slices.Contains(ofCompose, name); isOurs == (value != nil && *value == "of-"+name) {
				t.Errorf("%s: %s in .env comes to it as %v", service, name, value)
			}
		}
		for _, name := range []string{"ANOMALIES", "HOLIDAYS", "RETENTION_DAYS", "GRACE"} {
			if value := plain.Services[service].Environment[name]; value != nil {
				t.Errorf("%s: %s is %q, though nobody said anything", service, name, *value)
			}
		}
	}
}

// What is handed on without a default stands in the example as a line that is none yet.
func TestTheExampleOfEnvNamesWhatIsHandedOn(t *testing.T) {
	named := func(pattern, text string) []string {
		names := []string{}
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			names = append(names, match[1])
		}
		return slices.Sorted(slices.Values(names))
	}
	head, _, _ := strings.Cut(textOf(t, composeFile), "\nservices:\n")
	handed, shown := named(`(?m)^  ([A-Z][A-Z0-9_]*):$`, head), named(`(?m)^#([A-Z][A-Z0-9_]*)=.`, textOf(t, "../../.env.example"))
	if len(handed) < 30 || !slices.Equal(handed, shown) {
		t.Errorf("handed on: %v\n.env.example: %v", handed, shown)
	}
}

// Each `${NAME:-default}` of the compose files is a line `NAME=default` of .env.example.
func TestTheExampleOfEnvHasEveryVariableWithItsDefault(t *testing.T) {
	example, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(example), "\n")
	used := map[string]bool{}
	for _, file := range []string{composeFile, zookeeperFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`\$\{(\w+):-(\$\{\w+:-[^}]*\}|[^}]*)\}`).FindAllStringSubmatch(string(text), -1) {
			used[match[1]] = true
			if strings.HasPrefix(match[2], "${") {
				match[2] = "" // what another variable says
			}
			if !slices.Contains(lines, match[1]+"="+match[2]) {
				t.Errorf("%s: %s=%s is not in .env.example", file, match[1], match[2])
			}
		}
	}
	for _, line := range lines {
		if name, _, found := strings.Cut(line, "="); found && !strings.HasPrefix(line, "#") && !used[name] {
			t.Errorf(".env.example: no compose file uses %s", name)
		}
	}
}

type scrapes struct {
	ScrapeConfigs []struct {
		JobName       string `json:"job_name"`
		StaticConfigs []struct {
			Targets []string `json:"targets"`
		} `json:"static_configs"`
		DNSConfigs []struct {
			Names []string `json:"names"`
			Port  int      `json:"port"`
		} `json:"dns_sd_configs"`
	} `json:"scrape_configs"`
}

// Where Prometheus looks, by job.
func scraped(t *testing.T) map[string][]string {
	t.Helper()
	var config scrapes
	if err := yaml.Unmarshal([]byte(textOf(t, "../../prometheus/prometheus.yml")), &config); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, job := range config.ScrapeConfigs {
		for _, static := range job.StaticConfigs {
			found[job.JobName] = append(found[job.JobName], static.Targets...)
		}
		for _, dns := range job.DNSConfigs {
			for _, name := range dns.Names {
				found[job.JobName] = append(found[job.JobName], fmt.Sprintf("%s:%d", name, dns.Port))
			}
		}
	}
	return found
}

// An alert on a job that nobody scrapes never fires.
func TestPrometheusScrapesWhatTheAlertsAskFor(t *testing.T) {
	jobs, services := scraped(t), load(t, nil, composeFile).Services
	for job, targets := range jobs {
		for _, target := range targets {
			name, port, _ := strings.Cut(target, ":")
			if _, ok := services[name]; !ok && name != "localhost" {
				t.Errorf("job %s: Compose has no service %s", job, name)
			}
			if port == "" {
				t.Errorf("job %s: %s has no port", job, target)
			}
		}
	}
	for _, file := range []string{"speed-layer", "archive-sink"} {
		for _, asked := range regexp.MustCompile(`job="([^"]+)"`).FindAllStringSubmatch(textOf(t, "../../prometheus/rules/"+file+".rules.yml"), -1) {
			if len(jobs[asked[1]]) == 0 {
				t.Errorf("%s.rules.yml asks for job %s, which nobody scrapes", file, asked[1])
			}
		}
	}
	if !slices.Equal(jobs["kafka-connect"], []string{"connect:9404"}) || !slices.Equal(jobs["kafka-exporter"], []string{"kafka-exporter:9308"}) {
		t.Errorf("the sink's alerts have no data: %v", jobs)
	}
}

// The agent's port and file are named in the image, and its rules make the series that the alert asks for.
func TestTheWorkersAgentTellsWhatTheSinksAlertsAskFor(t *testing.T) {
	dockerfile, rules := textOf(t, "../../connect/Dockerfile"), textOf(t, "../../connect/metrics.yaml")
	for _, part := range []string{
		"-javaagent:/opt/jmx-agent/agent.jar=9404:/etc/kafka-connect/metrics.yaml",
		"COPY worker.properties log4j2.yaml metrics.yaml /etc/kafka-connect/",
	} {
		if !strings.Contains(dockerfile, part) {
			t.Errorf("connect/Dockerfile lacks %q", part)
		}
	}
	var parsed struct {
		IncludeObjectNames []string `json:"includeObjectNames"`
		Rules              []struct {
			Pattern, Name, Type string
			Value               int
			Labels              map[string]string
		} `json:"rules"`
	}
	if err := yaml.UnmarshalStrict([]byte(rules), &parsed); err != nil {
		t.Fatal(err)
	}
	rule := parsed.Rules[0]
	// What the agent makes of an attribute: domain<properties><keys>name: value.
	bean := "kafka.connect<type=connector-task-metrics, connector=minio-sink-connector, task=0><>status: failed"
	if !regexp.MustCompile("^"+rule.Pattern).MatchString(bean) || rule.Name != "kafka_connect_connector_status" || rule.Labels["status"] != "$3" {
		t.Errorf("the first rule is %+v", rule)
	}
	if !strings.Contains(textOf(t, "../../prometheus/rules/archive-sink.rules.yml"), rule.Name+"{status=~") {
		t.Error("no alert asks for it")
	}
}

// As a person writes it into .env, with quotes and signs of its own.
func TestAMappingInEnvReachesBothLayersAsItIsWritten(t *testing.T) {
	const mapping = `price=quote.last|mid,volume="Volume BTC"`
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte("MESSAGE_MAP="+mapping+"\nTRADING_HOURS=Asia/Tokyo 09:00-15:30\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	project := loadWith(t, file)
	for _, name := range []string{"speed-layer", "batch-layer", "batch-schedule"} {
		environment := project.Services[name].Environment
		if got := environment["MESSAGE_MAP"]; got == nil || *got != mapping {
			t.Errorf("%s: MESSAGE_MAP is %v", name, got)
		}
		if got := environment["TRADING_HOURS"]; got == nil || *got != "Asia/Tokyo 09:00-15:30" {
			t.Errorf("%s: TRADING_HOURS is %v", name, got)
		}
	}
}
