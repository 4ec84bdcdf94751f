package e2e

import (
	"context"
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// A store sells under the title its owner chose, whatever is in it, and leaves
// nothing behind but its history.
func TestStoreSellsAndGoes(t *testing.T) {
	t.Parallel()
	const title = `Bits & <b>"Pieces"</b> $(id) {{ .Values }} 'ü' 花`
	createStore(t, &v1alpha1.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "bits"},
		Spec:       v1alpha1.StoreSpec{Engine: "medusa", DisplayName: title},
	})
	store := waitFor(t, "bits", v1alpha1.ConditionReady, 8*time.Minute)

	orderNumber(t, store)
	if page := getPage(t, store); !strings.Contains(html.UnescapeString(page), title) {
		t.Errorf("the shop's page does not show the title %q:\n%s", title, page)
	}
	assertStepsHaveTimes(t, store)

	if err := platform.PlatformV1alpha1().Stores("default").Delete(t.Context(), "bits", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	waitGone(t, store)
	assertNothingLeft(t, store)
}

func getPage(t *testing.T, store *v1alpha1.Store) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:8080/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = store.Spec.Host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the shop answered %s:\n%s", response.Status, page)
	}
	return string(page)
}

func assertStepsHaveTimes(t *testing.T, store *v1alpha1.Store) {
	t.Helper()
	var names []string
	for _, step := range store.Status.Steps {
		names = append(names, step.Name)
		if step.State != v1alpha1.StepDone || step.StartTime == nil || step.EndTime == nil {
			t.Errorf("step %s of a ready store is %+v, want it done with both times", step.Name, step)
		}
	}
	want := "NamespaceReady SecretsReady ReleaseInstalled WorkloadReady RouteReady StorefrontReady"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("steps are %q, want %q", got, want)
	}
}

func waitGone(t *testing.T, store *v1alpha1.Store) {
	t.Helper()
	eventually(t, 3*time.Minute, "store "+store.Name+" to be gone", func(ctx context.Context) (bool, string) {
		found, err := getStore(ctx, store.Name)
		if apierrors.IsNotFound(err) {
			return true, ""
		}
		if err != nil {
			return false, err.Error()
		}
		return false, describe(found)
	})
}

// assertNothingLeft looks for whatever a store could leave. It asks once: the
// Store is gone only after the rest is.
func assertNothingLeft(t *testing.T, store *v1alpha1.Store) {
	t.Helper()
	if _, err := core.CoreV1().Namespaces().Get(t.Context(), store.Status.Namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("namespace %s of the deleted store is still there (error %v)", store.Status.Namespace, err)
	}
	volumes, err := core.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, volume := range volumes.Items {
		if claim := volume.Spec.ClaimRef; claim != nil && claim.Namespace == store.Status.Namespace {
			t.Errorf("volume %s of the deleted store is still there", volume.Name)
		}
	}
	key := "%/" + store.Namespace + "/" + store.Name
	if rows := count(t, "select count(*) from head where key like '"+key+"'"); rows != 0 {
		t.Errorf("PostgreSQL has %d current rows of the deleted store", rows)
	}
	if rows := count(t, "select count(*) from log where key like '"+key+"' and kind = 2"); rows != 1 {
		t.Errorf("the history has %d deletions of the store, want 1", rows)
	}
}

// count asks the platform's database.
func count(t *testing.T, sql string) int {
	t.Helper()
	output := kubectl(t, "-n", platformNamespace, "exec", "platform-postgres-0", "--",
		"env", "PGOPTIONS=--client-min-messages=warning", "sh", "-c",
		`PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") psql -h 127.0.0.1 -U platform -Atc "$0"`, sql)
	n, err := strconv.Atoi(output)
	if err != nil {
		t.Fatalf("%s: unexpected answer %q", sql, output)
	}
	return n
}
