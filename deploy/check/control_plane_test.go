package check

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// controlPlane is etcd, an API server and its controllers on loopback, all of it in one temporary
// folder. Nothing runs pods: they stay as the controllers have made them.
type controlPlane struct {
	// Done once somebody wants this to end.
	context context.Context
	program string
	folder  string
	// Of whoever may do everything.
	token     string
	address   string
	client    *http.Client
	processes []*process
	resources map[schema.GroupVersionKind]metav1.APIResource
}

type process struct {
	name  string
	log   string
	pid   int
	stdin io.Closer
	ended chan error
}

// startControlPlane waits until the API server answers. All of it is ended with the test.
func startControlPlane(ctx context.Context, t *testing.T, program string) *controlPlane {
	t.Helper()
	plane := &controlPlane{
		context: ctx, program: program, folder: t.TempDir(), token: randomWord(t),
		resources: map[schema.GroupVersionKind]metav1.APIResource{},
	}
	t.Cleanup(plane.stop)
	plane.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: plane.writeCertificates(t)},
	}}
	etcd, peer, port := freePort(t), freePort(t), freePort(t)
	plane.address = fmt.Sprintf("https://127.0.0.1:%d", port)
	plane.write(t, "tokens.csv", plane.token+`,check,check,"system:masters"`+"\n")
	plane.write(t, "kubeconfig", plane.kubeconfig())
	plane.startEtcd(t, etcd, peer)
	plane.startServer(t, etcd, port)
	plane.until(t, "kube-apiserver is ready", func() error {
		_, _, err := plane.ask(http.MethodGet, "/readyz", "", nil)
		return err
	})
	plane.start(t, "kube-controller-manager",
		"--kubeconfig="+plane.path("kubeconfig"), "--leader-elect=false", "--secure-port=0",
		"--service-account-private-key-file="+plane.path("key.pem"), "--root-ca-file="+plane.path("ca.pem"))
	return plane
}

func (plane *controlPlane) startEtcd(t *testing.T, port, peer int) {
	client, other := fmt.Sprintf("https://127.0.0.1:%d", port), fmt.Sprintf("https://127.0.0.1:%d", peer)
	plane.start(t, "etcd",
		"--data-dir="+plane.path("etcd"), "--name=check", "--unsafe-no-fsync",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+other, "--initial-advertise-peer-urls="+other, "--initial-cluster=check="+other,
		"--client-cert-auth", "--trusted-ca-file="+plane.path("ca.pem"),
		"--cert-file="+plane.path("cert.pem"), "--key-file="+plane.path("key.pem"),
		"--peer-client-cert-auth", "--peer-trusted-ca-file="+plane.path("ca.pem"),
		"--peer-cert-file="+plane.path("cert.pem"), "--peer-key-file="+plane.path("key.pem"))
	plane.until(t, "etcd listens", func() error {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			err = connection.Close()
		}
		return err
	})
}

func (plane *controlPlane) startServer(t *testing.T, etcd, port int) {
	plane.start(t, "kube-apiserver",
		fmt.Sprintf("--etcd-servers=https://127.0.0.1:%d", etcd), "--etcd-cafile="+plane.path("ca.pem"),
		"--etcd-certfile="+plane.path("cert.pem"), "--etcd-keyfile="+plane.path("key.pem"),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24",
		"--tls-cert-file="+plane.path("cert.pem"), "--tls-private-key-file="+plane.path("key.pem"),
		"--authorization-mode=RBAC", "--token-auth-file="+plane.path("tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+plane.path("key.pem"), "--service-account-signing-key-file="+plane.path("key.pem"))
}

func (plane *controlPlane) path(name string) string { return filepath.Join(plane.folder, name) }

func (plane *controlPlane) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(plane.path(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (plane *controlPlane) start(t *testing.T, name string, arguments ...string) {
	t.Helper()
	file, err := os.Create(plane.path(name + ".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	command := exec.Command(plane.program, append([]string{name}, arguments...)...)
	command.Dir, command.Stdout, command.Stderr = plane.folder, file, file
	// A group of its own: Ctrl-C on the terminal ends this test, and the test ends them, one after the
	// other.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	started := &process{name: name, log: file.Name(), pid: command.Process.Pid, stdin: stdin, ended: make(chan error, 1)}
	go func() { started.ended <- command.Wait() }()
	plane.processes = append(plane.processes, started)
}

// The last one started ends first.
func (plane *controlPlane) stop() {
	for index := len(plane.processes) - 1; index >= 0; index-- {
		process := plane.processes[index]
		_ = syscall.Kill(process.pid, syscall.SIGTERM)
		select {
		case <-process.ended:
		case <-time.After(15 * time.Second):
			_ = process.stdin.Close() // what ends it at once
			<-process.ended
		}
	}
}

// until asks again and again, for a minute and a half at most: a CronJob has its whole minute. A
// process that has ended ends the test.
func (plane *controlPlane) until(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.After(90 * time.Second)
	for {
		err := holds()
		if err == nil {
			return
		}
		for _, process := range plane.processes {
			select {
			case ended := <-process.ended:
				process.ended <- ended
				t.Fatalf("%s has ended (%v): %s", process.name, ended, lastLines(process.log))
			default:
			}
		}
		select {
		case <-plane.context.Done():
			t.Fatal("interrupted")
		case <-deadline:
			t.Fatalf("not within 90 s: %s: %v", what, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// wrong notes what is wrong, unless it is so because somebody wants this to end.
func (plane *controlPlane) wrong(t *testing.T, format string, values ...any) {
	t.Helper()
	if plane.context.Err() != nil {
		t.Fatal("interrupted")
	}
	t.Errorf(format, values...)
}

func lastLines(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// ask gives the body of an answer and its warnings. An answer that is no success is an error with
// the server's words.
func (plane *controlPlane) ask(method, path, contentType string, body []byte) ([]byte, []string, error) {
	request, err := http.NewRequestWithContext(plane.context, method, plane.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+plane.token)
	request.Header.Set("Content-Type", contentType)
	answer, err := plane.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, nil, err
	}
	if answer.StatusCode >= 300 {
		var status metav1.Status
		if json.Unmarshal(content, &status) != nil || status.Message == "" {
			status.Message = answer.Status + ": " + string(content)
		}
		return nil, nil, &refusal{answer.StatusCode, status.Message}
	}
	return content, answer.Header.Values("Warning"), nil
}

type refusal struct {
	code    int
	message string
}

func (refused *refusal) Error() string { return refused.message }

func isMissing(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.code == http.StatusNotFound
}

// locate gives the path of an object, as the server itself says what its kinds are called.
func (plane *controlPlane) locate(object *unstructured.Unstructured) (string, error) {
	kind := object.GroupVersionKind()
	prefix := "/apis/" + object.GetAPIVersion()
	if kind.Group == "" {
		prefix = "/api/" + kind.Version
	}
	resource, err := plane.resource(prefix, kind)
	if err != nil {
		return "", err
	}
	if resource.Namespaced {
		prefix += "/namespaces/" + object.GetNamespace()
	}
	return prefix + "/" + resource.Name + "/" + object.GetName(), nil
}

func (plane *controlPlane) resource(prefix string, kind schema.GroupVersionKind) (metav1.APIResource, error) {
	if known, ok := plane.resources[kind]; ok {
		return known, nil
	}
	content, _, err := plane.ask(http.MethodGet, prefix, "", nil)
	if err != nil {
		return metav1.APIResource{}, fmt.Errorf("%s: %w", kind.GroupVersion(), err)
	}
	var found metav1.APIResourceList
	if err := json.Unmarshal(content, &found); err != nil {
		return metav1.APIResource{}, err
	}
	for _, resource := range found.APIResources {
		if resource.Kind == kind.Kind && !strings.Contains(resource.Name, "/") {
			plane.resources[kind] = resource
			return resource, nil
		}
	}
	return metav1.APIResource{}, fmt.Errorf("the server knows no %s", kind)
}

func (plane *controlPlane) get(object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	path, err := plane.locate(object)
	if err != nil {
		return nil, err
	}
	content, _, err := plane.ask(http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	return parsed(content)
}

// apply is `kubectl apply --server-side --validate=strict`. A warning is an error, too.
func (plane *controlPlane) apply(object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	content, warnings, err := plane.patch(object)
	if err != nil {
		return nil, err
	}
	warnings = slices.DeleteFunc(warnings, func(warning string) bool {
		// The migrating Job of an overlay, which is called after a tag.
		return object.GetKind() == "Job" && strings.Contains(warning, "a DNS label is recommended: [must not contain dots]")
	})
	if len(warnings) > 0 {
		return nil, fmt.Errorf("taken with a warning: %s", strings.Join(warnings, "; "))
	}
	return parsed(content)
}

func (plane *controlPlane) patch(object *unstructured.Unstructured) ([]byte, []string, error) {
	path, err := plane.locate(object)
	if err != nil {
		return nil, nil, err
	}
	body, err := object.MarshalJSON()
	if err != nil {
		return nil, nil, err
	}
	return plane.ask(http.MethodPatch, path+"?fieldManager=check&fieldValidation=Strict", "application/apply-patch+yaml", body)
}

func (plane *controlPlane) remove(object *unstructured.Unstructured) error {
	path, err := plane.locate(object)
	if err == nil {
		_, _, err = plane.ask(http.MethodDelete, path+"?propagationPolicy=Background", "", nil)
	}
	return err
}

func (plane *controlPlane) list(path string) ([]unstructured.Unstructured, error) {
	content, _, err := plane.ask(http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	var found unstructured.UnstructuredList
	if err := found.UnmarshalJSON(content); err != nil {
		return nil, err
	}
	return found.Items, nil
}

func parsed(content []byte) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	return object, object.UnmarshalJSON(content)
}

func (plane *controlPlane) kubeconfig() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{ name: check, cluster: { server: %q, certificate-authority: %q } }]
users: [{ name: check, user: { token: %q } }]
contexts: [{ name: check, context: { cluster: check, user: check } }]
current-context: check
`, plane.address, plane.path("ca.pem"), plane.token)
}

// One key for all, as nobody else is there: an authority, and a certificate of 127.0.0.1 by it.
func (plane *controlPlane) writeCertificates(t *testing.T) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	plane.writePem(t, "key.pem", "EC PRIVATE KEY", encoded)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "check-authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "check"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	pool := x509.NewCertPool()
	for name, template := range map[string]*x509.Certificate{"ca.pem": authority, "cert.pem": server} {
		signed, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		plane.writePem(t, name, "CERTIFICATE", signed)
		if template == authority {
			certificate, err := x509.ParseCertificate(signed)
			if err != nil {
				t.Fatal(err)
			}
			pool.AddCert(certificate)
		}
	}
	return pool
}

func (plane *controlPlane) writePem(t *testing.T, name, kind string, content []byte) {
	t.Helper()
	plane.write(t, name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})))
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func randomWord(t *testing.T) string {
	t.Helper()
	word := make([]byte, 16)
	if _, err := rand.Read(word); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(word)
}
