package check

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// prometheus/rules, without their tests, in the order in which they are written down.
var ruleFiles = []string{"archive-sink", "batch-layer-kubernetes", "speed-layer"}

func TestEachFileOfRulesIsKnownAndTested(t *testing.T) {
	found, err := filepath.Glob("../../prometheus/rules/*.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for index, file := range found {
		found[index] = strings.TrimSuffix(filepath.Base(file), ".rules.yml")
		if tests := textOf(t, "../../prometheus/rules/"+found[index]+".test.yml"); !strings.Contains(tests, "  - "+found[index]+".rules.yml\n") {
			t.Errorf("nothing tests %s", file)
		}
	}
	if !slices.Equal(found, ruleFiles) {
		t.Errorf("there are %v, and known are %v", found, ruleFiles)
	}
}

// Where promtool is (`cargo xtask setup` installs it): the cases of what is small. Those of the
// speed layer last for minutes, and are run by cargo xtask test.
func TestTheSmallRulesFireWhereTheyShould(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool on the PATH")
	}
	for _, name := range []string{"archive-sink", "batch-layer-kubernetes"} {
		if said, err := exec.Command(promtool, "test", "rules", "../../prometheus/rules/"+name+".test.yml").CombinedOutput(); err != nil {
			t.Errorf("%s: %s", name, said)
		}
		tests := textOf(t, "../../prometheus/rules/"+name+".test.yml")
		for _, rule := range rulesOf(t, name) {
			if rule.Alert != "" && !regexp.MustCompile(`(?m)^ +alertname: `+rule.Alert+`$`).MatchString(tests) {
				t.Errorf("%s: no case in which %s fires", name, rule.Alert)
			}
		}
	}
}

type prometheusRule struct{ Record, Alert, Expr string }

func rulesOf(t *testing.T, name string) []prometheusRule {
	t.Helper()
	var content struct {
		Groups []struct{ Rules []prometheusRule }
	}
	if err := yaml.Unmarshal([]byte(textOf(t, "../../prometheus/rules/"+name+".rules.yml")), &content); err != nil {
		t.Fatal(err)
	}
	found := []prometheusRule{}
	for _, group := range content.Groups {
		found = append(found, group.Rules...)
	}
	return found
}

func prometheusRules(t *testing.T) []prometheusRule {
	t.Helper()
	found := []prometheusRule{}
	for _, name := range ruleFiles {
		found = append(found, rulesOf(t, name)...)
	}
	if len(found) < 25 {
		t.Fatalf("only %d rules", len(found))
	}
	return found
}

// A sum over two installations that one Prometheus scrapes hides the one that is down.
func TestNoAlertSumsOverNamespaces(t *testing.T) {
	aggregation := regexp.MustCompile(`(?:^|[^:\w])(sum|min|max|avg|count|group|stddev|quantile|topk|bottomk)\s*(by\s*\(([^)]*)\))?\s*\(`)
	for _, rule := range prometheusRules(t) {
		for _, found := range aggregation.FindAllStringSubmatch(rule.Expr, -1) {
			if !strings.HasPrefix(found[3], "namespace") {
				t.Errorf("%s: %q is not by namespace", rule.Record+rule.Alert, found[0])
			}
		}
	}
}

// As the alerts that lead there. A sum over two installations that one Prometheus scrapes shows
// neither of them.
func TestEachSeriesOfADashboardIsOfTheChosenNamespaces(t *testing.T) {
	files, err := filepath.Glob("../../grafana/dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	selector := regexp.MustCompile(`\b(?:speed_layer|kafka)_\w+(?:\{[^}]*\})?|\bup(?:\{[^}]*\})?(?:\W|$)`)
	seen := 0
	for _, file := range files {
		var dashboard any
		text := textOf(t, file)
		if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
			t.Fatal(err)
		}
		asked := expressions(dashboard)
		for _, expression := range asked {
			for _, found := range selector.FindAllString(expression, -1) {
				if seen++; !strings.Contains(found, `{namespace=~"$namespace"`) {
					t.Errorf("%s: %s in %s is of every namespace", filepath.Base(file), found, expression)
				}
			}
			if regexp.MustCompile(`by \((namespace, )?partition\)`).MatchString(expression) {
				t.Errorf("%s: %s adds up partitions of several topics", filepath.Base(file), expression)
			}
		}
		// Series without a namespace, which are those outside of Kubernetes, are chosen at first.
		if isThere := strings.Contains(text, `"allValue": ".*"`); isThere != (len(asked) > 0) {
			t.Errorf("%s: a choice of namespaces: %t, and %d expressions", filepath.Base(file), isThere, len(asked))
		}
	}
	if seen < 30 {
		t.Errorf("only %d series", seen)
	}
}

// What is asked of Prometheus anywhere in a dashboard.
func expressions(of any) []string {
	found := []string{}
	switch of := of.(type) {
	case []any:
		for _, member := range of {
			found = append(found, expressions(member)...)
		}
	case map[string]any:
		for name, member := range of {
			if text, ok := member.(string); ok && name == "expr" {
				found = append(found, text)
			}
			found = append(found, expressions(member)...)
		}
	}
	return found
}

// A target that nobody watches may be away for ever, and what is asked of its series never fires.
func TestEachScrapedJobHasAnAlertOfItsOwn(t *testing.T) {
	for job := range scraped(t, composeFile) {
		if job == "prometheus" {
			continue // it cannot tell of itself
		}
		isWatched := slices.ContainsFunc(prometheusRules(t), func(rule prometheusRule) bool {
			return rule.Alert != "" && strings.Contains(rule.Expr, `by (namespace) (up{job="`+job+`"}) == 0`)
		})
		if !isWatched {
			t.Errorf("nobody hears of it when %s is down", job)
		}
	}
}

// The alert counts rows, and each try of a Job is one: they are over when the next run on schedule
// is.
func TestTheTriesOfOneJobAreNoAlert(t *testing.T) {
	var content struct {
		Groups []struct{ Rules []struct{ Title, For string } }
	}
	if err := json.Unmarshal([]byte(textOf(t, "../../grafana/provisioning/alerting/batch-layer.json")), &content); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, group := range content.Groups {
		for _, rule := range group.Rules {
			// On a new database nothing has run yet, and that is no page before the first run on schedule.
			if rule.Title != "BatchRunFailing" && rule.Title != "BatchOverdue" {
				continue
			}
			seen++
			stands, err := time.ParseDuration(rule.For)
			if err != nil || stands <= 15*time.Minute {
				t.Errorf("%s fires after %s (%v), and batch-layer runs every 15 minutes", rule.Title, rule.For, err)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d of the two alerts", seen)
	}
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, object := range objects {
			if job, ok := object.(*batchv1.CronJob); ok && job.Name == "batch-layer" && !slices.Contains([]string{"*/15 * * * *", "*/2 * * * *"}, job.Spec.Schedule) {
				t.Errorf("batch-layer runs at %s: BatchRunFailing and BatchOverdue have to stand for longer than one schedule", job.Spec.Schedule)
			}
		}
	})
}

// --help: 1 something differs (verify), 2 a wrong setting, 4 partial, which the same again is, too.
func TestWhatTheSameAgainWouldSayAgainIsNotTriedAgain(t *testing.T) {
	final := map[string][]int32{"batch-layer": {2, 4}, "batch-verify": {1, 2, 4}, "batch-compact": {2, 4}}
	check := func(t *testing.T, objects []runtime.Object) {
		seen := 0
		for _, object := range objects {
			job, ok := object.(*batchv1.CronJob)
			if !ok || final[job.Name] == nil {
				continue
			}
			seen++
			codes := []int32{}
			for _, rule := range job.Spec.JobTemplate.Spec.PodFailurePolicy.Rules {
				if rule.OnExitCodes == nil {
					continue
				}
				if rule.Action != batchv1.PodFailurePolicyActionFailJob || *rule.OnExitCodes.ContainerName != job.Name || rule.OnExitCodes.Operator != batchv1.PodFailurePolicyOnExitCodesOpIn {
					t.Errorf("CronJob %s: %+v", job.Name, rule)
				}
				codes = append(codes, rule.OnExitCodes.Values...)
			}
			if !slices.Equal(codes, final[job.Name]) {
				t.Errorf("CronJob %s: final are %v", job.Name, codes)
			}
		}
		if seen < 2 {
			t.Errorf("only %d CronJobs", seen)
		}
	}
	forEachOverlay(t, check)
	compact := withLake(t)
	check(t, compact)
	check(t, rendered(t, smallest+"lake: { enabled: true }\n"))
	if !slices.ContainsFunc(compact, func(object runtime.Object) bool {
		job, ok := object.(*batchv1.CronJob)
		return ok && job.Name == "batch-compact"
	}) {
		t.Error("the lake is written by nobody")
	}
}
