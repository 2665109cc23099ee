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
	connectFile   = "../../docker-compose.connect.yml"
	zookeeperFile = "../../docker-compose.zookeeper.yml"
)

// Services that end by themselves.
var jobs = []string{"exposure", "passwords", "topics", "bucket", "connector", "migrate", "backfill", "batch-layer"}

// Images that are built here.
var built = []string{"speed-layer", "batch-layer", "batch-schedule", "migrate", "archiver", "simulator", "backfill", "minio"}

// load reads the files as `docker compose` does, without this process's environment.
func load(t *testing.T, profiles []string, files ...string) *types.Project {
	t.Helper()
	return read(t, files, cli.WithProfiles(profiles))
}

// loadWith reads all services with a file of variables in .env's place.
func loadWith(t *testing.T, file string) *types.Project {
	t.Helper()
	return read(t, []string{composeFile, connectFile}, cli.WithProfiles([]string{"*"}), cli.WithEnvFiles(file), cli.WithDotEnv)
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
		"by default":                       {nil, []string{composeFile}},
		"with tools":                       {[]string{"tools"}, []string{composeFile}},
		"with ZooKeeper":                   {nil, []string{composeFile, zookeeperFile}},
		"with ZooKeeper and tools":         {[]string{"tools"}, []string{composeFile, zookeeperFile}},
		"with every profile at all":        {[]string{"*"}, []string{composeFile}},
		"with Connect":                     {nil, []string{composeFile, connectFile}},
		"with Connect and ZooKeeper":       {nil, []string{composeFile, connectFile, zookeeperFile}},
		"with ZooKeeper and Connect":       {nil, []string{composeFile, zookeeperFile, connectFile}},
		"with Connect and every profile":   {[]string{"*"}, []string{composeFile, connectFile}},
		"with both and every profile used": {[]string{"*"}, []string{composeFile, connectFile, zookeeperFile}},
	} {
		t.Run(name, func(t *testing.T) { check(t, load(t, selection.profiles, selection.files...)) })
	}
}

func TestComposeFilesAreValidAndListTheirServices(t *testing.T) {
	base := load(t, []string{"*"}, composeFile).Services
	for _, file := range []string{composeFile, connectFile, zookeeperFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "\nservices:\n")
		files := []string{composeFile}
		if file != composeFile {
			files = append(files, file)
		}
		for name := range load(t, []string{"*"}, files...).Services {
			if _, isBase := base[name]; isBase && file != composeFile {
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

// Another cluster is another topic: tables and archive of the one are none of the other's, and
// speed-layer ends at them.
func TestZookeeperHasNoDataOfKrafts(t *testing.T) {
	// Of no topic: a socket, and what the metrics and a person's dashboards are kept in.
	ofBoth := []string{"postgres-socket", "prometheus-data", "grafana-data"}
	kept := func(files ...string) map[string][]string {
		found := map[string][]string{}
		for name, service := range load(t, []string{"*"}, files...).Services {
			for _, volume := range service.Volumes {
				if volume.Type == "volume" && !slices.Contains(ofBoth, volume.Source) {
					found[volume.Source] = append(found[volume.Source], name)
				}
			}
		}
		return found
	}
	for _, others := range [][]string{nil, {connectFile}} {
		kraft, zookeeper := kept(append([]string{composeFile}, others...)...), kept(append([]string{composeFile, zookeeperFile}, others...)...)
		if len(kraft) < 4 || len(zookeeper) != len(kraft)+1 {
			t.Errorf("%v and %v", kraft, zookeeper)
		}
		for volume, services := range zookeeper {
			if kraft[volume] != nil {
				t.Errorf("%v have %s in both modes", services, volume)
			}
		}
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

// Two services that build one image export it side by side, and one of them fails: "already
// exists".
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

// Where images and what is built into them may come from by default: registries of packages. A page
// of a vendor's is fetched by ADD, curl or wget, and from nowhere else in this tree.
func TestTheDefaultNeedsNoVendorsPage(t *testing.T) {
	for _, files := range [][]string{{composeFile}, {composeFile, zookeeperFile}} {
		project := load(t, []string{"*"}, files...)
		seen := 0
		for name, service := range project.Services {
			if host, _, hasPath := strings.Cut(service.Image, "/"); hasPath && strings.ContainsAny(host, ".:") {
				t.Errorf("%s: image %s is not of Docker Hub", name, service.Image)
			}
			if service.Build == nil {
				continue
			}
			seen++
			dockerfile := textOf(t, filepath.Join(service.Build.Context, "Dockerfile"))
			for _, line := range strings.Split(dockerfile, "\n") {
				if strings.HasPrefix(strings.TrimSpace(line), "#") {
					continue
				}
				if fetches := regexp.MustCompile(`(?i)https?://|\bADD\b|\bcurl\s|\bwget\s|git clone`).FindString(line); fetches != "" {
					t.Errorf("%s is built from a page: %s", name, line)
				}
			}
		}
		if seen < 4 {
			t.Errorf("only %d services are built", seen)
		}
	}
	// The other way round: what fetches one is found.
	if !strings.Contains(textOf(t, "../../connect/Dockerfile"), "\nADD ${CONFLUENT_URL} ") {
		t.Error("connect/Dockerfile fetches the sink in another way than this looks for")
	}
}

// Twice the same lines in one bucket, under names of which neither knows the other's cuts.
func TestNeverDoBothArchive(t *testing.T) {
	archives := func(service types.ServiceConfig, ok bool) bool {
		return ok && (service.Scale == nil || *service.Scale > 0)
	}
	forEachSelection(t, func(t *testing.T, project *types.Project) {
		archiver, isThere := project.Services["archiver"]
		connect, isConnect := project.Services["connect"]
		connector, isRegistered := project.Services["connector"]
		if archives(archiver, isThere) == archives(connect, isConnect) || archives(connect, isConnect) != archives(connector, isRegistered) {
			t.Errorf("archiver %v, connect %v, connector %v", archives(archiver, isThere), archives(connect, isConnect), archives(connector, isRegistered))
		}
		// Whoever is left over from the other selection: Kafka gives a group's partition to one member
		// alone, and each goes on where the other has stopped.
		group := regexp.MustCompile(`default_value = "(connect-[^"]+)"`).FindStringSubmatch(textOf(t, "../../workbench/src/archive/args.rs"))
		if group == nil || strings.Contains(strings.Join(archiver.Command, " "), "--group-id") {
			t.Fatal("the archiver has no group of that kind")
		}
		if isRegistered && "connect-"+connector.Command[0] != group[1] {
			t.Errorf("the archiver is of group %s, the connector is %s", group[1], connector.Command[0])
		}
	})
}

// The archiver is for a look; where it stands it says what takes its place.
func TestARealSinkIsWhatProductionIsToldToRun(t *testing.T) {
	for file, words := range map[string]string{
		composeFile: "which is what production runs", connectFile: "this is what production runs",
		"../../docs/deployment.md": "**Use this in production**", "../../.env.example": "which is what production runs",
	} {
		text := textOf(t, file)
		if !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(text, "\n#", "\n")), " "), words) || !strings.Contains(text, "docker-compose.connect.yml") {
			t.Errorf("%s does not say %q", file, words)
		}
	}
	// The override is one of both ways: by -f, and by one line of .env.
	if !strings.Contains(textOf(t, "../../.env.example"), "\n#COMPOSE_FILE=docker-compose.yml:docker-compose.connect.yml\n") {
		t.Error(".env.example does not show the line")
	}
}

// What batch-layer reads without a flag, and what the sink of docker-compose.connect.yml goes on
// with.
func TestTheArchiverWritesAsTheSinkDoes(t *testing.T) {
	var sink map[string]string
	if err := yaml.Unmarshal([]byte(textOf(t, "../../connect/confluent-sink-connector.json")), &sink); err != nil {
		t.Fatal(err)
	}
	command := load(t, nil, composeFile).Services["archiver"].Command
	wanted := []string{"archive", "--gzip", "--dead-letter-topic=" + sink["errors.deadletterqueue.topic.name"], "--rotate=60000ms"}
	if sink["s3.compression.type"] != "gzip" || sink["rotate.schedule.interval.ms"] != "${env:S3_SINK_ROTATE_MS}" || !slices.Equal(command, wanted) {
		t.Errorf("the archiver is %v, the sink is %v", command, sink)
	}
	source := textOf(t, "../../workbench/src/archive/args.rs") + textOf(t, "../../workbench/src/archive/objects.rs")
	for _, same := range []string{`format!("{folder}{slash}{topic}/`, `"FOLDER", default_value = "` + sink["topics.dir"] + `"`, "default_value_t = " + sink["flush.size"]} {
		if !strings.Contains(strings.ReplaceAll(source, "_000", "000"), same) {
			t.Errorf("workbench archive has no %q", same)
		}
	}
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte("ARCHIVER_FLAGS=--keys --record-time\nS3_SINK_ROTATE_MS=600000\nSCHEMA_REGISTRY_URL=http://registry\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	archiver := loadWith(t, file).Services["archiver"]
	if got := archiver.Command; !slices.Equal(got[3:], []string{"--rotate=600000ms", "--keys", "--record-time"}) {
		t.Errorf("by .env it is %v", got)
	}
	if url := archiver.Environment["SCHEMA_REGISTRY_URL"]; url == nil || *url != "http://registry" {
		t.Error("it does not hear of the registry")
	}
}

// Faster to build for a look; what is released is built otherwise.
func TestTheProfileOfABuildComesByEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte("BUILD_PROFILE=dist\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for wanted, project := range map[string]*types.Project{"release": load(t, []string{"*"}, composeFile), "dist": loadWith(t, file)} {
		for name, service := range project.Services {
			if service.Build == nil || service.Build.Target == "" {
				continue
			}
			if profile := service.Build.Args["PROFILE"]; profile == nil || *profile != wanted {
				t.Errorf("%s is built by profile %v, and not by %s", name, profile, wanted)
			}
		}
	}
	dockerfile := textOf(t, "../../Dockerfile")
	if !strings.Contains(dockerfile, "\nARG PROFILE=dist\n") || regexp.MustCompile(`--profile [^"]|target/(dist|release)/`).MatchString(dockerfile) {
		t.Error("the Dockerfile builds by another profile than PROFILE, or releases another one than dist")
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

// Those of a program's variables that Compose gives itself, or has no file for: a way in by .env
// would break it.
var ofCompose = []string{
	"DATABASE_URL", "DATABASE_URL_FILE", "MIGRATIONS", "KAFKA_BROKERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "KAFKA_PROPERTIES_FILE",
	"HTTP_ADDR", "SCHEMA_REGISTRY_PASSWORD_FILE", "LAKE_TEMP_DIR",
}

// As a person writes them into .env; where nobody says anything, a program's own default holds.
func TestEveryVariableOfAProgramHasAWayInByEnv(t *testing.T) {
	speed := variablesOf(t, "speed-layer", "service")
	batch := append(variablesOf(t, batchLayer...), slices.DeleteFunc(variablesOf(t, "service"), func(name string) bool {
		// verify's, and Compose's Kafka needs none; and those of a feature that the batch layer lacks.
		return name == "KAFKA_PROPERTIES" || strings.HasPrefix(name, "SCHEMA_REGISTRY_")
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
	shown = slices.DeleteFunc(shown, func(name string) bool { return name == "COMPOSE_FILE" }) // Compose's own
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
	for _, file := range []string{composeFile, connectFile, zookeeperFile} {
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
		FileConfigs []struct {
			Files []string `json:"files"`
		} `json:"file_sd_configs"`
	} `json:"scrape_configs"`
}

// What Prometheus's container has at a path, by the service's volumes: the longest target counts.
func mounted(t *testing.T, service types.ServiceConfig, path string) string {
	t.Helper()
	source, longest := "", ""
	for _, volume := range service.Volumes {
		if below, ok := strings.CutPrefix(path, volume.Target); ok && len(volume.Target) > len(longest) {
			source, longest = volume.Source+below, volume.Target
		}
	}
	return textOf(t, source)
}

// Where Prometheus looks, by job. A job without a target has an empty list.
func scraped(t *testing.T, files ...string) map[string][]string {
	t.Helper()
	service := load(t, nil, files...).Services["prometheus"]
	var config scrapes
	if err := yaml.Unmarshal([]byte(textOf(t, "../../prometheus/prometheus.yml")), &config); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, job := range config.ScrapeConfigs {
		found[job.JobName] = []string{}
		for _, from := range job.FileConfigs {
			for _, file := range from.Files {
				var listed []struct {
					Targets []string `json:"targets"`
				}
				if err := yaml.UnmarshalStrict([]byte(mounted(t, service, "/etc/prometheus/"+file)), &listed); err != nil {
					t.Fatal(err)
				}
				for _, group := range listed {
					found[job.JobName] = append(found[job.JobName], group.Targets...)
				}
			}
		}
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
	jobs, services := scraped(t, composeFile, connectFile), load(t, nil, composeFile, connectFile).Services
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
	for _, file := range ruleFiles {
		for _, asked := range regexp.MustCompile(`\bjob="([^"]+)"`).FindAllStringSubmatch(textOf(t, "../../prometheus/rules/"+file+".rules.yml"), -1) {
			if len(jobs[asked[1]]) == 0 {
				t.Errorf("%s.rules.yml asks for job %s, which nobody scrapes", file, asked[1])
			}
		}
	}
	if !slices.Equal(jobs["kafka-connect"], []string{"connect:9404"}) || !slices.Equal(jobs["kafka-exporter"], []string{"kafka-exporter:9308"}) {
		t.Errorf("the sink's alerts have no data: %v", jobs)
	}
}

// ConnectDown is `up == 0`: a target that nobody has started would be down for ever. Its own
// agent's port is all that goes.
func TestWithoutConnectNobodyLooksForIt(t *testing.T) {
	for _, files := range [][]string{{composeFile}, {composeFile, zookeeperFile}} {
		jobs, services := scraped(t, files...), load(t, nil, files...).Services
		for job, targets := range jobs {
			for _, target := range targets {
				name, _, _ := strings.Cut(target, ":")
				if _, ok := services[name]; !ok && name != "localhost" {
					t.Errorf("job %s: nobody starts %s", job, name)
				}
			}
		}
		if len(jobs["kafka-connect"]) > 0 || len(jobs["kafka-exporter"]) == 0 {
			t.Errorf("%v", jobs)
		}
	}
	// With it the target has a name that stays while the worker is away: a lookup by DNS would find
	// nothing, and the alert with it.
	if jobs := scraped(t, composeFile, zookeeperFile, connectFile); !slices.Equal(jobs["kafka-connect"], []string{"connect:9404"}) {
		t.Errorf("%v", jobs)
	}
	// A file can be put in the place of another one only where that is there: the folder is mounted
	// read-only.
	if _, err := os.Stat("../../prometheus/targets/kafka-connect.yml"); err != nil {
		t.Error(err)
	}
}

// The agent's port and file are named in the image, and its rules make the series that the alert
// asks for.
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
