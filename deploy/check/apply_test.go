package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Where a definition of a kind lies in the module of those who made it.
var definitions = []struct{ module, file string }{
	{"github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases/keda.sh_scaledobjects.yaml"},
	{"github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases/keda.sh_triggerauthentications.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"},
	{"github.com/external-secrets/external-secrets@v1.3.2", "config/crds/bases/external-secrets.io_externalsecrets.yaml"},
}

// What the chart can make beside what it makes as prod, and what the overlay prod has as
// components.
const rest = `
externalSecrets: { enabled: true, store: { name: vault } }
lake: { enabled: true }
backfill: { enabled: true, from: 2025-01-01T00, to: 2025-06-01T00 }
`

// deployment is one way to deploy all of it.
type deployment struct {
	name, namespace string
	// With an image's tag.
	manifests func(t *testing.T, tag string) [][]byte
	// The Job that docs/operations.md (Upgrade) has deleted first.
	deletedFirst string
}

var deployments = []deployment{
	{"overlays/dev", "stocks-dev", func(t *testing.T, tag string) [][]byte { return kustomized(t, "dev", tag) }, ""},
	{"overlays/prod", "stocks", func(t *testing.T, tag string) [][]byte { return kustomized(t, "prod", tag) }, ""},
	{"overlays/prod with lake and backfill", "stocks-lake", func(t *testing.T, tag string) [][]byte {
		return kustomized(t, "prod", tag, "lake", "backfill")
	}, "Job backfill"},
	{"the chart as prod, with all that is", "stocks-chart", func(t *testing.T, tag string) [][]byte {
		values := strings.Replace(valuesOf(t, "prod"), "image: {", "image: { tag: "+tag+",", 1)
		manifests, err := templated(values + rest)
		if err != nil {
			t.Fatal(err)
		}
		return manifests
	}, ""},
}

// What `kustomize build` gives of an overlay with another tag and more components.
func kustomized(t *testing.T, name, tag string, components ...string) [][]byte {
	t.Helper()
	folder := filepath.Join(prepared(t), "overlays", name)
	file := filepath.Join(folder, "kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(text), "newTag: 0.1.0", "newTag: "+tag)
	for _, component := range components {
		changed = strings.Replace(changed, "components:\n", "components:\n  - ../../components/"+component+"\n", 1)
	}
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	manifests, err := Kustomized(folder)
	if err != nil {
		t.Fatal(err)
	}
	return manifests
}

// A Job cannot be changed: one that is, under its old name, is refused half way through an upgrade.
func TestAnotherTagGivesNoJobAnotherContent(t *testing.T) {
	for _, deployed := range deployments {
		old := deployed.objects(t, "0.1.0")
		for name, object := range deployed.objects(t, "0.2.0") {
			if before := old[name]; name != deployed.deletedFirst && object.GetKind() == "Job" && before != nil && !reflect.DeepEqual(before.Object, object.Object) {
				t.Errorf("%s: %s is another one: %s", deployed.name, name, difference("", before.Object, object.Object))
			}
		}
	}
}

// `cargo xtask manifests --apply` builds the control plane and runs this test; it takes some
// minutes.
func TestAControlPlaneTakesWhatIsDeployed(t *testing.T) {
	program := os.Getenv("CONTROL_PLANE")
	if program == "" {
		t.Skip("needs a control plane: cargo xtask manifests --apply")
	}
	plane := startControlPlane(untilAskedToEnd(t), t, program)
	fmt.Println("etcd, kube-apiserver and kube-controller-manager run at " + plane.address)
	plane.define(t)
	for _, deployed := range deployments {
		deployed.install(t, plane)
		deployed.upgrade(t, plane)
	}
	for _, deployed := range deployments {
		deployed.makesJobs(t, plane)
	}
}

// Done at SIGINT and SIGTERM, and once standard input ends: whoever started this is gone then.
func untilAskedToEnd(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	t.Cleanup(cancel)
	go func() {
		for {
			if _, err := os.Stdin.Read(make([]byte, 64)); err != nil {
				cancel()
				return
			}
		}
	}()
	return ctx
}

// define makes the kinds of KEDA, the Prometheus operator and the External Secrets Operator known
// to the server.
func (plane *controlPlane) define(t *testing.T) {
	t.Helper()
	for _, definition := range definitions {
		text, err := os.ReadFile(filepath.Join(moduleFolder(t, plane.context, definition.module), definition.file))
		if err != nil {
			t.Fatal(err)
		}
		object := plain(t, text)
		// Theirs: a warning is no fault of ours.
		if _, _, err := plane.patch(object); err != nil {
			t.Fatalf("%s of %s: %v", definition.file, definition.module, err)
		}
		plane.until(t, object.GetName()+" is established", func() error { return plane.isEstablished(object) })
		fmt.Printf("%s is defined as in %s\n", object.GetName(), definition.module)
	}
}

func (plane *controlPlane) isEstablished(object *unstructured.Unstructured) error {
	found, err := plane.get(object)
	if err != nil {
		return err
	}
	conditions, _, _ := unstructured.NestedSlice(found.Object, "status", "conditions")
	for _, condition := range conditions {
		if condition, ok := condition.(map[string]any); ok && condition["type"] == "Established" && condition["status"] == "True" {
			return nil
		}
	}
	return fmt.Errorf("its conditions are %v", conditions)
}

// The folder of a module in Go's own cache, fetched if it is not there.
func moduleFolder(t *testing.T, ctx context.Context, module string) string {
	t.Helper()
	command := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	command.Dir = os.TempDir() // the versions are no matter of this module's
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go mod download %s: %v: %s", module, err, output)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(output, &found); err != nil {
		t.Fatal(err)
	}
	return found.Dir
}

func plain(t *testing.T, manifest []byte) *unstructured.Unstructured {
	t.Helper()
	content, err := yaml.YAMLToJSON(manifest)
	if err != nil {
		t.Fatal(err)
	}
	object, err := parsed(content)
	if err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	return object
}

// The objects by kind and name, in their namespace.
func (deployed deployment) objects(t *testing.T, tag string) map[string]*unstructured.Unstructured {
	t.Helper()
	found := map[string]*unstructured.Unstructured{}
	for _, manifest := range deployed.manifests(t, tag) {
		object := plain(t, manifest)
		if object.GetKind() != "Namespace" {
			object.SetNamespace(deployed.namespace)
		}
		found[called(object)] = object
	}
	return found
}

func called(object *unstructured.Unstructured) string {
	return object.GetKind() + " " + object.GetName()
}

func (deployed deployment) install(t *testing.T, plane *controlPlane) {
	t.Helper()
	deployed.makeNamespace(t, plane)
	objects := deployed.objects(t, "0.1.0")
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if _, err := plane.apply(objects[name]); err != nil {
			plane.wrong(t, "%s: %s is refused: %v", deployed.name, name, err)
		}
	}
	deployed.said(t, "%d objects are taken", len(objects))
	deployed.makesPods(t, plane, objects)
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		deployed.staysAsItIs(t, plane, objects[name])
	}
	deployed.said(t, "applied again, none of them changes")
}

// said prints what is reached, or ends the test with what was not.
func (deployed deployment) said(t *testing.T, format string, values ...any) {
	t.Helper()
	if t.Failed() {
		t.FailNow()
	}
	fmt.Printf("%s: %s\n", deployed.name, fmt.Sprintf(format, values...))
}

// makeNamespace applies prod's, which is made once and by hand; the overlay dev has its own, and
// the chart gets one of the same kind.
func (deployed deployment) makeNamespace(t *testing.T, plane *controlPlane) {
	t.Helper()
	text, err := os.ReadFile("../kubernetes/overlays/prod/namespace.yaml")
	if err != nil {
		t.Fatal(err)
	}
	namespace := plain(t, text)
	namespace.SetName(deployed.namespace)
	if _, err := plane.apply(namespace); err != nil {
		t.Fatalf("%s: namespace %s is refused: %v", deployed.name, deployed.namespace, err)
	}
}

// staysAsItIs applies what is applied already. A controller may write to the object meanwhile, but
// not each time.
func (deployed deployment) staysAsItIs(t *testing.T, plane *controlPlane, object *unstructured.Unstructured) {
	t.Helper()
	var changed string
	for range 5 {
		before, err := plane.get(object)
		if err != nil {
			plane.wrong(t, "%s: %s: %v", deployed.name, called(object), err)
			return
		}
		after, err := plane.apply(object)
		if err != nil {
			plane.wrong(t, "%s: %s is refused the second time: %v", deployed.name, called(object), err)
			return
		}
		if after.GetGeneration() == before.GetGeneration() && after.GetResourceVersion() == before.GetResourceVersion() {
			return
		}
		changed = difference("", before.Object, after.Object)
	}
	plane.wrong(t, "%s: %s changes at each apply: %s", deployed.name, called(object), changed)
}

// makesPods waits for the pods of the Deployments and Jobs: only then has the namespace's
// PodSecurity looked at them.
func (deployed deployment) makesPods(t *testing.T, plane *controlPlane, objects map[string]*unstructured.Unstructured) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		object := objects[name]
		if kind := object.GetKind(); kind == "Deployment" || kind == "Job" {
			plane.until(t, deployed.name+": pods of "+name, func() error { return plane.hasPodOf(object) })
		}
	}
	deployed.said(t, "its pods are admitted")
}

// An error unless there is a pod with the name and the image that a Deployment or a Job gives its
// pods.
func (plane *controlPlane) hasPodOf(workload *unstructured.Unstructured) error {
	namespace, name := workload.GetNamespace(), workload.GetLabels()["app.kubernetes.io/name"]
	pods, err := plane.list("/api/v1/namespaces/" + namespace + "/pods?labelSelector=app.kubernetes.io/name%3D" + name)
	if err != nil {
		return err
	}
	wanted := image(workload.Object, "spec", "template", "spec", "containers")
	if slices.ContainsFunc(pods, func(pod unstructured.Unstructured) bool {
		return image(pod.Object, "spec", "containers") == wanted
	}) {
		return nil
	}
	return errors.New("there are none: " + plane.failures(namespace))
}

// The image of the first container.
func image(object map[string]any, path ...string) string {
	containers, _, _ := unstructured.NestedSlice(object, path...)
	if len(containers) == 0 {
		return ""
	}
	container, _ := containers[0].(map[string]any)
	return fmt.Sprint(container["image"])
}

// What controllers say that they could not make.
func (plane *controlPlane) failures(namespace string) string {
	events, err := plane.list("/api/v1/namespaces/" + namespace + "/events?fieldSelector=type%3DWarning")
	if err != nil {
		return err.Error()
	}
	said := []string{}
	for _, event := range events {
		message, _, _ := unstructured.NestedString(event.Object, "message")
		said = append(said, message)
	}
	slices.Sort(said)
	return strings.Join(slices.Compact(said), "; ")
}

// upgrade applies another tag: the Deployment and the CronJobs change by one generation, a Job is
// made anew, and everything else is as it was.
func (deployed deployment) upgrade(t *testing.T, plane *controlPlane) {
	t.Helper()
	old, objects := deployed.objects(t, "0.1.0"), deployed.objects(t, "0.2.0")
	if deployed.deletedFirst != "" {
		deployed.remove(t, plane, old[deployed.deletedFirst])
		delete(old, deployed.deletedFirst)
	}
	kinds := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		object := objects[name]
		if old[name] != nil && reflect.DeepEqual(old[name].Object, object.Object) {
			deployed.staysAsItIs(t, plane, object)
			continue
		}
		if object.GetKind() == "ConfigMap" && old[name] == nil && strings.HasPrefix(object.GetName(), "migrate-") {
			// The sum in the migrating Job's name; a map has no generation.
			if _, err := plane.apply(object); err != nil {
				plane.wrong(t, "%s: %s of the new tag is refused: %v", deployed.name, name, err)
			}
			continue
		}
		kinds[object.GetKind()]++
		deployed.moves(t, plane, object, old[name] == nil)
	}
	if kinds["Deployment"] != 1 || kinds["CronJob"] < 2 || kinds["Job"] < 1 || len(kinds) != 3 {
		plane.wrong(t, "%s: another tag changes %v", deployed.name, kinds)
	}
	deployed.said(t, "tag 0.2.0 is taken, and changes %s", counted(kinds))
	deployed.makesPods(t, plane, objects)
}

func (deployed deployment) remove(t *testing.T, plane *controlPlane, object *unstructured.Unstructured) {
	t.Helper()
	if err := plane.remove(object); err != nil {
		t.Fatalf("%s: %s cannot be deleted: %v", deployed.name, called(object), err)
	}
	plane.until(t, called(object)+" is deleted", func() error {
		if _, err := plane.get(object); !isMissing(err) {
			return errors.New("it is still there")
		}
		return nil
	})
}

func (deployed deployment) moves(t *testing.T, plane *controlPlane, object *unstructured.Unstructured, isNew bool) {
	t.Helper()
	generation := int64(0)
	before, err := plane.get(object)
	if err == nil {
		generation = before.GetGeneration()
	}
	if isNew != isMissing(err) || (err != nil && !isNew) {
		plane.wrong(t, "%s: %s was there before the upgrade: %t (%v)", deployed.name, called(object), err == nil, err)
	}
	after, err := plane.apply(object)
	if err != nil {
		plane.wrong(t, "%s: %s of the new tag is refused: %v", deployed.name, called(object), err)
	} else if after.GetGeneration() != generation+1 {
		plane.wrong(t, "%s: %s went from generation %d to %d", deployed.name, called(object), generation, after.GetGeneration())
	}
}

func counted(kinds map[string]int) string {
	words := []string{}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		words = append(words, fmt.Sprintf("%d %s", kinds[kind], kind))
	}
	return strings.Join(words, ", ")
}

// makesJobs gives each CronJob the schedule of every minute, and waits for its Job and that Job's
// pod.
func (deployed deployment) makesJobs(t *testing.T, plane *controlPlane) {
	t.Helper()
	objects := deployed.objects(t, "0.2.0")
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		object := objects[name]
		if object.GetKind() != "CronJob" {
			continue
		}
		if err := unstructured.SetNestedField(object.Object, "* * * * *", "spec", "schedule"); err != nil {
			t.Fatal(err)
		}
		if _, err := plane.apply(object); err != nil {
			t.Fatalf("%s: %s of every minute is refused: %v", deployed.name, name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if object := objects[name]; object.GetKind() == "CronJob" {
			plane.until(t, deployed.name+": a Job with its pod of "+name, func() error {
				return plane.hasMade(deployed.namespace, object.GetName())
			})
			deployed.said(t, "%s has made a Job, and that its pod", name)
		}
	}
}

// An error unless there is a pod of a Job of the CronJob.
func (plane *controlPlane) hasMade(namespace, cronJob string) error {
	jobs, err := plane.list("/apis/batch/v1/namespaces/" + namespace + "/jobs")
	if err != nil {
		return err
	}
	for _, job := range jobs {
		if !isOwned(job, "CronJob", cronJob) {
			continue
		}
		pods, err := plane.list("/api/v1/namespaces/" + namespace + "/pods")
		if err != nil {
			return err
		}
		if slices.ContainsFunc(pods, func(pod unstructured.Unstructured) bool { return isOwned(pod, "Job", job.GetName()) }) {
			return nil
		}
	}
	return errors.New("there is none: " + plane.failures(namespace))
}

func isOwned(object unstructured.Unstructured, kind, name string) bool {
	for _, owner := range object.GetOwnerReferences() {
		if owner.Kind == kind && owner.Name == name {
			return true
		}
	}
	return false
}
