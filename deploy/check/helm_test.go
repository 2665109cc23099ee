package check

import (
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

const chartFolder = "../helm/stock-lambda"

// Everything that can be turned on or filled in.
const everything = `
image: { registry: "registry.invalid:5000/stocks", digests: { batchLayer: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }, pullPolicy: Always, pullSecrets: [pull] }
kafka: { brokers: "a:9093,b:9093", topic: trades }
messages: { MESSAGE_PRESET: finnhub, TRADING_HOURS: always }
settings: { speedLayer: { DEAD_LETTER_TOPIC: dead } }
externalSecrets: { enabled: true, store: { name: vault } }
serviceAccounts: { annotations: { batchLayer: { "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x" } } }
speedLayer: { minReadySeconds: 5 }
networkPolicies:
  namesCidrs: [169.254.20.10/32]
  tracesPorts: [4318]
  extraEgress: [{ to: [{ ipBlock: { cidr: "169.254.169.254/32" } }] }]
pods:
  priorityClassName: high
  nodeSelector: { pool: stocks }
  tolerations: [{ key: pool, operator: Exists }]
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields: [{ key: metadata.name, operator: In, values: [a] }] }] } } }
  labels: { speedLayer: { of: speed }, batchLayer: { of: batch }, migrate: { of: migrate } }
  annotations: { speedLayer: { of: speed }, batchLayer: { of: batch }, migrate: { of: migrate } }
  volumes:
    speedLayer: [{ name: more, secret: { secretName: of-speed } }]
    batchLayer: [{ name: more, secret: { secretName: of-batch } }]
    migrate: [{ name: more, secret: { secretName: of-migrate } }]
  volumeMounts:
    speedLayer: [{ name: more, mountPath: /more }]
    batchLayer: [{ name: more, mountPath: /more }]
    migrate: [{ name: more, mountPath: /more }]
keda: { enabled: true, partitions: 12, secret: "" }
podMonitor: { enabled: true, labels: { release: prometheus } }
prometheusRules: { enabled: true, labels: { release: prometheus } }
dashboards: { enabled: true }
`

// render decodes what templated gives.
func render(values string) ([]runtime.Object, error) {
	manifests, err := templated(values)
	if err != nil {
		return nil, err
	}
	return decodeAll(manifests)
}

// templated is `helm template` with the values of a text, a manifest each; the schema is asked
// first, as Helm does.
func templated(values string) ([][]byte, error) {
	log.SetOutput(io.Discard) // it tells of each symbolic link
	defer log.SetOutput(os.Stderr)
	chart, err := loader.Load(chartFolder)
	if err != nil {
		return nil, err
	}
	given, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		return nil, err
	}
	release := chartutil.ReleaseOptions{Name: "stocks", Namespace: "stocks", Revision: 1, IsInstall: true}
	merged, err := chartutil.ToRenderValues(chart, given, release, nil)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, merged)
	if err != nil {
		return nil, err
	}
	manifests := [][]byte{}
	for name, text := range files {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for _, manifest := range regexp.MustCompile(`(?m)^---$`).Split(text, -1) {
			content, err := yaml.YAMLToJSON([]byte(manifest))
			if err != nil {
				return nil, err
			}
			if string(content) != "null" {
				manifests = append(manifests, []byte(manifest))
			}
		}
	}
	return manifests, nil
}

func valuesOf(t *testing.T, name string) string {
	t.Helper()
	if name == "all" {
		return everything
	}
	text, err := os.ReadFile(chartFolder + "/ci/" + name + "-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func chartObjects(t *testing.T, name string) []runtime.Object {
	t.Helper()
	objects, err := render(valuesOf(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// Names that hold a sum of a content are the tools' own, and so are the marks of who made an
// object.
var sums = regexp.MustCompile(`^((?:speed|batch)-layer|stock-messages|migrate|backfill)-[a-z0-9]{10}$|^(migrate|backfill)-.+$`)

// comparable gives the objects by kind and name, as plain data and without the tools' own marks.
// What only one side can have is left out: the namespace, and the Secrets that dev makes.
func comparable(t *testing.T, objects []runtime.Object) map[string]any {
	t.Helper()
	found := map[string]any{}
	for _, object := range objects {
		switch object.(type) {
		case *corev1.Namespace, *corev1.Secret:
			continue
		}
		meta := object.(metav1.Object)
		if _, isMap := object.(*corev1.ConfigMap); isMap && strings.HasPrefix(meta.GetName(), "migrate") {
			continue // where kustomize takes the sum in the migrating Job's name from; the chart makes its own
		}
		meta.SetNamespace("")
		labels := meta.GetLabels()
		for _, label := range []string{"app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "app.kubernetes.io/version", "helm.sh/chart", "app.kubernetes.io/name"} {
			delete(labels, label)
		}
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		var plain map[string]any
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatal(err)
		}
		plain = normal(plain).(map[string]any)
		name := plain["metadata"].(map[string]any)["name"].(string)
		key := plain["kind"].(string) + " " + name
		if found[key] != nil {
			t.Errorf("two objects are %s", key)
		}
		found[key] = plain
	}
	return found
}

func normal(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			if key == "checksum/settings" || key == "status" {
				delete(value, key)
				continue
			}
			inner = normal(inner)
			// {} and nothing are the same.
			if inner == nil || reflect.DeepEqual(inner, map[string]any{}) {
				delete(value, key)
				continue
			}
			if name, ok := inner.(string); ok && (key == "name" || key == "secretName") {
				if match := sums.FindStringSubmatch(name); match != nil {
					inner = match[1] + match[2]
				}
			}
			value[key] = inner
		}
	case []any:
		for index := range value {
			value[index] = normal(value[index])
		}
	}
	return value
}

func TestTheChartGivesWhatTheOverlaysGive(t *testing.T) {
	for _, name := range []string{"dev", "prod"} {
		t.Run(name, func(t *testing.T) {
			kustomize, helm := comparable(t, overlay(t, "overlays/"+name)), comparable(t, chartObjects(t, name))
			for key, object := range kustomize {
				if helm[key] == nil {
					t.Errorf("the chart has no %s", key)
				} else if !reflect.DeepEqual(object, helm[key]) {
					t.Errorf("%s differs: %s", key, difference("", object, helm[key]))
				}
			}
			for key := range helm {
				if kustomize[key] == nil {
					t.Errorf("the overlay has no %s", key)
				}
			}
		})
	}
}

// What overlay prod gives with a component, and the chart with values beside those of prod.
func withComponent(t *testing.T, component, values string) (map[string]any, []runtime.Object) {
	t.Helper()
	return comparable(t, prodWith(t, component)), mustRender(t, values)
}

func prodWith(t *testing.T, component string) []runtime.Object {
	t.Helper()
	folder := filepath.Join(prepared(t), "overlays/prod")
	file := filepath.Join(folder, "kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Replace(string(text), "components:\n", "components:\n  - ../../components/"+component+"\n", 1)
	if err := os.WriteFile(file, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := Build(folder)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func withLake(t *testing.T) []runtime.Object {
	t.Helper()
	return prodWith(t, "lake")
}

// `helm show readme`, and what a registry of charts shows: no value of it is misspelt, its values
// are enough, and the Secrets that it names are those that the pods mount.
func TestTheChartsReadmeIsTrue(t *testing.T) {
	readme := textOf(t, chartFolder+"/README.md")
	var values map[string]any
	if err := yaml.Unmarshal([]byte(textOf(t, chartFolder+"/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	tops := slices.Collect(maps.Keys(values))
	checked := 0
	for _, quoted := range regexp.MustCompile("`([a-zA-Z]+(?:\\.[a-zA-Z]+)*)`").FindAllStringSubmatch(readme, -1) {
		path := strings.Split(quoted[1], ".")
		if !slices.Contains(tops, path[0]) || quoted[1] == "kafka.properties" { // a key of a Secret
			continue
		}
		checked++
		var value any = values
		for _, key := range path {
			inner, ok := value.(map[string]any)
			if value, ok = inner[key]; !ok {
				t.Errorf("values.yaml has no %s", quoted[1])
				break
			}
		}
	}
	if checked < 12 {
		t.Errorf("it names only %d values", checked)
	}
	_, block, _ := strings.Cut(readme, "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	objects, err := render(block)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range Pods(objects) {
		for _, volume := range pod.Spec.Volumes {
			if volume.Secret != nil && !strings.Contains(readme, "\n| `"+volume.Secret.SecretName+"` | `database-url`") {
				t.Errorf("%s waits for the Secret %s", pod.Workload, volume.Secret.SecretName)
			}
		}
	}
	if !strings.Contains(readme, "Kubernetes "+regexp.MustCompile(`kubeVersion: ">=(\d+\.\d+)`).FindStringSubmatch(textOf(t, chartFolder+"/Chart.yaml"))[1]+" or newer") {
		t.Error("it asks for another Kubernetes than Chart.yaml")
	}
}

// The three Secrets out of a vault, by either way and with the same names and entries.
func TestSecretsOutOfAVaultAreTheSameByBothWays(t *testing.T) {
	kustomize, rendered := withComponent(t, "external-secrets", "externalSecrets: { enabled: true, store: { name: vault } }\n")
	helm, found := comparable(t, rendered), 0
	for name, object := range kustomize {
		if !strings.HasPrefix(name, "ExternalSecret ") {
			continue
		}
		found++
		if !reflect.DeepEqual(object, helm[name]) {
			t.Errorf("%s differs: %s", name, difference("", object, helm[name]))
		}
	}
	if found != 3 {
		t.Errorf("%d of them", found)
	}
	long := strings.Repeat("a", 100)
	for _, object := range mustRender(t, "externalSecrets: { enabled: true, store: { name: vault } }\nsecrets: { migrate: "+long+" }\n") {
		secret, ok := object.(*externalSecret)
		if !ok {
			continue
		}
		// Else the operator takes the Secret away with it, and pods that start wait for good.
		if secret.Spec.Target.CreationPolicy != "Orphan" {
			t.Errorf("%s owns its Secret", secret.Name)
		}
		if label := secret.Labels["app.kubernetes.io/name"]; !slices.Contains([]string{"migrate", "speed-layer", "batch-layer"}, label) {
			t.Errorf("%s has the label %q, of at most 63 letters", secret.Name, label)
		}
	}
}

func mustRender(t *testing.T, values string) []runtime.Object {
	t.Helper()
	objects, err := render(valuesOf(t, "prod") + values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// HourNotReconciled's way out with several topics (docs/operations.md): verify has all of their
// folders, and nobody else has.
func TestVerifyMayHaveFurtherFolders(t *testing.T) {
	found := 0
	for _, pod := range Pods(rendered(t, on("kafka: { brokers: x:9092, topic: 'a,b' }\narchive: { prefix: raw/%Y-%m-%d-%H/ }\nverify: { prefixes: [raw/a/%Y-%m-%d-%H/, raw/b/%Y-%m-%d-%H/] }"))) {
		for _, variable := range pod.Spec.Containers[0].Env {
			if variable.Name != "S3_PREFIX" {
				continue
			}
			found++
			if pod.Workload != "CronJob batch-verify" || variable.Value != "raw/a/%Y-%m-%d-%H/,raw/b/%Y-%m-%d-%H/" {
				t.Errorf("%s has %q", pod.Workload, variable.Value)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d pods have them", found)
	}
}

// The component and the chart's value, which nobody has on by default: here and below.
func TestTheLakeIsWrittenByOneCronJob(t *testing.T) {
	kustomize, rendered := withComponent(t, "lake", "lake: { enabled: true }\n")
	name := "CronJob batch-compact"
	if helm := comparable(t, rendered); kustomize[name] == nil || !reflect.DeepEqual(kustomize[name], helm[name]) {
		t.Errorf("they differ: %s", difference("", kustomize[name], helm[name]))
	}
	rendered, err := render(valuesOf(t, "prod") + "lake: { enabled: true, deleteCovered: true }\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range rendered {
		if job, ok := object.(*batchv1.CronJob); ok && job.Name == "batch-compact" {
			container := job.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
			checkConfined(t, job.Name, container)
			if !reflect.DeepEqual(container.Args, []string{"compact", "--delete-covered"}) {
				t.Errorf("it is started with %v", container.Args)
			}
			return
		}
	}
	t.Error("the chart has no such CronJob")
}

func TestABackfillIsSharedByPodsOfOneJob(t *testing.T) {
	kustomize, rendered := withComponent(t, "backfill", "backfill: { enabled: true, from: 2025-01-01T00, to: 2025-06-01T00 }\n")
	helm := comparable(t, rendered)
	if !reflect.DeepEqual(kustomize["Job backfill"], helm["Job backfill"]) {
		t.Errorf("they differ: %s", difference("", kustomize["Job backfill"], helm["Job backfill"]))
	}
	for _, object := range rendered {
		if job, ok := object.(*batchv1.Job); ok && strings.HasPrefix(job.Name, "backfill-") {
			spec := job.Spec
			if *spec.CompletionMode != batchv1.IndexedCompletion || *spec.Parallelism != *spec.Completions {
				t.Error("not all of its pods work at the same time")
			}
			if !slices.Contains(spec.Template.Spec.Containers[0].Args, "--share") {
				t.Error("its pods do not share")
			}
			checkConfined(t, job.Name, spec.Template.Spec.Containers[0])
			checkTemporary(t, job.Name, spec.Template.Spec)
			return
		}
	}
	t.Error("the chart has no such Job")
}

// The first place at which two values differ.
func difference(path string, one, other any) string {
	if mine, ok := one.(map[string]any); ok {
		if yours, ok := other.(map[string]any); ok {
			for key := range yours {
				if mine[key] == nil {
					return path + "." + key + " is only in the chart"
				}
			}
			for key := range mine {
				if !reflect.DeepEqual(mine[key], yours[key]) {
					return difference(path+"."+key, mine[key], yours[key])
				}
			}
		}
	}
	if mine, ok := one.([]any); ok {
		if yours, ok := other.([]any); ok && len(mine) == len(yours) {
			for index := range mine {
				if !reflect.DeepEqual(mine[index], yours[index]) {
					return difference(path+"[]", mine[index], yours[index])
				}
			}
		}
	}
	left, _ := json.Marshal(one)
	right, _ := json.Marshal(other)
	return path + ": " + string(left) + " in the overlay, " + string(right) + " in the chart"
}

func TestHelmLintFindsNothing(t *testing.T) {
	log.SetOutput(io.Discard) // as in render
	defer log.SetOutput(os.Stderr)
	for _, name := range []string{"dev", "prod", "all"} {
		values, err := chartutil.ReadValues([]byte(valuesOf(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range lint.All(chartFolder, values, "stocks", true).Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("with the values %s: %v", name, message)
			}
		}
	}
}

func TestTheChartSaysWhichValueIsMissingOrWrong(t *testing.T) {
	for part, values := range map[string]string{
		"image.registry":           "kafka: { brokers: x:9092 }",
		"kafka.brokers":            "image: { registry: x }",
		"externalSecrets.store":    "image: { registry: x }\nkafka: { brokers: x:9092 }\nexternalSecrets: { enabled: true }",
		"replica":                  "image: { registry: x }\nkafka: { brokers: x:9092 }\nspeedLayer: { replica: 3 }",
		"partitions":               "image: { registry: x }\nkafka: { brokers: x:9092 }\nkeda: { partitions: many }",
		"DATABASE_URL":             "image: { registry: x }\nkafka: { brokers: x:9092 }\nsettings: { speedLayer: { DATABASE_URL: x } }",
		"activeDeadlineSeconds":    "image: { registry: x }\nkafka: { brokers: x:9092 }\nbatchLayer: { activeDeadlineSeconds: 10 }",
		"AWS_SECRET_ACCESS_KEY":    "image: { registry: x }\nkafka: { brokers: x:9092 }\nsettings: { batchLayer: { AWS_SECRET_ACCESS_KEY: x } }",
		"MESSAGE_MAPS":             "image: { registry: x }\nkafka: { brokers: x:9092 }\nmessages: { MESSAGE_MAPS: x }",
		"MESSAGE_PRESET":           "image: { registry: x }\nkafka: { brokers: x:9092 }\nsettings: { speedLayer: { MESSAGE_PRESET: finnhub } }",
		"messages/OLDEST":          "image: { registry: x }\nkafka: { brokers: x:9092 }\nmessages: { OLDEST: 1990 }",
		"runbooks":                 "image: { registry: x }\nkafka: { brokers: x:9092 }\nrunbooks: docs/operations.md",
		"settings/speedLayer/PORT": "image: { registry: x }\nkafka: { brokers: x:9092 }\nsettings: { speedLayer: { PORT: 1 } }",
		"keda.minReplicas":         "image: { registry: x }\nkafka: { brokers: x:9092 }\nkeda: { enabled: true, minReplicas: 8, partitions: 4 }",
	} {
		if _, err := render(values); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), ".", "/"), strings.ReplaceAll(part, ".", "/")) {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// Each value has a type and a sentence in the schema, each property of the schema a default in
// values.yaml.
func TestEveryValueIsDescribed(t *testing.T) {
	read := func(name string, parse func([]byte, any) error) map[string]any {
		text, err := os.ReadFile(chartFolder + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]any{}
		if err := parse(text, &found); err != nil {
			t.Fatal(err)
		}
		return found
	}
	values := read("values.yaml", func(text []byte, into any) error { return yaml.Unmarshal(text, into) })
	described(t, "", read("values.schema.json", json.Unmarshal), values)
}

// The names that a schema of names lists.
func named(names any) []string {
	found := []string{}
	of, _ := names.(map[string]any)
	for _, some := range append(toList(of["anyOf"]), names) {
		some, _ := some.(map[string]any)
		for _, name := range toList(some["enum"]) {
			found = append(found, name.(string))
		}
	}
	return found
}

func toList(value any) []any {
	list, _ := value.([]any)
	return list
}

// What the schema says of a variable is the first sentence of what --help says.
func TestTheSchemaDescribesVariablesAsTheProgramsDo(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(textOf(t, chartFolder+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	of := func(value any, keys ...string) map[string]any {
		for _, key := range keys {
			value = value.(map[string]any)[key]
		}
		return value.(map[string]any)
	}
	compared := 0
	for _, group := range []map[string]any{
		of(schema, "properties", "messages"), of(schema, "properties", "settings", "properties", "speedLayer"),
		of(schema, "properties", "settings", "properties", "batchLayer"),
	} {
		if len(named(group["propertyNames"])) < 15 {
			t.Errorf("it knows only %v", named(group["propertyNames"]))
		}
		for _, name := range named(group["propertyNames"]) {
			said, isOurs := helpOf(t)[name]
			if !isOurs {
				continue
			}
			compared++
			description, _ := of(group, "properties", name)["description"].(string)
			if !strings.HasPrefix(said, strings.TrimSuffix(description, ".")) {
				t.Errorf("%s: the schema says %q, --help says %q", name, description, said)
			}
		}
	}
	if compared < 50 {
		t.Errorf("only %d were compared", compared)
	}
}

// What the sources say of each variable: the comment in front of the flag.
func helpOf(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	flag := regexp.MustCompile(`((?:[ \t]*///[^\n]*\n)+)(?:[ \t]*#\[[^\n]*\]\n)*[ \t]*#\[arg\(([^\]]*?)\benv = "([A-Z]\w*)"`)
	for _, crate := range append([]string{"service", "speed-layer"}, batchLayer...) {
		err := filepath.WalkDir("../../"+crate+"/src", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".rs" {
				return err
			}
			for _, match := range flag.FindAllStringSubmatch(textOf(t, path), -1) {
				if _, isKnown := found[match[3]]; isKnown {
					continue
				}
				text := strings.ReplaceAll(strings.ReplaceAll(match[1], "///", " "), "`", "")
				found[match[3]] = strings.Join(strings.Fields(text), " ")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func described(t *testing.T, path string, schema map[string]any, value any) {
	if reference, ok := schema["$ref"]; ok && reference != "" {
		return // one of the shapes at its end
	}
	properties, _ := schema["properties"].(map[string]any)
	if schema["description"] == nil {
		t.Errorf("values.schema.json: %s has no description", path)
	}
	values, _ := value.(map[string]any)
	if properties == nil || schema["propertyNames"] != nil {
		for _, name := range named(schema["propertyNames"]) {
			variable, _ := properties[name].(map[string]any)
			if variable["description"] == nil {
				t.Errorf("values.schema.json: %s.%s has no description", path, name)
			}
			kind := variable["type"]
			if kind == nil && variable["enum"] == nil {
				t.Errorf("values.schema.json: %s.%s has no type", path, name)
			}
		}
		return // no shape of ours, or variables
	}
	if schema["additionalProperties"] != false {
		t.Errorf("values.schema.json: %s takes names that nobody knows", path)
	}
	for key, inner := range properties {
		if _, ok := values[key]; !ok && !slices.Contains([]string{"", "global"}, key) {
			t.Errorf("values.yaml: no %s.%s", path, key)
		}
		described(t, path+"."+key, inner.(map[string]any), values[key])
	}
	required, _ := schema["required"].([]any)
	for key := range values {
		if properties[key] == nil {
			t.Errorf("values.schema.json: no %s.%s", path, key)
		}
		// With null Helm takes a default away, and templates would fail in the middle.
		if !slices.Contains(required, any(key)) {
			t.Errorf("values.schema.json: %s.%s may be null", path, key)
		}
	}
}

func TestTheChartsRunbooksLieWhereTheValueSays(t *testing.T) {
	objects, err := render(everything + "runbooks: https://docs.house.invalid/operations.html\n")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(objects)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), `"docs/operations.md#`) {
		t.Error("a runbook is still named by its path")
	}
	if found := strings.Count(string(text), "https://docs.house.invalid/operations.html#"); found != len(alerts(t)) {
		t.Errorf("%d runbooks lie where the value says", found)
	}
}

// An address that nobody has is worse than none.
func TestWithoutAnAddressNoAlertLinksAnywhere(t *testing.T) {
	text, err := json.Marshal(chartObjects(t, "all"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "runbook_url") {
		t.Error("an alert has a link")
	}
	if found := strings.Count(string(text), `"docs/operations.md#`); found != len(alerts(t)) {
		t.Errorf("%d alerts name their runbook", found)
	}
}

// A Job cannot be changed.
func TestAnotherPodOfTheMigrationIsAnotherJob(t *testing.T) {
	name := func(values string) string {
		objects, err := render(values)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			if job, ok := object.(*batchv1.Job); ok {
				return job.Name
			}
		}
		return ""
	}
	const values = "kafka: { brokers: x:9092 }\nimage: { registry: x, tag: %s }\nsettings: { speedLayer: { RETENTION_DAYS: '%s' } }"
	one := name(strings.Replace(strings.Replace(values, "%s", "'1'", 1), "%s", "3", 1))
	if other := name(strings.Replace(strings.Replace(values, "%s", "'1'", 1), "%s", "4", 1)); one != other {
		t.Error("a setting of another layer makes a new Job")
	}
	if other := name(strings.Replace(strings.Replace(values, "%s", "'2'", 1), "%s", "3", 1)); one == other {
		t.Error("another tag leaves the Job's name")
	}
}

// A mapping that is said to one program and not to the other gives two readings of one message.
func TestHowMessagesLookIsSaidOnceAndGoesToEveryProgram(t *testing.T) {
	objects, err := render(everything + "lake: { enabled: true }\nbackfill: { enabled: true, from: 2025-01-01T00, to: 2025-06-01T00 }\n")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, object := range objects {
		if settings, ok := object.(*corev1.ConfigMap); ok && settings.Data["MESSAGE_PRESET"] != "" {
			found++
			if settings.Name != "stock-messages" {
				t.Errorf("ConfigMap %s has the preset", settings.Name)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d ConfigMaps have the preset", found)
	}
	kustomize, _ := withComponent(t, "lake", "")
	if kustomize["ConfigMap stock-messages"] == nil {
		t.Error("the overlay has no such ConfigMap")
	}
	readers := []string{}
	for _, pod := range Pods(append(overlay(t, "overlays/prod"), objects...)) {
		sources := containers(pod)[0].EnvFrom
		isFirst := len(sources) > 0 && sources[0].ConfigMapRef != nil && strings.HasPrefix(sources[0].ConfigMapRef.Name, "stock-messages")
		if isFirst == strings.Contains(pod.Workload, "migrate") {
			t.Errorf("%s reads %v", pod.Workload, sources)
		}
		readers = append(readers, pod.Workload)
	}
	if len(readers) != 4+6 {
		t.Errorf("the workloads are %v", readers)
	}
}

// What the program batch-layer is made of, but for what both programs share.
var batchLayer = []string{"hourly", "reconciliation", "batch-layer"}

// The variables that the sources of some crates name, each once.
func variablesOf(t *testing.T, crates ...string) []string {
	t.Helper()
	found := []string{}
	for _, crate := range crates {
		err := filepath.WalkDir("../../"+crate+"/src", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".rs" {
				return err
			}
			for _, match := range regexp.MustCompile(`\benv = "([A-Z]\w*)"`).FindAllStringSubmatch(textOf(t, path), -1) {
				found = append(found, match[1])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(found)
	if found = slices.Compact(found); len(found) < 20 {
		t.Fatalf("the source of %v has only %v", crates, found)
	}
	return found
}

// The variables that the programs know, as their source has them.
func variables(t *testing.T, file string) []string {
	t.Helper()
	found := []string{}
	for _, match := range regexp.MustCompile(`env = "(\w+)"`).FindAllStringSubmatch(textOf(t, "../../service/src/cli/"+file), -1) {
		if match[1] != "MESSAGE_FILE" { // a pod has no file to name
			found = append(found, match[1])
		}
	}
	return found
}

func TestTheSchemaAndComposeKnowTheProgramsVariablesOfMessages(t *testing.T) {
	ofMessages, ofAnomalies := variables(t, "messages.rs"), variables(t, "anomalies.rs")
	if len(ofMessages) < 10 || len(ofAnomalies) < 5 {
		t.Fatalf("the source has only %v and %v", ofMessages, ofAnomalies)
	}
	var schema struct {
		Properties struct {
			Messages struct{ PropertyNames struct{ Enum []string } }
			Settings struct {
				Properties map[string]struct {
					PropertyNames struct{ AnyOf []struct{ Enum []string } }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(textOf(t, chartFolder+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	sorted := func(names []string) []string { return slices.Sorted(slices.Values(names)) }
	if known := schema.Properties.Messages.PropertyNames.Enum; !slices.Equal(sorted(known), sorted(append(slices.Clone(ofMessages), ofAnomalies...))) {
		t.Errorf("messages knows %v", known)
	}
	for side, of := range schema.Properties.Settings.Properties {
		for _, name := range append([]string{"MESSAGE_FILE"}, ofMessages...) {
			if len(of.PropertyNames.AnyOf) == 0 || slices.Contains(of.PropertyNames.AnyOf[0].Enum, name) {
				t.Errorf("settings.%s takes %s", side, name)
			}
		}
	}
	services := load(t, []string{"*"}, composeFile).Services
	for _, service := range []string{"speed-layer", "batch-layer", "batch-schedule"} {
		for _, name := range append([]string{"TRADING_HOURS", "PRICE_STEP"}, ofMessages...) {
			value := services[service].Environment[name]
			if value == nil || *value != *services["speed-layer"].Environment[name] {
				t.Errorf("%s: %s is %v", service, name, value)
			}
		}
	}
}

// Those that have a value of the chart for themselves, that the pods say, or that would be a secret
// in a ConfigMap.
var ofTheChart = []string{
	"SPARK_URL", "DATABASE_URL", "DATABASE_URL_FILE", "MIGRATIONS", "KAFKA_BROKERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "KAFKA_PROPERTIES",
	"KAFKA_PROPERTIES_FILE", "HTTP_ADDR", "S3_BUCKET", "S3_PREFIX", "S3_ENDPOINT_URL", "LAKE_TEMP_DIR", "MESSAGE_FILE",
}

// A name that a program does not know would be ignored, and one that the pod says itself, too, or
// break it.
func TestSettingsTakeWhatTheProgramsKnowAndThePodsDoNotSay(t *testing.T) {
	var schema struct {
		Properties struct {
			Settings struct {
				Properties map[string]struct {
					PropertyNames struct{ AnyOf []struct{ Enum []string } }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(textOf(t, chartFolder+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	ofMessages, logs := variables(t, "messages.rs"), textOf(t, "../../docs/logs.md")
	for side, crates := range map[string][]string{"speedLayer": {"speed-layer"}, "batchLayer": batchLayer} {
		wanted := slices.DeleteFunc(variablesOf(t, append(slices.Clone(crates), "service")...), func(name string) bool {
			isOfRegistry := side == "batchLayer" && strings.HasPrefix(name, "SCHEMA_REGISTRY_")
			return isOfRegistry || slices.Contains(ofMessages, name) || slices.Contains(ofTheChart, name)
		})
		known := []string{}
		for _, name := range schema.Properties.Settings.Properties[side].PropertyNames.AnyOf[0].Enum {
			switch isOfLogs := name == "RUST_LOG" || strings.HasPrefix(name, "OTEL_"); {
			case isOfLogs && !strings.Contains(logs, "`"+name):
				t.Errorf("settings.%s: docs/logs.md does not know %s", side, name)
			case !isOfLogs && name != "AWS_CA_BUNDLE" && name != "MALLOC_ARENA_MAX":
				known = append(known, name)
			}
		}
		if slices.Sort(known); !slices.Equal(known, wanted) {
			t.Errorf("settings.%s knows\n%v, %s\n%v", side, known, crates, wanted)
		}
		for _, name := range []string{
			"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "AWS_ROLE_ARN", "AWS_PROFILE", "AWS_USE_FIPS_ENDPOINT",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "KRB5_CONFIG", "KRB5CCNAME", "KRB5_CLIENT_KTNAME",
		} {
			if _, err := render("image: { registry: x }\nkafka: { brokers: x:9092 }\nsettings: { " + side + ": { " + name + ": x } }"); err != nil {
				t.Errorf("settings.%s.%s: %v", side, name, err)
			}
		}
		for _, name := range append(
			slices.Clone(ofTheChart), "NO_SUCH_VARIABLE", "AWS_REGION", "SCHEMA_REGISTRY_PASSWORD", "OTEL_EXPORTER_OTLP_HEADERS",
			"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_SESSION_TOKEN",
		) {
			values := "image: { registry: x }\nkafka: { brokers: x:9092 }\nsettings: { " + side + ": { " + name + ": x } }"
			if _, err := render(values); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("settings.%s.%s: %v", side, name, err)
			}
		}
	}
}

func TestEveryUnitReadsTheFileOfMessagesBeforeItsOwn(t *testing.T) {
	for _, name := range []string{"speed-layer", "batch-layer", "batch-verify", "batch-compact"} {
		files := regexp.MustCompile(`(?m)^EnvironmentFile=(.*)$`).FindAllStringSubmatch(textOf(t, "../systemd/"+name+".service"), -1)
		if len(files) != 2 || files[0][1] != "-/etc/stocks/messages.env" {
			t.Errorf("%s reads %v", name, files)
		}
	}
}

// There a percent sign ends the command, and what is behind it is given to it as its input.
func TestNoCommandOfCronHoldsAPercentSign(t *testing.T) {
	commands := regexp.MustCompile(`(?m)^#? ?[0-9*/]+ [0-9*/]+ \* \* \* stocks-batch (.*)$`)
	found := commands.FindAllStringSubmatch(textOf(t, "../cron/stocks-batch"), -1)
	if len(found) != 3 {
		t.Errorf("%d commands", len(found))
	}
	for _, command := range found {
		if strings.Contains(command[1], "%") {
			t.Errorf("%s", command[1])
		}
	}
}

// A password that was changed reaches the service by a start alone: secrets are copied there.
func TestTheSpeedLayersUnitIsStartedAgainWhateverItsExitCodeIs(t *testing.T) {
	unit := textOf(t, "../systemd/speed-layer.service")
	for _, line := range []string{"Restart=on-failure", "StartLimitIntervalSec=0"} {
		if !regexp.MustCompile("(?m)^" + line + "$").MatchString(unit) {
			t.Errorf("%s is missing", line)
		}
	}
	if regexp.MustCompile(`(?m)^(RestartPreventExitStatus|SuccessExitStatus)=`).MatchString(unit) {
		t.Error("some exit codes are not followed by a start")
	}
}

// The folder in the bucket has the topic's name in it.
func TestAnotherTopicIsAlsoAnotherFolderOfTheArchive(t *testing.T) {
	for values, wanted := range map[string]string{
		"kafka: { brokers: x:9092, topic: trades }":                                        "raw/trades/%Y-%m-%d-%H/",
		"kafka: { brokers: x:9092, topic: trades }\narchive: { prefix: own/%Y/%m/%d/%H/ }": "own/%Y/%m/%d/%H/",
	} {
		objects, err := render("image: { registry: x }\n" + values)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			if settings, ok := object.(*corev1.ConfigMap); ok && settings.Name == "batch-layer" && settings.Data["S3_PREFIX"] != wanted {
				t.Errorf("%s: the prefix is %q", values, settings.Data["S3_PREFIX"])
			}
		}
	}
}

// An upgrade that changes only how messages look restarts the speed layer, and is no other
// migration.
func TestOtherMessagesRestartTheSpeedLayerAndNothingElse(t *testing.T) {
	of := func(values string) (sum, job string) {
		objects, err := render("image: { registry: x }\nkafka: { brokers: x:9092 }\n" + values)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			switch object := object.(type) {
			case *appsv1.Deployment:
				sum = object.Spec.Template.Annotations["checksum/settings"]
			case *batchv1.Job:
				job = object.Name
			}
		}
		return sum, job
	}
	oneSum, oneJob := of("messages: { MESSAGE_PRESET: finnhub }")
	otherSum, otherJob := of("messages: { MESSAGE_PRESET: kraken }")
	if oneSum == otherSum || oneJob != otherJob {
		t.Errorf("sums %s and %s, Jobs %s and %s", oneSum, otherSum, oneJob, otherJob)
	}
}

// What a server of an older version would drop in silence or refuse.
func TestTheChartAsksForTheVersionThatItsFieldsNeed(t *testing.T) {
	if !strings.Contains(textOf(t, chartFolder+"/Chart.yaml"), "\nkubeVersion: \">=1.29.0-0\"\n") {
		t.Error("backoffLimitPerIndex and FailIndex are there from 1.29 on")
	}
	if !strings.Contains(textOf(t, "../../docs/operations.md"), "Kubernetes 1.29 or newer") {
		t.Error("docs/operations.md names another version")
	}
}

// Without a word, `helm template` takes the cluster for one of the version that its program was
// built with, which is 1.20 where `go install` has built it.
func TestCiRendersTheChartForVersionsThatItIsMadeFor(t *testing.T) {
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)
	chart, err := loader.Load(chartFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ci", "release", "docs"} {
		script := textOf(t, "../../.github/workflows/"+name+".yml")
		for _, line := range regexp.MustCompile(`(?m)^.*\bhelm (?:template|install|upgrade)\b.*$`).FindAllString(script, -1) {
			version := regexp.MustCompile(`--kube-version[ =]"?(\S+?)"?(?: |$)`).FindStringSubmatch(line)
			asked := []string{chartutil.DefaultCapabilities.KubeVersion.Version}
			if version != nil {
				asked = []string{version[1]}
			}
			if loop := regexp.MustCompile(`for version in (.+); do`).FindStringSubmatch(script); version != nil && version[1] == "$version" && loop != nil {
				asked = strings.Fields(loop[1])
			}
			for _, version := range asked {
				if !chartutil.IsCompatibleRange(chart.Metadata.KubeVersion, version) {
					t.Errorf("%s.yml: the chart asks for %s: %s would render it for %s", name, chart.Metadata.KubeVersion, strings.TrimSpace(line), version)
				}
			}
			if oldest := strings.TrimSuffix(strings.TrimPrefix(chart.Metadata.KubeVersion, ">="), "-0"); !slices.Contains(asked, oldest) {
				t.Errorf("%s.yml: nothing renders the chart for %s", name, oldest)
			}
		}
	}
	if !strings.Contains(textOf(t, "../../.github/workflows/ci.yml"), "helm template") {
		t.Error("ci.yml renders no chart by Helm's own program")
	}
}

// What a person writes as text stays that text, whatever YAML would make of it.
func TestOddValuesStayTheTextThatTheyAre(t *testing.T) {
	odd := map[string]string{
		"MESSAGE_MAP":         `price=quote.last|mid,volume="Volume BTC",symbol='s'`,
		"MESSAGE_WHERE":       "type=match|last_match: # no comment",
		"TIMESTAMP_ZONE":      "America/New_York",
		"OLDEST":              "1990-01-01",
		"PRICE_STEP":          "1e-8",
		"HOLIDAYS":            "2026-12-25,2027-01-01",
		"MESSAGE_EACH":        "{{ .Values.image }}",
		"SYMBOL_FROM":         "topic",
		"TRADING_HOURS":       "Asia/Tokyo 09:00-15:30",
		"EXCLUDED_CONDITIONS": "yes",
		"CANCEL_CONDITIONS":   "correction=7,löschen\nnext line",
	}
	values, err := yaml.Marshal(map[string]any{
		"image": map[string]any{"registry": "x"}, "messages": odd,
		"kafka": map[string]any{"brokers": "a:1,b:2", "topic": "trades.100_d"},
	})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := render(string(values))
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		settings, ok := object.(*corev1.ConfigMap)
		if ok && settings.Name == "stock-messages" && !reflect.DeepEqual(settings.Data, odd) {
			t.Errorf("the messages are %v", settings.Data)
		}
		if ok && settings.Name == "batch-layer" && settings.Data["S3_PREFIX"] != "raw/trades.100_d/%Y-%m-%d-%H/" {
			t.Errorf("the prefix is %q", settings.Data["S3_PREFIX"])
		}
	}
}

// In an overlay they are said in one place, too, and another content is another ConfigMap: the pods
// that read it are new.
func TestAnOverlaySaysHowMessagesLookInOnePlace(t *testing.T) {
	folder := filepath.Join(prepared(t), "overlays/prod")
	file := filepath.Join(folder, "kustomization.yaml")
	text := textOf(t, file)
	with := strings.Replace(text, "    literals: []\n", "    literals: [MESSAGE_PRESET=finnhub, 'TRADING_HOURS=always']\n", 1)
	if with == text {
		t.Fatal("the overlay has no place for them")
	}
	if err := os.WriteFile(file, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := Build(folder)
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, object := range objects {
		if settings, ok := object.(*corev1.ConfigMap); ok && settings.Data["MESSAGE_PRESET"] == "finnhub" {
			name = settings.Name
		}
	}
	for _, object := range overlay(t, "overlays/prod") {
		if settings, ok := object.(*corev1.ConfigMap); ok && strings.HasPrefix(settings.Name, "stock-messages") && settings.Name == name {
			t.Error("with other messages it has the same name")
		}
	}
	for _, pod := range Pods(objects) {
		if sources := containers(pod)[0].EnvFrom; !strings.Contains(pod.Workload, "migrate") && sources[0].ConfigMapRef.Name != name {
			t.Errorf("%s reads %s and not %q", pod.Workload, sources[0].ConfigMapRef.Name, name)
		}
	}
}

// Of a Job nearly nothing can be changed, so whatever a value changes in one must change its name.
func TestNoValueChangesAJobUnderItsName(t *testing.T) {
	of := func(values string) map[string]*batchv1.Job {
		objects, err := render("kafka: { brokers: x:9092 }\n" + values)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]*batchv1.Job{}
		for _, object := range objects {
			if job, ok := object.(*batchv1.Job); ok {
				job.Labels = nil // these can be changed
				found[job.Name] = job
			}
		}
		return found
	}
	const backfill = "backfill: { enabled: true, from: 2025-01-01T00, to: 2025-06-01T00"
	before := of("image: { registry: x }\n" + backfill + " }")
	for _, values := range []string{
		"image: { registry: x, tag: other }\n" + backfill + " }",
		"image: { registry: other }\n" + backfill + " }",
		"image: { registry: x, digests: { batchLayer: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef' } }\n" + backfill + " }",
		"image: { registry: x, pullPolicy: Always, pullSecrets: [a] }\n" + backfill + " }",
		"image: { registry: x }\nauthorities: { optional: false }\n" + backfill + " }",
		"image: { registry: x }\nauthorities: { configMap: other }\n" + backfill + " }",
		"image: { registry: x }\nsecrets: { migrate: a, batchLayer: b }\n" + backfill + " }",
		"image: { registry: x }\npods: { priorityClassName: high, nodeSelector: { a: b }, tolerations: [{ operator: Exists }] }\n" + backfill + " }",
		"image: { registry: x }\nbatchLayer: { resources: { limits: { memory: 1Gi } } }\n" + backfill + " }",
		"image: { registry: x }\nmessages: { MESSAGE_PRESET: finnhub }\n" + backfill + " }",
		"image: { registry: x }\nsettings: { batchLayer: { SLACK: 2h } }\n" + backfill + " }",
		"image: { registry: x }\npods: { labels: { batchLayer: { a: b }, migrate: { a: b } } }\n" + backfill + " }",
		"image: { registry: x }\nsecrets: { variables: { batchLayer: other } }\n" + backfill + " }",
		"image: { registry: x }\n" + backfill + ", pods: 9 }",
		"image: { registry: x }\n" + backfill + ", activeDeadlineSeconds: 99999 }",
		"image: { registry: x }\n" + strings.Replace(backfill, "06-01", "07-01", 1) + " }",
	} {
		after := of(values)
		if len(after) != 2 {
			t.Fatalf("%d Jobs", len(after))
		}
		for name, job := range after {
			if old := before[name]; old != nil && !reflect.DeepEqual(old.Spec, job.Spec) {
				t.Errorf("%s is another Job by\n%s", name, values)
			}
		}
	}
}
