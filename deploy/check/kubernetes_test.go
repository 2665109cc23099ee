package check

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// The longest time that speed-layer takes to write what it has decoded (DRAIN_TIMEOUT), and some more.
const flushSeconds = 10

func forEachOverlay(t *testing.T, check func(t *testing.T, objects []runtime.Object)) {
	for _, overlay := range []string{"../kubernetes/base", "../kubernetes/overlays/dev", "../kubernetes/overlays/prod"} {
		t.Run(overlay, func(t *testing.T) {
			objects, err := Build(overlay)
			if err != nil {
				t.Fatal(err)
			}
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
	if spec.PodFailurePolicy == nil || spec.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("Job %s is tried again after a configuration error", name)
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
				for key := range config.Data {
					upper := strings.ToUpper(key)
					if strings.Contains(upper, "PASSWORD") || strings.Contains(upper, "SECRET") || key == "DATABASE_URL" {
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
			if !ok || policy.Name != "deny-all" {
				continue
			}
			denies := len(policy.Spec.Ingress) == 0 && len(policy.Spec.Egress) == 0 && len(policy.Spec.PolicyTypes) == 2
			if selector := policy.Spec.PodSelector.MatchLabels; !denies || len(selector) != 1 || selector["app.kubernetes.io/part-of"] == "" {
				t.Errorf("deny-all is %+v", policy.Spec)
			}
			return
		}
		t.Error("there is no policy deny-all")
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

func containers(pod Pod) []corev1.Container {
	return append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...)
}

func hasPort(container corev1.Container, name string) bool {
	return slices.ContainsFunc(container.Ports, func(port corev1.ContainerPort) bool { return port.Name == name })
}

func isTrue(value *bool) bool  { return value != nil && *value }
func isFalse(value *bool) bool { return value != nil && !*value }
