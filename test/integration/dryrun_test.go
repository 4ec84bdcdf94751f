package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// A dry run answers as the real thing would, and leaves the database as it is.
func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	k, engine := newKubectl(t), newEngine(t)
	store := newStore("flowers", engine)
	created := create(t, k.namespace, store)
	before := dump(t, k.namespace)
	if len(before) != 1 {
		t.Fatalf("the database holds %v before, want the store's creation", before)
	}
	other := strings.ReplaceAll(manifest(engine), "flowers", "bread")
	contains(t, k.run(other, "create", "--dry-run=server", "-o", "yaml", "-f", "-"), "owner: admin", "plan: small")
	k.run(manifest(engine, "displayName: Roses"), "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-")
	k.run("", "patch", "store", "flowers", "--dry-run=server", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	k.run("", "label", "store", "flowers", "--dry-run=server", "a=b")
	k.run("", "delete", "store", "flowers", "--dry-run=server")
	k.run("", "delete", "stores", "--all", "--dry-run=server")
	dryStatus := created.DeepCopy()
	dryStatus.Status = v1alpha1.StoreStatus{URL: "https://a.example.com"}
	if _, err := platformClient(t, env.Admin()).Stores(k.namespace).UpdateStatus(t.Context(), dryStatus, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, dump(t, k.namespace)); diff != "" {
		t.Errorf("the database changed (-before +after):\n%s", diff)
	}
}

// dump returns every revision that the database holds of a namespace's objects.
func dump(t *testing.T, namespace string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), env.Database())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(),
		`select concat_ws(' ', log.rev, log.key, log.kind, head.mod) from log left join head using (key) where key like '%/' || $1 || '/%' order by log.rev`, namespace)
	if err != nil {
		t.Fatal(err)
	}
	revisions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return revisions
}
