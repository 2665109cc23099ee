package check

import (
	"encoding/json"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const smallest = "image: { registry: x }\nkafka: { brokers: x:9092 }\n"

func rendered(t *testing.T, values string) []runtime.Object {
	t.Helper()
	objects, err := render(values)
	if err != nil {
		t.Fatalf("%v in\n%s", err, values)
	}
	return objects
}

// To Kubernetes a rule without `to` and without ports is all addresses and all ports.
func checkRules(t *testing.T, objects []runtime.Object) map[string]*networkingv1.NetworkPolicy {
	t.Helper()
	found := map[string]*networkingv1.NetworkPolicy{}
	for _, object := range objects {
		policy, ok := object.(*networkingv1.NetworkPolicy)
		if !ok {
			continue
		}
		found[policy.Name] = policy
		if !slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) {
			t.Errorf("policy %s does not hold what leaves", policy.Name)
		}
		for _, rule := range policy.Spec.Egress {
			if len(rule.To) == 0 && len(rule.Ports) == 0 {
				t.Errorf("policy %s lets everything out", policy.Name)
			}
		}
		for _, rule := range policy.Spec.Ingress {
			if len(rule.From) == 0 || len(rule.Ports) == 0 {
				t.Errorf("policy %s lets everybody in, or to every port", policy.Name)
			}
		}
	}
	return found
}

func TestNoRuleOfAPolicyAllowsEverything(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) { checkRules(t, objects) })
	lists := []string{"databasePorts: []", "archivePorts: []", "kafkaPorts: []", "tracesPorts: []"}
	for _, empty := range append(slices.Clone(lists), strings.Join(lists, ", ")) {
		policies := checkRules(t, rendered(t, smallest+"networkPolicies: { "+empty+" }\n"))
		if len(policies) != 6 {
			t.Errorf("%s: %d policies", empty, len(policies))
		}
	}
	for _, rule := range []string{"{}", "{ to: [] }", "{ ports: [] }"} {
		if _, err := render(smallest + "networkPolicies: { extraEgress: [" + rule + "] }\n"); err == nil {
			t.Errorf("extraEgress takes %s", rule)
		}
	}
}

// The migration is waited for by everything else, so what one program needs it may need, too.
func TestWhatIsLetOutFurtherIsLetOutOfEveryPod(t *testing.T) {
	const extra = "extraEgress: [{ to: [{ ipBlock: { cidr: 10.1.2.3/32 } }], ports: [{ protocol: TCP, port: 6432 }] }]"
	values := smallest + "networkPolicies: { namesCidrs: [169.254.20.10/32], tracesPorts: [4318], databasePorts: [], " + extra + " }\n"
	policies := checkRules(t, rendered(t, values))
	opens := func(name, cidr string, port int) bool {
		return slices.ContainsFunc(policies[name].Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
			isTo := cidr == "" && len(rule.To) == 0 || slices.ContainsFunc(rule.To, func(to networkingv1.NetworkPolicyPeer) bool {
				return to.IPBlock != nil && to.IPBlock.CIDR == cidr
			})
			return isTo && slices.ContainsFunc(rule.Ports, func(of networkingv1.NetworkPolicyPort) bool { return of.Port.IntValue() == port })
		})
	}
	for _, name := range []string{"speed-layer", "batch-layer", "batch-verify", "migrate"} {
		if !opens(name, "10.1.2.3/32", 6432) {
			t.Errorf("%s: extraEgress is missing", name)
		}
		if opens(name, "", 5432) {
			t.Errorf("%s: a port of no list is open", name)
		}
		if opens(name, "", 4318) == (name == "migrate") {
			t.Errorf("%s: traces go out where they should not, or do not", name)
		}
	}
	if !opens("stock-lambda-names", "169.254.20.10/32", 53) {
		t.Error("no pod reaches a local DNS cache")
	}
}

// In an outage of Kafka or PostgreSQL no instance is ready, and a node must be drained all the
// same.
func TestADrainIsNotHeldUpByWhatIsNotReady(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		found := 0
		for _, object := range objects {
			if budget, ok := object.(*policyv1.PodDisruptionBudget); ok {
				found++
				if policy := budget.Spec.UnhealthyPodEvictionPolicy; policy == nil || *policy != policyv1.AlwaysAllow {
					t.Errorf("%s keeps pods that are not ready", budget.Name)
				}
			}
		}
		if found != 1 {
			t.Errorf("%d budgets", found)
		}
	})
}

// librdkafka has `kinit` write its ticket below /tmp.
func TestWhoLogsInToKafkaHasAPlaceForATicket(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		found := 0
		for _, pod := range Pods(objects) {
			if slices.ContainsFunc(pod.Spec.Containers[0].Env, func(of corev1.EnvVar) bool { return of.Name == "KAFKA_PROPERTIES_FILE" }) {
				found++
				checkTemporary(t, pod.Workload, pod.Spec)
			}
		}
		if found != 2 {
			t.Errorf("%d pods log in to Kafka", found)
		}
	})
}

// SPARK_URL and OTEL_EXPORTER_OTLP_HEADERS hold passwords, and have no variable for a file.
func TestVariablesThatAreSecretsHaveASecretOfEachProgram(t *testing.T) {
	check := func(t *testing.T, objects []runtime.Object) {
		for _, pod := range Pods(objects) {
			wanted := "batch-layer-variables"
			if pod.Serves {
				wanted = "speed-layer-variables"
			}
			from := pod.Spec.Containers[0].EnvFrom
			if strings.Contains(pod.Workload, "migrate") {
				if len(from) != 0 {
					t.Errorf("%s reads %v", pod.Workload, from)
				}
				continue
			}
			// Behind the maps, whose values it goes before.
			last := from[len(from)-1].SecretRef
			if last == nil || last.Name != wanted || !isTrue(last.Optional) {
				t.Errorf("%s reads %v", pod.Workload, from)
			}
		}
	}
	forEachOverlay(t, check)
	check(t, rendered(t, smallest+"lake: { enabled: true }\nbackfill: { enabled: true, from: 2025-01-01T00, to: 2025-06-01T00 }\n"))
	for _, pod := range Pods(rendered(t, smallest+"secrets: { variables: { speedLayer: '', batchLayer: '' } }\n")) {
		for _, source := range pod.Spec.Containers[0].EnvFrom {
			if source.SecretRef != nil {
				t.Errorf("%s reads %s", pod.Workload, source.SecretRef.Name)
			}
		}
	}
	for _, name := range []string{"speed-layer-variables", "batch-layer-variables"} {
		if !strings.Contains(textOf(t, "../kubernetes/overlays/prod/kustomization.yaml"), "secret generic "+name) {
			t.Errorf("the head of the overlay prod does not tell of %s", name)
		}
	}
}

// Its spans would be the speed layer's, and its prices rounded by another step than the batch
// layer's.
func TestVerifyTakesOfTheSpeedLayersSettingsOnlyWhereTheTopicIs(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, pod := range Pods(objects) {
			if pod.Workload != "CronJob batch-verify" {
				continue
			}
			container, taken := pod.Spec.Containers[0], []string{}
			for _, source := range container.EnvFrom {
				if source.ConfigMapRef != nil && strings.HasPrefix(source.ConfigMapRef.Name, "speed-layer") {
					t.Error("it takes all of them")
				}
			}
			for _, variable := range container.Env {
				if from := variable.ValueFrom; from != nil && from.ConfigMapKeyRef != nil {
					taken = append(taken, variable.Name)
					of := from.ConfigMapKeyRef
					if variable.Name == "KAFKA_PROPERTIES" { // few say it
						if of.Key != variable.Name || !strings.HasPrefix(of.Name, "speed-layer") || !isTrue(of.Optional) {
							t.Errorf("%s is taken from %+v", variable.Name, of)
						}
						continue
					}
					if of.Key != variable.Name || !slices.ContainsFunc(objects, func(object runtime.Object) bool {
						settings, isMap := object.(*corev1.ConfigMap)
						return isMap && settings.Name == of.Name && settings.Data[of.Key] != ""
					}) {
						t.Errorf("%s is taken from %s of %s", variable.Name, of.Key, of.Name)
					}
				}
			}
			// How Kafka is reached is a part of where the topic is, where overlays/prod/speed-layer.env says
			// it.
			if !slices.Equal(taken, []string{"KAFKA_BROKERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "KAFKA_PROPERTIES"}) {
				t.Errorf("it takes %v", taken)
			}
			return
		}
		t.Error("there is no verify")
	})
}

// A backfill that is finished is not run again, and its pods have to read the same settings.
func TestOtherSettingsOfItsOwnMakeAnotherBackfill(t *testing.T) {
	name := func(values string) string {
		for _, object := range rendered(t, smallest+"backfill: { enabled: true, from: 2025-01-01T00, to: 2025-06-01T00 }\n"+values) {
			if job, ok := object.(*batchv1.Job); ok && strings.HasPrefix(job.Name, "backfill-") {
				return job.Name
			}
		}
		t.Fatal("there is no backfill")
		return ""
	}
	before := name("")
	for values, isAnother := range map[string]bool{
		"messages: { MESSAGE_PRESET: finnhub }":                   true,
		"settings: { batchLayer: { SLACK: 2h } }":                 true,
		"archive: { bucket: other }":                              true,
		"settings: { speedLayer: { LINGER: 20ms } }":              false,
		"verify: { schedule: '@daily' }\nlake: { enabled: true }": false,
	} {
		if (name(values) != before) != isAnother {
			t.Errorf("%s: %s, and before %s", values, name(values), before)
		}
	}
}

// Labels for a cloud's identities, annotations for a vault's injector, and so on: of each program
// its own.
func TestPodsHaveTheLabelsVolumesAndAffinityThatAreGiven(t *testing.T) {
	rest := "lake: { enabled: true }\nbackfill: { enabled: true, from: 2025-01-01T00, to: 2025-06-01T00 }\n"
	of := func(values string) map[string]corev1.PodTemplateSpec {
		found := map[string]corev1.PodTemplateSpec{}
		for _, object := range rendered(t, values+rest) {
			switch object := object.(type) {
			case *appsv1.Deployment:
				found[object.Name] = object.Spec.Template
			case *batchv1.CronJob:
				found[object.Name] = object.Spec.JobTemplate.Spec.Template
			case *batchv1.Job:
				found[object.Name[:strings.LastIndex(object.Name, "-")]] = object.Spec.Template
			}
		}
		return found
	}
	with, without := of(everything), of(smallest)
	if len(with) != 6 {
		t.Fatalf("%v", slices.Collect(maps.Keys(with)))
	}
	for name, pod := range with {
		word := map[string]string{"speed-layer": "speed", "migrate": "migrate"}[name]
		if word == "" {
			word = "batch"
		}
		if pod.Labels["of"] != word || pod.Annotations["of"] != word || pod.Spec.Affinity == nil {
			t.Errorf("%s has %v, %v and %v", name, pod.Labels, pod.Annotations, pod.Spec.Affinity)
		}
		volume, mount := pod.Spec.Volumes[len(pod.Spec.Volumes)-1], pod.Spec.Containers[0].VolumeMounts
		if volume.Name != "more" || volume.Secret.SecretName != "of-"+word || mount[len(mount)-1].MountPath != "/more" {
			t.Errorf("%s mounts %v at %v", name, volume, mount)
		}
		// The project's own stay.
		for label, value := range without[name].Labels {
			if pod.Labels[label] != value {
				t.Errorf("%s: label %s is %q", name, label, pod.Labels[label])
			}
		}
		if len(pod.Spec.Volumes) != len(without[name].Spec.Volumes)+1 {
			t.Errorf("%s has the volumes %v", name, pod.Spec.Volumes)
		}
	}
}

// Each would be found by a server, a kubelet or a program only when half of it is applied. The word
// is in the sentence.
var refused = map[string][]string{
	"ON_GAP":            {"settings: { speedLayer: { ON_GAP: foo } }"},
	"START":             {"settings: { speedLayer: { START: sometimes } }"},
	"WRITERS":           {"settings: { speedLayer: { WRITERS: '-3' } }", "settings: { speedLayer: { WRITERS: '65' } }"},
	"BATCH_ROWS":        {"settings: { speedLayer: { BATCH_ROWS: '0' } }"},
	"RETENTION_DAYS":    {"settings: { speedLayer: { RETENTION_DAYS: x } }", "settings: { speedLayer: { RETENTION_DAYS: '36501' } }"},
	"LINGER":            {"settings: { speedLayer: { LINGER: '10' } }", "settings: { speedLayer: { LINGER: 1.5s } }", "settings: { speedLayer: { LINGER: 2m } }", "settings: { speedLayer: { LINGER: 61s } }", "settings: { speedLayer: { LINGER: 60001ms } }"},
	"WRITER_TIMEOUT":    {"settings: { speedLayer: { WRITER_TIMEOUT: 1s } }", "settings: { speedLayer: { WRITER_TIMEOUT: 2h } }", "settings: { speedLayer: { WRITER_TIMEOUT: 4999ms } }", "settings: { speedLayer: { WRITER_TIMEOUT: 61m } }"},
	"HOLIDAYS":          {"settings: { speedLayer: { HOLIDAYS: x } }", "messages: { HOLIDAYS: 2026-13-01 }", "messages: { HOLIDAYS: 2026-02-31 }", "messages: { HOLIDAYS: '2026-12-25,2027-02-29' }"},
	"LOG_FORMAT":        {"settings: { speedLayer: { LOG_FORMAT: xml } }", "settings: { batchLayer: { LOG_FORMAT: xml } }"},
	"DEAD_LETTER_TOPIC": {"settings: { speedLayer: { DEAD_LETTER_TOPIC: stock_prices } }", "settings: { speedLayer: { DEAD_LETTER_TOPIC: a b } }"},
	"MESSAGE_PRESET":    {"messages: { MESSAGE_PRESET: nasdaq }"},
	"TRADING_HOURS":     {"messages: { TRADING_HOURS: whenever }", "messages: { TRADING_HOURS: 'UTC 9-16' }"},
	"PRICE_STEP":        {"messages: { PRICE_STEP: '-1' }", "messages: { PRICE_STEP: '0.00' }", "messages: { PRICE_STEP: '.5' }", "messages: { PRICE_STEP: '1e400' }"},
	"OLDEST":            {"messages: { OLDEST: 32.13.2020 }", "messages: { OLDEST: '2026-01-01 foo' }", "messages: { OLDEST: '2026-04-31' }", "messages: { OLDEST: '1969-12-31' }"},
	"TIMESTAMP_UNIT":    {"messages: { TIMESTAMP_UNIT: minutes }"},
	"SYMBOL_FROM":       {"messages: { SYMBOL_FROM: nowhere }"},
	"UPPERCASE_SYMBOLS": {"messages: { UPPERCASE_SYMBOLS: please }"},
	"ANOMALIES":         {"messages: { ANOMALIES: maybe }"},
	"SLACK":             {"settings: { batchLayer: { SLACK: 1 hour } }"},
	"FROM_LAKE":         {"settings: { batchLayer: { FROM_LAKE: always } }"},
	"LAKE_PREFIX":       {"settings: { batchLayer: { LAKE_PREFIX: lake } }", "settings: { batchLayer: { LAKE_PREFIX: /lake/ } }"},
	"SPARK_URL":         {"secrets: { variables: { batchLayer: '' } }\nsettings: { batchLayer: { BATCH_ENGINE: spark } }"},
	"BATCH_ENGINE":      {"settings: { batchLayer: { BATCH_ENGINE: flink } }"},
	"HTTPS_PROXY":       {"settings: { batchLayer: { HTTPS_PROXY: 'http://me:word@proxy:3128' } }"},
	"SCHEMA_REGISTRY":   {"settings: { speedLayer: { SCHEMA_REGISTRY_URL: 'https://me:word@host:8081' } }", "settings: { speedLayer: { SCHEMA_REGISTRY_URL: host } }"},
	"OTEL_EXPORTER":     {"settings: { speedLayer: { OTEL_EXPORTER_OTLP_ENDPOINT: collector } }", "settings: { speedLayer: { OTEL_EXPORTER_OTLP_PROTOCOL: grpc } }"},
	"kafka/topic":       {"kafka: { brokers: x:9092, topic: '' }", "kafka: { brokers: x:9092, topic: 'a b' }", "kafka: { brokers: x:9092, topic: ^ }", "kafka: { brokers: x:9092, topic: .. }", "kafka: { brokers: x:9092, topic: 'a,.' }"},
	"archive.prefix":    {"kafka: { brokers: x:9092, topic: '^trades.*' }", "kafka: { brokers: x:9092, topic: 'a,b' }"},
	"kafka/groupId":     {"kafka: { brokers: x:9092, groupId: '' }"},
	"kafka/brokers":     {"kafka: { brokers: kafka }", "kafka: { brokers: 'http://kafka:9092' }", "kafka: { brokers: 'a:9092,b' }", "kafka: { brokers: 'k:99999' }", "kafka: { brokers: 'a:9092,k:65536' }", "kafka: { brokers: 'k:0' }"},
	"archive/endpoint":  {"archive: { endpointUrl: 'minio:9000' }"},
	"archive/bucket":    {"archive: { bucket: '' }"},
	"archive/region":    {"archive: { region: '' }"},
	"archive/prefix":    {"archive: { prefix: raw/x }", "archive: { prefix: raw/x/ }", "archive: { prefix: /raw/%Y/ }", "archive: { prefix: 'a/%Y%m%d/,b/%Y%m%d/' }", "archive: { prefix: raw/%Q/ }", "archive: { prefix: raw/%Y/ }", "archive: { prefix: raw/%H/ }", "archive: { prefix: a%/ }", "archive: { prefix: raw/%s/ }"},
	"backfill/from":     {"backfill: { enabled: true, from: 2025-13-45T99, to: 2025-06-01T00 }"},
	"backfill.from":     {"backfill: { enabled: true, from: 2025-02-30T00, to: 2025-06-01T00 }"},
	"backfill.to":       {"backfill: { enabled: true, from: 2025-02-01T00, to: 2025-01-01T00 }", "backfill: { enabled: true, from: 2025-02-01T00, to: 2025-02-01T00 }"},
	"image/registry": {
		"image: { registry: 'https://r/x' }", "image: { registry: r.example/x/ }", "image: { registry: r.example/Stock }",
		"image: { registry: 'r/x # y' }", "image: { registry: 'r/x y' }",
	},
	"image/tag":                  {"image: { registry: x, tag: 1 2 }", "image: { registry: x, tag: '-1' }"},
	"image/digests/speedLayer":   {"image: { registry: x, digests: { speedLayer: 'sha256:ab' } }"},
	"image/pullSecrets":          {"image: { registry: x, pullSecrets: [''] }"},
	"secrets/migrate":            {"secrets: { migrate: '' }", "secrets: { migrate: A_B }"},
	"secrets: with external":     {"secrets: { migrate: a, speedLayer: a }\nexternalSecrets: { enabled: true, store: { name: vault } }"},
	"authorities/configMap":      {"authorities: { configMap: '' }"},
	"namesNamespace":             {"networkPolicies: { namesNamespace: '' }"},
	"namesCidrs":                 {"networkPolicies: { namesCidrs: [169.254.20.10] }", "networkPolicies: { namesCidrs: [999.1.1.1/99] }", "networkPolicies: { namesCidrs: [10.0.0.0/33] }", "networkPolicies: { namesCidrs: ['fd00::a/129'] }"},
	"speedLayer.resources":       {"speedLayer: { resources: { limits: { memory: 16 } } }", "speedLayer: { resources: { requests: { cpu: 3 } } }"},
	"batchLayer.resources":       {"batchLayer: { resources: { requests: { memory: 1Gi } } }", "batchLayer: { resources: { requests: { memory: 0.6G } } }"},
	"lake.resources":             {"lake: { enabled: true, resources: { requests: { cpu: 2001m } } }"},
	"verify/resources":           {"verify: { resources: { limits: { memory: 512 MB } } }"},
	"lake/temporary":             {"lake: { temporary: 0Gi }", "lake: { temporary: '10' }", "lake: { temporary: 10K }"},
	"verify/schedule":            {"verify: { schedule: 99 25 * * * }", "verify: { schedule: a b c d e }", "verify: { schedule: '* * * *' }", "verify: { schedule: '0 0 * * 7' }"},
	"batchLayer/schedule":        {"batchLayer: { schedule: TZ=UTC 0 * * * * }", "batchLayer: { schedule: '@often' }", "batchLayer: { schedule: '*/0 * * * *' }"},
	"podMonitor/interval":        {"podMonitor: { interval: '15' }", "podMonitor: { interval: 90s }", "podMonitor: { interval: 2m }", "podMonitor: { interval: 1s }"},
	"app.kubernetes.io/part-of":  {"prometheusRules: { labels: { app.kubernetes.io/part-of: other } }"},
	"app.kubernetes.io/instance": {"podMonitor: { labels: { app.kubernetes.io/instance: other } }"},
	"verify/prefixes":            {"verify: { prefixes: [raw/%H/] }", "verify: { prefixes: [raw/a/] }", "verify: { prefixes: ['raw/%H/,raw/%m/'] }", "verify: { prefixes: raw/%H/ }"},
	"externalSecrets/refresh":    {"externalSecrets: { refreshInterval: '1' }"},
	"pods/priorityClassName":     {"pods: { priorityClassName: A b }"},
	"app.kubernetes.io/name":     {"pods: { labels: { speedLayer: { app.kubernetes.io/name: other } } }", "podMonitor: { labels: { app.kubernetes.io/name: other } }"},
	"pods/volumes/batchLayer":    {"pods: { volumes: { batchLayer: [{ name: secrets, emptyDir: {} }] } }"},
	"pods/volumeMounts/migrate":  {"pods: { volumeMounts: { migrate: [{ name: more, mountPath: /etc/stocks/secrets }] } }"},
	"UPKEEP_INTERVAL":            {"settings: { speedLayer: { UPKEEP_INTERVAL: 2d } }", "settings: { speedLayer: { UPKEEP_INTERVAL: 99ms } }", "settings: { speedLayer: { UPKEEP_INTERVAL: 25h } }"},
	"pods/labels/speedLayer":     {"pods: { labels: { speedLayer: { team: a b c } } }"},
	"'nodeaffinity'":             {"pods: { affinity: { nodeaffinity: {} } }"},
	"'a b'":                      {"pods: { annotations: { migrate: { a b: c } } }", "pods: { labels: { speedLayer: { a b: c } } }", "serviceAccounts: { annotations: { migrate: { a b: c } } }"},
	"pods/nodeSelector":          {"pods: { nodeSelector: { pool: a b } }"},
	"pods/affinity":              {"pods: { affinity: { nodeAffinity: 1 } }"},
	"podMonitor/labels":          {"podMonitor: { labels: { release: a b } }"},
	"pods.volumes.batchLayer":    {"pods: { volumes: { batchLayer: [{ name: a, emptyDir: {} }, { name: a, emptyDir: {} }] } }"},
	"pods.volumeMounts.migrate":  {"pods: { volumeMounts: { migrate: [{ name: a, mountPath: /a }] } }", "pods: { volumes: { migrate: [{ name: a, emptyDir: {} }] }, volumeMounts: { migrate: [{ name: a, mountPath: /a }, { name: a, mountPath: /a/ }] } }"},
	"verify.schedule":            {"verify: { schedule: '0 9-5 * * *' }", "verify: { schedule: '0 3 * * FRI-MON' }", "verify: { schedule: '0 3 * DEC-jan *' }"},
	"batchLayer.schedule":        {"batchLayer: { schedule: '5,50-10 * * * *' }"},
	"lake.schedule":              {"lake: { enabled: true, schedule: '0 3 9-2 * *' }"},
	"keda":                       {"keda: null", "keda: { enabled: true, sasl: gssapi }", "keda: { enabled: true, sasl: aws_msk_iam }"},
	"settings":                   {"settings: null", "settings: { speedLayer: null }"},
	"networkPolicies":            {"networkPolicies: null", "networkPolicies: { extraEgress: null }"},
}

func TestWhatWouldFailLaterIsRefusedWithAWordOfWhere(t *testing.T) {
	for word, all := range refused {
		for _, values := range all {
			_, err := render(on(values))
			if err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "nil pointer") {
				t.Errorf("%s: %v", values, err)
			}
		}
	}
}

// Values beside the smallest ones, of which they may name the group again.
func on(values string) string {
	with := values + "\n"
	for _, line := range strings.Split(strings.TrimSpace(smallest), "\n") {
		if group, _, _ := strings.Cut(line, ":"); !strings.HasPrefix(values, group+":") {
			with += line + "\n"
		}
	}
	return with
}

func TestWhatIsRightIsTaken(t *testing.T) {
	for _, values := range []string{
		"batchLayer: { schedule: '@hourly' }", "batchLayer: { schedule: '@every 1h30m' }", "verify: { schedule: '5,35 0-6/2 1,15 JAN-jun Mon-FRI' }",
		"verify: { schedule: '00 03 ? * 0' }", "lake: { enabled: true, temporary: 1.5Gi }", "lake: { enabled: true, temporary: 500M }",
		"settings: { batchLayer: { AWS_USE_FIPS_ENDPOINT: 'true', AWS_PROFILE: stocks, https_proxy: 'http://proxy:3128' } }",
		"settings: { batchLayer: { BATCH_ENGINE: spark, SPARK_ARCHIVE: 's3a://stocks/' } }",
		"settings: { speedLayer: { SCHEMA_REGISTRY_URL: 'https://a:8081,https://b:8081/path', RETENTION_DAYS: '36500', WRITERS: '64', BATCH_ROWS: '1000000' } }",
		"settings: { speedLayer: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', RUST_LOG: 'info,speed_layer::store=debug' } }",
		"settings: { speedLayer: { DEAD_LETTER_TOPIC: dead } }",
		"messages: { TRADING_HOURS: 'America/Argentina/Buenos_Aires 18:00 - 17:00:00', HOLIDAYS: '2026-12-25,2027-01-01', PRICE_STEP: '1e-8', OLDEST: '1990-01-01' }",
		"messages: { MESSAGE_PRESET: '', TIMESTAMP_ZONE: Etc/GMT+5, ALLOW_NONPOSITIVE_PRICES: 'true', UPPERCASE_SYMBOLS: '1' }",
		"kafka: { brokers: 'SASL_SSL://a.b:9093, [::1]:9092', topic: trades.eu-1_x }", "kafka: { brokers: x:9092, topic: '^trades.*' }\narchive: { prefix: raw/all/%Y-%m-%d-%H/ }",
		"archive: { bucket: 'arn:aws:s3:eu-west-1:1:accesspoint/stocks', endpointUrl: 'https://store.invalid/below', prefix: 'a/year=%Y/month=%m/day=%d/hour=%H/' }",
		"image: { registry: 'registry.invalid:5000/a/b-c_d.e', tag: 1.0.0_RC1 }", "image: { registry: localhost:5000 }",
		"backfill: { enabled: true, from: 2024-02-29T23, to: 2025-01-01T00 }",
		"speedLayer: { resources: { requests: { cpu: 1, memory: 0.5Gi }, limits: { cpu: 1.5, memory: 1G, ephemeral-storage: 1Gi } } }",
		"speedLayer: { resources: { limits: { cpu: null } } }", "speedLayer: { resources: { limits: { memory: 268435456 } } }",
		"podMonitor: { enabled: true, interval: 30s }", "networkPolicies: { namesCidrs: ['fd00::a/128'] }",
		"messages: { HOLIDAYS: '2028-02-29,2000-02-29,2026-11-30', OLDEST: '2026-01-01T00:00:00Z', PRICE_STEP: '0.00000001' }",
		"settings: { speedLayer: { UPKEEP_INTERVAL: 100ms } }", "settings: { speedLayer: { UPKEEP_INTERVAL: 1d } }", "settings: { speedLayer: { UPKEEP_INTERVAL: 24h } }",
		"kafka: { brokers: 'x:65535', topic: '...' }", "networkPolicies: { namesCidrs: [10.0.0.0/8, 169.254.20.10/32, '::/0', '2001:db8::1/64'] }",
		"pods: { labels: { speedLayer: { azure.workload.identity/use: 'true', empty: '' } }, annotations: { migrate: { vault.hashicorp.com/agent-inject: 'true' } } }",
		"pods: { affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } } }",
		"pods: { volumes: { migrate: [{ name: a, emptyDir: {} }] }, volumeMounts: { migrate: [{ name: a, mountPath: /a }, { name: a, mountPath: /b }] } }",
		"verify: { schedule: '0 3 * JAN-DEC SUN-SAT' }", "verify: { schedule: '0 09-10 08-31 * *' }",
		"speedLayer: { replicas: 12 }", "networkPolicies: { extraEgress: [{ ports: [{ protocol: TCP, port: 8081 }] }] }",
	} {
		if _, err := render(on(values)); err != nil {
			t.Errorf("%s: %v", values, err)
		}
	}
}

// A name of digits is a name, and has to reach the server as one.
func TestNamesThatLookLikeNumbersStayNames(t *testing.T) {
	rendered(t, `image: { registry: "1", tag: "2", pullSecrets: ["123"] }
kafka: { brokers: x:9092, topic: "7", groupId: "8" }
archive: { bucket: "123", region: "1" }
secrets: { migrate: "123", speedLayer: "0123", batchLayer: "1e3", variables: { speedLayer: "5", batchLayer: "6" } }
authorities: { configMap: "1e3" }
externalSecrets: { enabled: true, store: { name: "1" }, refreshInterval: "0", entries: { migrate: "1", speedLayer: "2", batchLayer: "3" } }
pods: { priorityClassName: "1000", labels: { speedLayer: { a: "1" } }, annotations: { migrate: { a: "true" } } }
networkPolicies: { monitoringNamespace: "1", namesNamespace: "2" }
keda: { enabled: true, secret: "1" }
podMonitor: { enabled: true, interval: 15s, labels: { a: "1" } }
lake: { enabled: true }
backfill: { enabled: true, from: 2025-01-01T00, to: 2025-06-01T00 }
dashboards: { enabled: true, folder: "1" }
`)
}

// The closed sets of the schema are those of the programs, as their source has them.
func TestTheSchemaKnowsTheWordsThatTheProgramsTake(t *testing.T) {
	source := ""
	for _, crate := range []string{"anomalies", "common", "service", "speed-layer", "hourly", "reconciliation", "batch-layer"} {
		err := filepath.WalkDir("../../"+crate+"/src", func(path string, entry fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".rs" {
				source += textOf(t, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var schema struct {
		Properties struct {
			Messages struct {
				Properties map[string]struct{ Enum []string }
			}
			Settings struct {
				Properties map[string]struct {
					Properties map[string]struct{ Enum []string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(textOf(t, chartFolder+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{}
	add := func(name string, enum []string) {
		words := slices.DeleteFunc(slices.Clone(enum), func(word string) bool { return word == "" })
		if slices.Sort(words); known[name] != nil && !slices.Equal(known[name], words) {
			t.Errorf("%s is %v at one place and %v at another", name, known[name], words)
		}
		known[name] = words
	}
	for name, of := range schema.Properties.Messages.Properties {
		add(name, of.Enum)
	}
	for _, side := range schema.Properties.Settings.Properties {
		for name, of := range side.Properties {
			add(name, of.Enum)
		}
	}
	ofProgram := regexp.MustCompile(`(?s)#\[arg\([^\]]*?env = "(\w+)"(?:[^\]]*?)\)\]\s*(?:pub )?\w+: (?:Option<)?(\w+)`)
	checked := 0
	for _, match := range ofProgram.FindAllStringSubmatch(source, -1) {
		words := wordsOf(source, match[2])
		if words == nil || slices.Contains(ofTheChart, match[1]) {
			continue
		}
		if checked++; !reflect.DeepEqual(known[match[1]], words) {
			t.Errorf("%s: the schema has %v, the program %v", match[1], known[match[1]], words)
		}
	}
	if checked < 10 {
		t.Errorf("only %d variables have a closed set of words", checked)
	}
}

// The words of an enumeration of the programs, or nil: by clap's ValueEnum, or by the table of
// Named.
func wordsOf(source, kind string) []string {
	words := []string{}
	if table := regexp.MustCompile(`(?s)impl Named for ` + kind + ` \{.*?= &\[(.*?)\n    \];`).FindStringSubmatch(source); table != nil {
		for _, row := range regexp.MustCompile(`(?s)Self::\w+,\s*"([^"]+)"`).FindAllStringSubmatch(table[1], -1) {
			words = append(words, row[1])
		}
	} else if body := regexp.MustCompile(`(?s)#\[derive\([^)]*ValueEnum[^)]*\)\][^{;]*?enum ` + kind + ` \{(.*?)\n\}`).FindStringSubmatch(source); body != nil {
		for _, variant := range regexp.MustCompile(`(?m)^    ([A-Z]\w*),`).FindAllStringSubmatch(body[1], -1) {
			dashed := regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(variant[1], "$1-$2")
			words = append(words, strings.ToLower(dashed))
		}
	} else {
		return nil
	}
	slices.Sort(words)
	return words
}
