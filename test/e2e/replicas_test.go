package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// Two replicas of the provisioner share the stores. One is killed in the middle of
// making six of them: the other takes over, and by the cluster's audit log no store
// was ever worked on by two, nor installed twice.
func TestReplicasOfTheProvisionerShareStores(t *testing.T) {
	t.Parallel()
	scaleProvisioner(t, 2)
	replicas := awaitShares(t, 2)

	// Six at once have to find room on a node that is small.
	engine := editedEngine(t, "woocommerce", "woocommerce-light", func(spec *v1alpha1.EngineSpec) {
		light := `{"requests":{"cpu":"10m"}}`
		spec.Plans[0].Values = rawValues(fmt.Sprintf(`{"resources":{"wordpress":%[1]s,"mariadb":%[1]s,"bootstrap":%[1]s,"wait":%[1]s,"cron":%[1]s}}`, light))
	})
	names := make([]string, 6)
	for i := range names {
		names[i] = fmt.Sprint("shared-", i)
		createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: names[i]}, Spec: v1alpha1.StoreSpec{Engine: engine.Name}})
	}
	for _, name := range names {
		waitFor(t, name, v1alpha1.ConditionSecretsReady, 2*time.Minute)
	}
	if err := core.CoreV1().Pods(platformNamespace).Delete(t.Context(), replicas[0], metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	var namespaces []string
	for _, name := range names {
		store := waitFor(t, name, v1alpha1.ConditionReady, 8*time.Minute)
		assertInstalledOnce(t, store)
		namespaces = append(namespaces, store.Status.Namespace)
	}
	awaitShares(t, 2)
	assertOneAtATime(t, namespaces)
}

// scaleProvisioner sets the number of replicas for the time of the test.
func scaleProvisioner(t *testing.T, replicas int32) {
	t.Helper()
	deployments := core.AppsV1().Deployments(platformNamespace)
	scale, err := deployments.GetScale(t.Context(), "platform-provisioner", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set := func(ctx context.Context, replicas int32) error {
		scale, err := deployments.GetScale(ctx, "platform-provisioner", metav1.GetOptions{})
		if err != nil {
			return err
		}
		scale.Spec.Replicas = replicas
		_, err = deployments.UpdateScale(ctx, "platform-provisioner", scale, metav1.UpdateOptions{})
		return err
	}
	t.Cleanup(func() { _ = set(context.WithoutCancel(t.Context()), scale.Spec.Replicas) })
	if err := set(t.Context(), replicas); err != nil {
		t.Fatal(err)
	}
}

// awaitShares waits until as many pods hold shards, each of which says it is the
// provisioner, and returns their names.
func awaitShares(t *testing.T, replicas int) []string {
	t.Helper()
	var holders []string
	eventually(t, 3*time.Minute, fmt.Sprintf("%d replicas to hold shards", replicas), func(ctx context.Context) (bool, string) {
		pods, err := core.CoreV1().Pods(platformNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=platform-provisioner"})
		if err != nil {
			return false, err.Error()
		}
		leases, err := core.CoordinationV1().Leases(platformNamespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err.Error()
		}
		held := map[string]int{}
		for _, lease := range leases.Items {
			if strings.HasPrefix(lease.Name, "stores-provisioner-shard-") {
				pod, _, _ := strings.Cut(ptr.Deref(lease.Spec.HolderIdentity, ""), "_")
				held[pod]++
			}
		}
		holders = slices.Sorted(maps.Keys(held))
		for _, holder := range holders {
			if !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.Name == holder }) {
				return false, fmt.Sprintf("%v, of which %s is gone", held, holder)
			}
		}
		return len(holders) == replicas, fmt.Sprint(held)
	})
	return holders
}

// assertOneAtATime reads in the audit log who wrote in the stores' namespaces.
func assertOneAtATime(t *testing.T, namespaces []string) {
	t.Helper()
	written := provisionerWrites(t, namespaces)
	for _, namespace := range namespaces {
		var (
			writers  []string
			ended    time.Time
			installs int
		)
		for _, e := range written[namespace] {
			pod := e.User.Extra["authentication.kubernetes.io/pod-name"][0]
			if len(writers) == 0 || writers[len(writers)-1] != pod {
				if slices.Contains(writers, pod) || e.RequestReceivedTimestamp.Time.Before(ended) {
					t.Errorf("in namespace %s %s wrote while another replica did: %v before", namespace, pod, writers)
				}
				writers = append(writers, pod)
			}
			if e.StageTimestamp.After(ended) {
				ended = e.StageTimestamp.Time
			}
			if e.Verb == "create" && e.ObjectRef.Resource == "secrets" && e.ObjectRef.Name == "sh.helm.release.v1.store.v1" && e.ResponseStatus.Code < 300 {
				installs++
			}
		}
		if installs != 1 {
			t.Errorf("in namespace %s the release was installed %d times", namespace, installs)
		}
		t.Logf("namespace %s: %d writes by %v", namespace, len(written[namespace]), writers)
	}
}

// provisionerWrites are the provisioner's writes by namespace, in their order.
func provisionerWrites(t *testing.T, namespaces []string) map[string][]auditv1.Event {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "_output/localcluster/audit*.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the cluster's audit log: %v %v", files, err)
	}
	written := map[string][]auditv1.Event{}
	for _, name := range files {
		file, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // rotated away
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if !bytes.Contains(lines.Bytes(), []byte(":platform:platform-provisioner")) {
				continue
			}
			var e auditv1.Event
			if json.Unmarshal(lines.Bytes(), &e) != nil || e.ObjectRef == nil || e.ResponseStatus == nil || e.Stage != auditv1.StageResponseComplete {
				continue
			}
			if slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, e.Verb) && slices.Contains(namespaces, e.ObjectRef.Namespace) {
				written[e.ObjectRef.Namespace] = append(written[e.ObjectRef.Namespace], e)
			}
		}
		if err := errors.Join(lines.Err(), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, events := range written {
		slices.SortFunc(events, func(a, b auditv1.Event) int {
			return a.RequestReceivedTimestamp.Compare(b.RequestReceivedTimestamp.Time)
		})
	}
	return written
}
