package check

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	securityapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// The longest time that speed-layer takes to write what it has decoded (DRAIN_TIMEOUT), and some
// more.
const flushSeconds = 10

// Copies what kustomize reads, and gives prod its addresses as its head says. The copy's
// `deploy/kubernetes`.
func prepared(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, folder := range []string{"deploy/kubernetes", "grafana"} {
		if err := os.CopyFS(filepath.Join(root, folder), os.DirFS(filepath.Join("../..", folder))); err != nil {
			t.Fatal(err)
		}
	}
	prod := filepath.Join(root, "deploy/kubernetes/overlays/prod")
	for _, name := range []string{"speed-layer.env", "batch-layer.env"} {
		text, err := os.ReadFile(filepath.Join(prod, name+".example"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(prod, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, "deploy/kubernetes")
}

func overlay(t *testing.T, name string) []runtime.Object {
	t.Helper()
	objects, err := Build(filepath.Join(prepared(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// Each overlay, and the chart with the values of each and with everything on.
func forEachOverlay(t *testing.T, check func(t *testing.T, objects []runtime.Object)) {
	for name, build := range map[string]func(t *testing.T) []runtime.Object{
		"base":               func(t *testing.T) []runtime.Object { return overlay(t, "base") },
		"overlays dev":       func(t *testing.T) []runtime.Object { return overlay(t, "overlays/dev") },
		"overlays prod":      func(t *testing.T) []runtime.Object { return overlay(t, "overlays/prod") },
		"chart, as dev":      func(t *testing.T) []runtime.Object { return chartObjects(t, "dev") },
		"chart, as prod":     func(t *testing.T) []runtime.Object { return chartObjects(t, "prod") },
		"chart, all that is": func(t *testing.T) []runtime.Object { return chartObjects(t, "all") },
	} {
		t.Run(name, func(t *testing.T) {
			objects := build(t)
			if len(Pods(objects)) != 4 {
				t.Fatalf("expected speed-layer, batch-layer, batch-verify and migrate, found %d workloads", len(Pods(objects)))
			}
			check(t, objects)
		})
	}
}

func TestAFieldThatItsTypeDoesNotHaveIsAnError(t *testing.T) {
	for _, manifest := range []string{
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replica: 2}\n",
		"apiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\nmetadata: {name: x}\nspec: {podMetricEndpoints: []}\n",
		"apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: x}\nspec: {minReplica: 2}\n",
		"apiVersion: example.com/v1\nkind: Unknown\nmetadata: {name: x}\n",
	} {
		if object, err := Decode([]byte(manifest)); err == nil {
			t.Errorf("was taken for a %T: %s", object, manifest)
		}
	}
}

func TestPodsHaveNoPrivilegeAndNoToken(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, pod := range Pods(objects) {
			context := pod.Spec.SecurityContext
			if context == nil || !isTrue(context.RunAsNonRoot) || context.RunAsUser == nil || *context.RunAsUser == 0 {
				t.Errorf("%s may run as root", pod.Workload)
			}
			if context == nil || context.SeccompProfile == nil || context.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s has no seccomp profile", pod.Workload)
			}
			if pod.Spec.HostNetwork || pod.Spec.HostPID || pod.Spec.HostIPC {
				t.Errorf("%s shares the host's namespaces", pod.Workload)
			}
			if !isFalse(pod.Spec.AutomountServiceAccountToken) || pod.Spec.ServiceAccountName == "" {
				t.Errorf("%s gets a token, or the default account", pod.Workload)
			}
			for _, volume := range pod.Spec.Volumes {
				if volume.HostPath != nil {
					t.Errorf("%s mounts %s of the host", pod.Workload, volume.HostPath.Path)
				}
			}
			for _, container := range containers(pod) {
				checkConfined(t, pod.Workload, container)
			}
		}
	})
}

func checkConfined(t *testing.T, workload string, container corev1.Container) {
	context := container.SecurityContext
	if context == nil {
		t.Errorf("%s: container %s has no security context", workload, container.Name)
		return
	}
	if isTrue(context.Privileged) || !isFalse(context.AllowPrivilegeEscalation) {
		t.Errorf("%s: container %s may gain privileges", workload, container.Name)
	}
	if !isTrue(context.ReadOnlyRootFilesystem) {
		t.Errorf("%s: container %s can write to its root file system", workload, container.Name)
	}
	dropped := context.Capabilities
	if dropped == nil || !slices.Contains(dropped.Drop, "ALL") || len(dropped.Add) > 0 {
		t.Errorf("%s: container %s keeps capabilities", workload, container.Name)
	}
}

func TestWhoeverReadsTheLakeHasRoomForAnObject(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, pod := range Pods(objects) {
			if strings.HasPrefix(pod.Workload, "CronJob ") {
				checkTemporary(t, pod.Workload, pod.Spec)
			}
		}
	})
}

// The root file system is read-only, and an object of the lake lies in /tmp while it is read.
func checkTemporary(t *testing.T, workload string, pod corev1.PodSpec) {
	t.Helper()
	for _, mount := range pod.Containers[0].VolumeMounts {
		for _, volume := range pod.Volumes {
			if mount.MountPath == "/tmp" && !mount.ReadOnly && volume.Name == mount.Name && volume.EmptyDir != nil {
				return
			}
		}
	}
	t.Errorf("%s: nothing can be written to /tmp", workload)
}

func TestContainersHaveRequestsAndLimits(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, pod := range Pods(objects) {
			for _, container := range containers(pod) {
				for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
					request, limit := container.Resources.Requests[name], container.Resources.Limits[name]
					if request.IsZero() || limit.IsZero() || request.Cmp(limit) > 0 {
						t.Errorf("%s: %s of %s: request %s, limit %s", pod.Workload, name, container.Name, request.String(), limit.String())
					}
				}
			}
		}
	})
}

func TestImagesOfAnOverlayHaveAFixedVersion(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		if strings.HasSuffix(t.Name(), "base") {
			return // the overlay decides
		}
		for _, pod := range Pods(objects) {
			for _, container := range containers(pod) {
				name := container.Image[strings.LastIndex(container.Image, "/")+1:]
				_, version, found := strings.Cut(name, ":")
				if !found || version == "latest" {
					t.Errorf("%s: image %s has no version", pod.Workload, container.Image)
				}
			}
		}
	})
}

func TestWhatServesHasProbesAndTimeToFlush(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, pod := range Pods(objects) {
			if !pod.Serves {
				continue
			}
			grace := pod.Spec.TerminationGracePeriodSeconds
			if grace == nil || *grace <= flushSeconds {
				t.Errorf("%s is killed before it has flushed", pod.Workload)
			}
			for _, container := range pod.Spec.Containers {
				for kind, probe := range map[string]*corev1.Probe{
					"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe,
				} {
					if probe == nil || probe.HTTPGet == nil {
						t.Errorf("%s: container %s has no %s probe", pod.Workload, container.Name, kind)
					} else if !hasPort(container, probe.HTTPGet.Port.StrVal) {
						t.Errorf("%s: the %s probe asks port %s, which is not declared", pod.Workload, kind, probe.HTTPGet.Port.StrVal)
					}
				}
			}
		}
	})
}

func TestJobsEndAndDoNotPileUp(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, object := range objects {
			switch workload := object.(type) {
			case *batchv1.CronJob:
				spec := workload.Spec
				if spec.ConcurrencyPolicy != batchv1.ForbidConcurrent || spec.StartingDeadlineSeconds == nil ||
					spec.SuccessfulJobsHistoryLimit == nil || spec.FailedJobsHistoryLimit == nil {
					t.Errorf("CronJob %s may overlap, start late or leave all of its Jobs", workload.Name)
				}
				checkJob(t, workload.Name, spec.JobTemplate.Spec)
				if limit := spec.JobTemplate.Spec.ActiveDeadlineSeconds; workload.Name == "batch-layer" && *limit > 1800 {
					t.Errorf("a pod of batch-layer that cannot start holds up its schedule for %d s", *limit)
				}
			case *batchv1.Job:
				checkJob(t, workload.Name, workload.Spec)
			}
		}
	})
}

func checkJob(t *testing.T, name string, spec batchv1.JobSpec) {
	if spec.BackoffLimit == nil || spec.ActiveDeadlineSeconds == nil {
		t.Errorf("Job %s may run or be tried for ever", name)
	}
	if spec.TTLSecondsAfterFinished != nil {
		t.Errorf("Job %s vanishes after a while, and would be made anew by each apply", name)
	}
	if spec.PodFailurePolicy == nil || spec.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("Job %s is tried again after a configuration error", name)
		return
	}
	first := spec.PodFailurePolicy.Rules[0]
	if first.Action != batchv1.PodFailurePolicyActionIgnore || len(first.OnPodConditions) != 1 || first.OnPodConditions[0].Type != corev1.DisruptionTarget {
		t.Errorf("Job %s: a pod that is evicted counts as a failure", name)
	}
}

func TestSecretsComeFromFilesAndConfigurationHoldsNone(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, pod := range Pods(objects) {
			for _, container := range containers(pod) {
				for _, variable := range container.Env {
					if variable.Name == "DATABASE_URL" || (variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef != nil) {
						t.Errorf("%s: %s stands in the environment", pod.Workload, variable.Name)
					}
				}
			}
		}
		for _, object := range objects {
			if config, ok := object.(*corev1.ConfigMap); ok {
				for key, value := range config.Data {
					upper := strings.ToUpper(key)
					isFile := strings.HasSuffix(upper, "_FILE")
					isSecret := regexp.MustCompile(`PASSWORD|SECRET|TOKEN|HEADERS|^DATABASE_URL$|^SPARK_URL$`).MatchString(upper)
					if isSecret && !isFile || regexp.MustCompile(`^\w+://[^/\s]*@`).MatchString(value) {
						t.Errorf("ConfigMap %s holds %s", config.Name, key)
					}
				}
			}
		}
	})
}

func TestNothingMayReachAPodUnlessAPolicySaysSo(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, object := range objects {
			policy, ok := object.(*networkingv1.NetworkPolicy)
			if !ok || policy.Name != "stock-lambda-deny-all" {
				continue
			}
			denies := len(policy.Spec.Ingress) == 0 && len(policy.Spec.Egress) == 0 && len(policy.Spec.PolicyTypes) == 2
			if selector := policy.Spec.PodSelector.MatchLabels; !denies || len(selector) != 1 || selector["app.kubernetes.io/part-of"] == "" {
				t.Errorf("stock-lambda-deny-all is %+v", policy.Spec)
			}
			return
		}
		t.Error("there is no policy stock-lambda-deny-all")
	})
}

func TestSelectorsFindTheirPods(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		var podLabels []labels.Set
		for _, object := range objects {
			switch workload := object.(type) {
			case *appsv1.Deployment:
				podLabels = append(podLabels, workload.Spec.Template.Labels)
			case *batchv1.CronJob:
				podLabels = append(podLabels, workload.Spec.JobTemplate.Spec.Template.Labels)
			case *batchv1.Job:
				podLabels = append(podLabels, workload.Spec.Template.Labels)
			}
		}
		for _, object := range objects {
			name, selector := selectorOf(object)
			if selector == nil {
				continue
			}
			parsed, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(podLabels, func(set labels.Set) bool { return parsed.Matches(set) }) {
				t.Errorf("%s selects no pod", name)
			}
		}
	})
}

func selectorOf(object runtime.Object) (string, *metav1.LabelSelector) {
	switch object := object.(type) {
	case *appsv1.Deployment:
		return "Deployment " + object.Name, object.Spec.Selector
	case *policyv1.PodDisruptionBudget:
		return "PodDisruptionBudget " + object.Name, object.Spec.Selector
	case *networkingv1.NetworkPolicy:
		return "NetworkPolicy " + object.Name, &object.Spec.PodSelector
	}
	return "", nil
}

// The admission of the namespaces itself.
func TestPodSecurityRestrictedAdmitsEveryPod(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := securityapi.LevelVersion{Level: securityapi.LevelRestricted, Version: securityapi.LatestVersion()}
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, pod := range Pods(objects) {
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &metav1.ObjectMeta{}, &pod.Spec))
			if !result.Allowed {
				t.Errorf("%s: %s", pod.Workload, result.ForbiddenDetail())
			}
		}
	})
}

func TestARolloutSpreadsItsOwnPods(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, object := range objects {
			deployment, ok := object.(*appsv1.Deployment)
			if !ok {
				continue
			}
			if deployment.Spec.Strategy.Type == "" {
				t.Errorf("%s: a strategy without its type is another one at each apply", deployment.Name)
			}
			for _, constraint := range deployment.Spec.Template.Spec.TopologySpreadConstraints {
				if !slices.Contains(constraint.MatchLabelKeys, "pod-template-hash") {
					t.Errorf("%s: the pods of the old ReplicaSet count over %s", deployment.Name, constraint.TopologyKey)
				}
			}
		}
	})
}

func TestObjectsAreTheProjectsByNameOrLabel(t *testing.T) {
	forEachOverlay(t, func(t *testing.T, objects []runtime.Object) {
		for _, object := range objects {
			meta := object.(metav1.Object)
			if _, ok := object.(*corev1.Namespace); !ok && meta.GetLabels()["app.kubernetes.io/part-of"] != "stock-lambda" {
				t.Errorf("%T %s has no label part-of", object, meta.GetName())
			}
			if policy, ok := object.(*networkingv1.NetworkPolicy); ok && slices.Contains([]string{"deny-all", "names"}, policy.Name) {
				t.Errorf("NetworkPolicy %s: others use that name too", policy.Name)
			}
			if monitor, ok := object.(*monitoringv1.PodMonitor); ok && monitor.Spec.JobLabel != "app.kubernetes.io/name" {
				t.Errorf("PodMonitor %s: the alerts ask for job=\"speed-layer\"", monitor.Name)
			}
		}
	})
}

func TestARequiredAuthorityIsWaitedForInProd(t *testing.T) {
	for _, objects := range [][]runtime.Object{overlay(t, "overlays/prod"), chartObjects(t, "prod")} {
		for _, pod := range Pods(objects) {
			for _, volume := range pod.Spec.Volumes {
				if volume.ConfigMap != nil && isTrue(volume.ConfigMap.Optional) {
					t.Errorf("%s starts without %s", pod.Workload, volume.ConfigMap.Name)
				}
			}
		}
	}
}

func TestProdIsNotBuiltWithoutAddresses(t *testing.T) {
	prod := filepath.Join(prepared(t), "overlays/prod")
	if err := os.Remove(filepath.Join(prod, "speed-layer.env")); err != nil {
		t.Fatal(err)
	}
	_, err := Build(prod)
	if err == nil || !strings.Contains(err.Error(), "speed-layer.env") {
		t.Errorf("the error names no file: %v", err)
	}
}

func TestProdLeavesTheNamespaceToWhoeverMadeIt(t *testing.T) {
	for _, object := range overlay(t, "overlays/prod") {
		if _, ok := object.(*corev1.Namespace); ok {
			t.Error("`kubectl delete -k` would take the Secrets along")
		}
	}
}

// Whatever an image is called: a server copies a Job's name into a label, which has 63 letters at
// most.
func TestEachReleaseHasAJobOfItsOwn(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, name := range []string{"dev", "prod"} {
		found := map[string]string{}
		for _, image := range []string{
			"newTag: 0.1.0", "newTag: 0.2.0", "newTag: 1.0.0_RC1", `newTag: "1"`, `digest: "` + digest + `"`,
			`newTag: 0.1.0, digest: "` + digest + `"`, `digest: "` + strings.Replace(digest, "0123", "4567", 1) + `"`,
			`newName: "registry.invalid:5000/stock-lambda/batch-layer", newTag: 0.1.0`,
			"newTag: 0.1.0-" + strings.Repeat("x", 120),
		} {
			job := migrationOf(t, name, image)
			if wrong := validation.IsDNS1123Label(job.Name); len(wrong) > 0 {
				t.Errorf("%s with %s: %s: %v", name, image, job.Name, wrong)
			}
			if other := found[job.Name]; other != "" {
				t.Errorf("%s: %s is the Job of %s and of %s", name, job.Name, other, image)
			}
			found[job.Name] = image
		}
		if again := migrationOf(t, name, "newTag: 0.1.0"); found[again.Name] != "newTag: 0.1.0" {
			t.Errorf("%s: the same tag is another Job, %s", name, again.Name)
		}
	}
}

// The migrating Job of an overlay whose image of batch-layer has another name, tag or digest.
func migrationOf(t *testing.T, name, image string) *batchv1.Job {
	t.Helper()
	folder := filepath.Join(prepared(t), "overlays", name)
	file := filepath.Join(folder, "kustomization.yaml")
	line := regexp.MustCompile(`(?m)^  - \{ name: stock-lambda/batch-layer, .*\}$`)
	text := textOf(t, file)
	if !line.MatchString(text) {
		t.Fatal("the overlay names no image of batch-layer")
	}
	text = strings.Replace(text, "  - ../../components/dashboards\n", "", 1) // the slow part, and none of a Job's
	text = line.ReplaceAllLiteralString(text, "  - { name: stock-lambda/batch-layer, "+image+" }")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := Build(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		if job, ok := object.(*batchv1.Job); ok {
			return job
		}
	}
	t.Fatal("the overlay has no Job")
	return nil
}

func TestKedaAsksForWhatTheSpeedLayerReads(t *testing.T) {
	for _, objects := range [][]runtime.Object{overlay(t, "overlays/prod"), chartObjects(t, "prod")} {
		settings, trigger := map[string]string{}, map[string]string{}
		for _, object := range objects {
			switch object := object.(type) {
			case *corev1.ConfigMap:
				if strings.HasPrefix(object.Name, "speed-layer") {
					settings = object.Data
				}
			case *kedav1alpha1.ScaledObject:
				trigger = object.Spec.Triggers[0].Metadata
			}
		}
		for key, variable := range map[string]string{
			"bootstrapServers": "KAFKA_BROKERS", "topic": "KAFKA_TOPIC", "consumerGroup": "KAFKA_GROUP_ID",
		} {
			if trigger[key] == "" || trigger[key] != settings[variable] {
				t.Errorf("KEDA: %s is %q, the speed layer's %s is %q", key, trigger[key], variable, settings[variable])
			}
		}
	}
}

// What stands at the end of overlays/prod to be switched on can be: without the # it builds, and
// does what it says.
func TestThePatchesOfProdThatOneMaySwitchOnDoWhatTheySay(t *testing.T) {
	folder := filepath.Join(prepared(t), "overlays/prod")
	file := filepath.Join(folder, "kustomization.yaml")
	text := textOf(t, file)
	_, after, found := strings.Cut(text, "\n#BEGIN\n")
	commented, _, ends := strings.Cut(after, "\n#END\n")
	if !found || !ends {
		t.Fatal("overlays/prod has none")
	}
	patches := ""
	for _, line := range strings.Split(commented, "\n") {
		if !strings.HasPrefix(line, "#") {
			t.Fatalf("%q is on already", line)
		}
		patches += line[1:] + "\n"
	}
	with := strings.Replace(text, "\nreplacements:\n", "\n"+patches+"\nreplacements:\n", 1)
	if err := os.WriteFile(file, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := Build(folder)
	if err != nil {
		t.Fatal(err)
	}
	policies := checkRules(t, objects)
	for name, ports := range map[string][]int{
		"speed-layer": {5432, 6432, 9094, 9096, 9098}, "batch-layer": {80, 6432}, "batch-verify": {80, 6432, 9098}, "migrate": {6432}, "stock-lambda-names": {53, 5353},
	} {
		open := []int{}
		for _, rule := range policies[name].Spec.Egress {
			for _, port := range rule.Ports {
				open = append(open, port.Port.IntValue())
			}
		}
		for _, port := range ports {
			if !slices.Contains(open, port) {
				t.Errorf("%s lets out to %v, and not to %d", name, open, port)
			}
		}
	}
	accounts := 0
	for _, object := range objects {
		switch object := object.(type) {
		case *appsv1.Deployment:
			if object.Spec.MinReadySeconds != 30 || object.Spec.Template.Spec.PriorityClassName == "" {
				t.Errorf("%s: %+v", object.Name, object.Spec)
			}
		case *batchv1.CronJob:
			if object.Spec.JobTemplate.Spec.Template.Spec.PriorityClassName == "" {
				t.Errorf("%s has no class", object.Name)
			}
		case *corev1.ServiceAccount:
			if accounts++; len(object.ImagePullSecrets) != 1 {
				t.Errorf("%s has no login of the registry", object.Name)
			}
		}
	}
	if accounts != 3 {
		t.Errorf("%d accounts", accounts)
	}
}

// `UPDATE=1 go test -run PrometheusRules` writes the file anew.
func TestPrometheusRulesAreThoseOfPrometheus(t *testing.T) {
	const file = "../kubernetes/components/alerts/prometheus-rules.yaml"
	wanted := "# Generated from prometheus/rules by `UPDATE=1 go test -run PrometheusRules` in deploy/check.\n"
	for _, name := range ruleFiles {
		text, err := os.ReadFile("../../prometheus/rules/" + name + ".rules.yml")
		if err != nil {
			t.Fatal(err)
		}
		var groups map[string]any
		if err := yaml.UnmarshalStrict(text, &groups); err != nil {
			t.Fatal(err)
		}
		labels := map[string]string{"app.kubernetes.io/part-of": "stock-lambda", "app.kubernetes.io/name": name}
		rule, err := yaml.Marshal(map[string]any{
			"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "spec": groups,
			"metadata": map[string]any{"name": "stock-lambda-" + name, "labels": labels},
		})
		if err != nil {
			t.Fatal(err)
		}
		wanted += "---\n" + string(rule)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(wanted), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := os.ReadFile(file)
	if err != nil || string(found) != wanted {
		t.Errorf("%s is not what prometheus/rules says (%v): UPDATE=1 go test -run PrometheusRules", file, err)
	}
}

// An alert of Prometheus or Grafana, as far as its runbook is concerned.
type alert struct {
	Alert, Title string
	Annotations  map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	found := []alert{}
	for _, file := range []string{
		"prometheus/rules/archive-sink.rules.yml", "prometheus/rules/batch-layer-kubernetes.rules.yml", "prometheus/rules/speed-layer.rules.yml",
		"grafana/provisioning/alerting/batch-layer.json",
	} {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		var content struct{ Groups []struct{ Rules []alert } }
		if err := yaml.Unmarshal(text, &content); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, group := range content.Groups {
			found = append(found, group.Rules...)
		}
	}
	return slices.DeleteFunc(found, func(rule alert) bool { return rule.Alert+rule.Title == "" }) // recorded series
}

func TestEveryAlertLeadsToItsSectionOfTheRunbooks(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, sections, _ := strings.Cut(string(text), "\n## Runbooks\n")
	all := alerts(t)
	if len(all) < 20 {
		t.Fatalf("only %d alerts were found", len(all))
	}
	for _, rule := range all {
		name := rule.Alert + rule.Title
		// A house that has put its address there has links (docs/dashboards.md, "Alerts").
		path, url := rule.Annotations["runbook"], rule.Annotations["runbook_url"]
		section := "docs/operations.md#" + strings.ToLower(name)
		if path != section && !(strings.HasPrefix(url, "https://") && strings.HasSuffix(url, "/"+section)) {
			t.Errorf("%s: runbook %q, runbook_url %q", name, path, url)
		}
		if !strings.Contains(sections, "\n### "+name+"\n") {
			t.Errorf("docs/operations.md has no section %s", name)
		}
	}
}

func containers(pod Pod) []corev1.Container {
	return append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...)
}

func hasPort(container corev1.Container, name string) bool {
	return slices.ContainsFunc(container.Ports, func(port corev1.ContainerPort) bool { return port.Name == name })
}

func isTrue(value *bool) bool  { return value != nil && *value }
func isFalse(value *bool) bool { return value != nil && !*value }
