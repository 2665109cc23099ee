// Package check holds deploy/kubernetes and docker-compose.yml against the types and rules that
// they must keep.
// It is a module of its own, so that nothing of it can end in what is deployed. Run it by `cargo
// xtask manifests`.
package check

import (
	"bytes"
	"fmt"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Kustomized gives what `kustomize build` of an overlay prints, a manifest each.
func Kustomized(overlay string) ([][]byte, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		return nil, err
	}
	manifests := [][]byte{}
	for _, resource := range resources.Resources() {
		manifest, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		manifests = append(manifests, manifest)
	}
	return manifests, nil
}

// Build decodes what Kustomized gives. A field that its type does not have is an error, and so is
// an object of a type that is not known here.
func Build(overlay string) ([]runtime.Object, error) {
	manifests, err := Kustomized(overlay)
	if err != nil {
		return nil, err
	}
	return decodeAll(manifests)
}

func decodeAll(manifests [][]byte) ([]runtime.Object, error) {
	objects := []runtime.Object{}
	for _, manifest := range manifests {
		object, err := Decode(manifest)
		if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, manifest)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// Decode reads one manifest strictly.
func Decode(manifest []byte) (runtime.Object, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		addExternalSecrets, appsv1.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
		monitoringv1.AddToScheme, kedav1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	object, _, err := strict.Decode(bytes.TrimSpace(manifest), nil, nil)
	return object, err
}

// Pod is a pod as some workload makes it.
type Pod struct {
	Workload string
	Spec     corev1.PodSpec
	// Whether it is meant to run until somebody stops it.
	Serves bool
}

// Pods gives the pod of each workload among the objects.
func Pods(objects []runtime.Object) []Pod {
	var pods []Pod
	for _, object := range objects {
		switch workload := object.(type) {
		case *appsv1.Deployment:
			pods = append(pods, Pod{"Deployment " + workload.Name, workload.Spec.Template.Spec, true})
		case *batchv1.CronJob:
			pods = append(pods, Pod{"CronJob " + workload.Name, workload.Spec.JobTemplate.Spec.Template.Spec, false})
		case *batchv1.Job:
			pods = append(pods, Pod{"Job " + workload.Name, workload.Spec.Template.Spec, false})
		}
	}
	return pods
}

// What the chart says to the External Secrets Operator (external-secrets.io/v1), written down here
// by hand and not the operator's own type: it finds a misspelt field of ours, but not one that the
// operator would refuse.
type externalSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		RefreshInterval string `json:"refreshInterval"`
		SecretStoreRef  struct {
			Name string `json:"name"`
			Kind string `json:"kind"`
		} `json:"secretStoreRef"`
		Target struct {
			Name           string `json:"name"`
			CreationPolicy string `json:"creationPolicy"`
		} `json:"target"`
		DataFrom []struct {
			Extract struct {
				Key string `json:"key"`
			} `json:"extract"`
		} `json:"dataFrom"`
	} `json:"spec"`
}

func (secret *externalSecret) DeepCopyObject() runtime.Object {
	same := *secret
	return &same
}

func addExternalSecrets(scheme *runtime.Scheme) error {
	version := schema.GroupVersion{Group: "external-secrets.io", Version: "v1"}
	scheme.AddKnownTypeWithName(version.WithKind("ExternalSecret"), &externalSecret{})
	return nil
}
