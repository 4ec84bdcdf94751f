package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/scan"
)

// public are the keys of credentials that are no secrets: who logs in, and what
// every shopper's browser is told.
var public = []string{"admin-email", "admin-user", "publishable-key"}

// newScanner knows the secrets of stores.
func newScanner(t *testing.T, stores ...*v1alpha1.Store) *scan.Scanner {
	t.Helper()
	s := &scan.Scanner{}
	for _, store := range stores {
		for key, value := range credentials(t, store) {
			if !slices.Contains(public, key) {
				s.Add(t, store.Name+"/"+key, value)
			}
		}
	}
	return s
}

// Whoever may edit stores reads their secrets in no answer but the one that is
// asked for them.
func TestNeverAgain04NothingATenantReadsHoldsASecret(t *testing.T) {
	t.Parallel()
	store := flowers(t)
	secrets := newScanner(t, store)
	tenant := makeTenant(t, "discreet-tenant")
	name, ns := store.Name, store.Status.Namespace
	const stores = "/apis/platform.dev/v1alpha1/namespaces/default/stores"

	for _, path := range []string{
		stores, stores + "/" + name, stores + "/" + name + "/status", stores + "/" + name + "/history",
		stores + "?watch=true&timeoutSeconds=2", stores + "?watch=true&resourceVersion=0&timeoutSeconds=2",
		"/apis/platform.dev/v1alpha1/engines",
		"/api/v1/namespaces/default/events", "/apis/events.k8s.io/v1/namespaces/default/events",
		"/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/secrets", "/api/v1/namespaces/default/pods",
	} {
		for _, accept := range []string{
			"application/json", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/yaml",
		} {
			body, status := get(t, tenant, path, accept)
			if status != http.StatusOK && status != http.StatusNotAcceptable {
				t.Errorf("the tenant gets %d for %s as %s", status, path, accept)
			}
			secrets.Scan(t, path+" as "+accept, body)
		}
	}
	for _, path := range []string{
		"/api/v1/secrets", "/api/v1/namespaces/" + ns + "/secrets", "/api/v1/namespaces/" + ns + "/secrets/store-credentials",
		"/api/v1/namespaces/" + ns + "/secrets/sh.helm.release.v1.store.v1",
	} {
		if body, status := get(t, tenant, path, "application/json"); status != http.StatusForbidden {
			t.Errorf("the tenant gets %d for %s: %s", status, path, body)
		}
	}
	// What the platform may show to tenants one day is as free of secrets as what
	// it shows today.
	scanEvents(t, secrets, ns)
	scanLogs(t, secrets, ns, platformNamespace)
	scanMetrics(t, secrets)
	secrets.ScanReleases(t.Context(), t, core, ns)

	body, status := get(t, tenant, stores+"/"+name+"/credentials", "application/json")
	if status != http.StatusOK || len(secrets.Hits(body)) == 0 {
		t.Errorf("the scanner does not find the password where it is: status %d", status)
	}
}

// Secrets of a store are nowhere on its node but in its own containers: not among
// the arguments of processes, nor in files that were put aside, the platform's
// database, the Helm release or logs. The environment is allowed to the store's
// own processes, since the shops' software reads it, and to no other; pods refer
// to the Secret and never spell out what is in it.
func TestNeverAgain30SecretsLeakNowhere(t *testing.T) {
	t.Parallel()
	began := time.Now()
	store := makeMedusa(t, "tight")
	t.Run("order", func(t *testing.T) { order(t, store) }) // Its own files go when it ends.
	secrets := newScanner(t, store)
	pods := scanPods(t, secrets, store.Status.Namespace)
	scanProcesses(t, secrets, pods)
	scanNewFiles(t, secrets, began, os.TempDir(), "/var/tmp", filepath.Join(filepath.Dir(os.Getenv("KUBECONFIG")), "localcluster", "logs"))
	secrets.Scan(t, "the platform's database", []byte(kubectl(t, "-n", platformNamespace, "exec", "platform-postgres-0", "--", "sh", "-c",
		`PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") pg_dump -h 127.0.0.1 -U platform --inserts`)))
	secrets.ScanReleases(t.Context(), t, core, store.Status.Namespace)
	scanLogs(t, secrets, store.Status.Namespace, platformNamespace)
	scanEvents(t, secrets, store.Status.Namespace)
	t.Log(secrets)
}

// makeTenant returns the configuration of a user who may edit namespace default, once
// that counts.
func makeTenant(t *testing.T, name string) *rest.Config {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}
	if _, err := core.RbacV1().RoleBindings("default").Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = core.RbacV1().RoleBindings("default").Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	tenant := rest.CopyConfig(config)
	tenant.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: []string{"system:authenticated"}}
	eventually(t, 10*time.Second, "the rights of "+name, func(context.Context) (bool, string) {
		body, status := get(t, tenant, "/apis/platform.dev/v1alpha1/namespaces/default/stores", "application/json")
		return status == http.StatusOK, string(body)
	})
	return tenant
}

func get(t *testing.T, as *rest.Config, path, accept string) (body []byte, status int) {
	t.Helper()
	status, answer := harness.Request(t.Context(), t, as, http.MethodGet, path, http.Header{"Accept": {accept}}, "")
	return []byte(answer), status
}

func scanEvents(t *testing.T, s *scan.Scanner, namespace string) {
	t.Helper()
	body, status := get(t, config, "/api/v1/namespaces/"+namespace+"/events", "application/json")
	if status != http.StatusOK {
		t.Fatalf("events of %s: status %d", namespace, status)
	}
	s.Scan(t, "events of "+namespace, body)
}

// scanLogs scans all logs of all containers that run, or have run.
func scanLogs(t *testing.T, s *scan.Scanner, namespaces ...string) {
	t.Helper()
	for _, namespace := range namespaces {
		pods, err := core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, pod := range pods.Items {
			for _, container := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
				if container.State.Waiting != nil && container.LastTerminationState.Terminated == nil {
					continue // It has not run so far.
				}
				logs, err := core.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container.Name}).DoRaw(t.Context())
				if apierrors.IsNotFound(err) {
					continue // Another test has replaced the pod.
				}
				if err != nil {
					t.Errorf("log of %s/%s/%s: %v", namespace, pod.Name, container.Name, err)
				}
				s.Scan(t, "the log of "+namespace+"/"+pod.Name+"/"+container.Name, logs)
			}
		}
	}
}

// scanMetrics scans what the platform's programs serve to Prometheus.
func scanMetrics(t *testing.T, s *scan.Scanner) {
	t.Helper()
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		t.Fatal(err)
	}
	unverified := &http.Transport{TLSClientConfig: &tls.Config{Certificates: tlsConfig.Certificates, GetClientCertificate: tlsConfig.GetClientCertificate, InsecureSkipVerify: true}} //nolint:gosec // the server is a pod, at its address
	defer unverified.CloseIdleConnections()
	pods, err := core.CoreV1().Pods(platformNamespace).List(t.Context(), metav1.ListOptions{FieldSelector: "status.phase=Running"})
	if err != nil {
		t.Fatal(err)
	}
	served := 0
	for _, pod := range pods.Items {
		for _, port := range pod.Spec.Containers[0].Ports {
			scheme := map[string]string{"https": "https", "health": "http", "metrics": "http"}[port.Name]
			if scheme == "" {
				continue
			}
			address := scheme + "://" + net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(port.ContainerPort))) + "/metrics"
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			response, err := (&http.Client{Transport: unverified}).Do(request)
			if err != nil {
				continue // It starts or ends.
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				served++
			}
			s.Scan(t, "the metrics of "+pod.Name, body)
		}
	}
	if served == 0 {
		t.Error("no program of the platform serves metrics")
	}
}

// scanPods scans the pods of a namespace as the API shows them, and returns them.
func scanPods(t *testing.T, s *scan.Scanner, namespace string) []corev1.Pod {
	t.Helper()
	pods, err := core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		text, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		s.Scan(t, "pod "+pod.Name, text)
	}
	return pods.Items
}

// scanProcesses scans arguments of all processes of the node, environments of
// those that are not in the store's own pods, and the folders for temporary files
// that they see.
func scanProcesses(t *testing.T, s *scan.Scanner, own []corev1.Pod) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		arguments, err := os.ReadFile(filepath.Join(process, "cmdline"))
		if err != nil {
			continue // It has ended.
		}
		name := strings.ReplaceAll(string(bytes.Trim(arguments[:min(60, len(arguments))], "\x00")), "\x00", " ")
		s.Scan(t, "the arguments of "+process, arguments)
		groups, _ := os.ReadFile(filepath.Join(process, "cgroup"))
		if slices.ContainsFunc(own, func(pod corev1.Pod) bool { return bytes.Contains(groups, []byte(pod.UID)) }) {
			scanNewFiles(t, s, time.Time{}, filepath.Join(process, "root", "tmp"))
			continue
		}
		environment, _ := os.ReadFile(filepath.Join(process, "environ"))
		s.Scan(t, "the environment of "+process+", "+name+",", environment)
	}
}

// scanNewFiles scans files that were written since a time, below folders of this
// file system. The local cluster's own state is where secrets belong, and the
// repository that it is in may be anywhere.
func scanNewFiles(t *testing.T, s *scan.Scanner, since time.Time, folders ...string) {
	t.Helper()
	const largest = 64 << 20
	state := filepath.Join(root, "_output", "localcluster")
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if path == state {
				return fs.SkipDir
			}
			if err != nil || !entry.Type().IsRegular() {
				return nil //nolint:nilerr // others remove their files meanwhile
			}
			info, err := entry.Info()
			if err != nil || info.ModTime().Before(since) || info.Size() > largest {
				return nil //nolint:nilerr // as above
			}
			if content, err := os.ReadFile(path); err == nil {
				s.Scan(t, path, content)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
