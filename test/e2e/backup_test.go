package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// A store goes back to an earlier revision with the orders it had then, and back
// again with those it has had since. Its passwords stay the same.
func TestRollbackBringsTheOrdersBack(t *testing.T) {
	t.Parallel()
	newMedusaEngine(t, "medusa-data", 120,
		v1alpha1.EngineVersion{Name: "next", Values: rawValues(`{"resources":{"medusa":{"requests":{"memory":"500Mi"}}}}`)})
	created := createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: "data-orders"}, Spec: v1alpha1.StoreSpec{Engine: "medusa-data"}})
	store := waitFor(t, "data-orders", v1alpha1.ConditionReady, 8*time.Minute)
	secrets, first := credentials(t, store), orderNumber(t, store)

	upgrade(t, "data-orders", "next")
	store = waitFor(t, "data-orders", v1alpha1.ConditionReady, 4*time.Minute)
	if len(store.Status.Backups) != 1 || store.Status.Backups[0].Version != created.Spec.Version || store.Status.Backups[0].Bytes == 0 {
		t.Fatalf("after the upgrade the store has the backups %+v", store.Status.Backups)
	}
	upgraded := store.ResourceVersion
	// What a migration may do that goes wrong, and what is sold since.
	medusaSQL(t, store, `update "order" set email = 'spoiled@example.com'`)
	if second := orderNumber(t, store); second != first+1 {
		t.Fatalf("order %d came before the upgrade and %d after it", first, second)
	}

	for _, step := range []struct {
		to, version, spoiled, orders string
	}{
		{created.ResourceVersion, created.Spec.Version, "0", "1"},
		{upgraded, "next", "1", "2"},
	} {
		kubectlStore(t, "rollback", "data-orders", "--to-revision="+step.to, "--with-data")
		store = waitFor(t, "data-orders", v1alpha1.ConditionReady, 5*time.Minute)
		if store.Status.Version != step.version || store.Status.Restored == nil || store.Status.Restored.Result != "succeeded" {
			t.Fatalf("the store runs %q, and its data: %+v\n%s", store.Status.Version, store.Status.Restored, describe(store))
		}
		if spoiled := medusaSQL(t, store, `select count(*) from "order" where email = 'spoiled@example.com'`); spoiled != step.spoiled {
			t.Errorf("back at version %s %s orders are spoiled, want %s", step.version, spoiled, step.spoiled)
		}
		if orders := medusaSQL(t, store, `select count(*) from "order"`); orders != step.orders {
			t.Errorf("back at version %s there are %s orders, want %s", step.version, orders, step.orders)
		}
	}
	if third := orderNumber(t, store); third != first+2 {
		t.Errorf("order %d came first and %d after going back twice", first, third)
	}
	if diff := cmp.Diff(secrets, credentials(t, store)); diff != "" {
		t.Errorf("the credentials changed (-before +after):\n%s", diff)
	}
	// What was replaced last stays until the next backup.
	if databases := medusaSQL(t, store, `select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate`); databases != "medusa medusa_replaced postgres" {
		t.Errorf("the server has the databases %s", databases)
	}
}

// The same with WooCommerce, whose database and uploads go back together. What was
// uploaded since stays.
func TestRollbackBringsTheBlogBack(t *testing.T) {
	t.Parallel()
	newEngine(t, "woocommerce", "woo-data", 120,
		v1alpha1.EngineVersion{Name: "next", Values: rawValues(`{"image":{"tag":"local"},"resources":{"wordpress":{"requests":{"memory":"250Mi"}}}}`)})
	created := createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: "data-blog"}, Spec: v1alpha1.StoreSpec{Engine: "woo-data"}})
	store := waitFor(t, "data-blog", v1alpha1.ConditionReady, 8*time.Minute)
	secrets := credentials(t, store)
	upload(t, store, "echo one >/uploads/one.txt; mkdir -p /uploads/2026; echo two >/uploads/2026/two.txt")
	sql(t, store, "update wp_options set option_value = 'before' where option_name = 'blogdescription'")
	// Texts and keys that the renaming of tables could meet.
	text := "'a line\\nCREATE TABLE `wp_posts` (\\n  CONSTRAINT `x`,\\n) INSERT INTO `wp_posts`\\0 🌷'"
	sql(t, store, "create table wp_parent (id int primary key); insert into wp_parent values (1);"+
		"create table wp_child (id int, note longtext, unique (id), constraint one foreign key (id) references wp_parent (id), constraint two foreign key (id) references wp_parent (id) on delete cascade, check (id > 0));"+
		"insert into wp_child values (1, "+text+"); create view wp_view as select id from wp_parent")

	upgrade(t, "data-blog", "next")
	store = waitFor(t, "data-blog", v1alpha1.ConditionReady, 4*time.Minute)
	if len(store.Status.Backups) != 1 || store.Status.Backups[0].Bytes == 0 {
		t.Fatalf("after the upgrade the store has the backups %+v", store.Status.Backups)
	}
	sql(t, store, "update wp_options set option_value = 'after' where option_name = 'blogdescription'; drop table wp_child; create table wp_later (id int);"+
		// What an interrupted restore leaves.
		"create table restored_wp_child (id int); create table replaced_wp_options (id int)")
	upload(t, store, "rm /uploads/one.txt; echo changed >/uploads/2026/two.txt; echo three >/uploads/2026/three.txt")

	kubectlStore(t, "rollback", "data-blog", "--to-revision="+created.ResourceVersion, "--with-data")
	store = waitFor(t, "data-blog", v1alpha1.ConditionReady, 5*time.Minute)
	if store.Status.Version != created.Spec.Version || store.Status.Restored == nil || store.Status.Restored.Result != "succeeded" || len(store.Status.Backups) != 2 {
		t.Fatalf("the store runs %q, and its data: %+v, backups %+v\n%s", store.Status.Version, store.Status.Restored, store.Status.Backups, describe(store))
	}
	for _, tc := range []struct{ what, got, want string }{
		{"the description", sql(t, store, "select option_value from wp_options where option_name = 'blogdescription'"), "before"},
		{"rows of the dropped table with their texts", sql(t, store, "select count(*) from wp_child where note = "+text), "1"},
		{"its constraints", sql(t, store, "select group_concat(constraint_name order by constraint_name) from information_schema.table_constraints where table_name = 'wp_child'"), "CONSTRAINT_1,id,one,two"},
		{"a view", sql(t, store, "select * from wp_view"), "1"},
		{"other tables", sql(t, store, "select count(*) from information_schema.tables where table_name regexp '^(restored|replaced)_' or table_name = 'wp_later'"), "0"},
		{"uploads", upload(t, store, "cat /uploads/one.txt /uploads/2026/two.txt /uploads/2026/three.txt | tr '\\n' ' '"), "one two three"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %q, want %q", tc.what, tc.got, tc.want)
		}
	}
	helmTest(t, store)
	if diff := cmp.Diff(secrets, credentials(t, store)); diff != "" {
		t.Errorf("the credentials changed (-before +after):\n%s", diff)
	}
}

// upload runs a command of the shell on the uploads of a store, which it finds in
// /uploads.
func upload(t *testing.T, store *v1alpha1.Store, script string) string {
	t.Helper()
	return kubectl(t, "-n", store.Status.Namespace, "exec", "deployment/wordpress", "-c", "wordpress", "--", "sh", "-c",
		strings.ReplaceAll(script, "/uploads/", "/usr/src/wordpress/wp-content/uploads/"))
}

// Without room for a backup there is no upgrade: the store goes on to sell, and says
// what was in the way. With room there is.
func TestFullVolumeStopsTheUpgrade(t *testing.T) {
	t.Parallel()
	editedEngine(t, "medusa", "medusa-full", func(spec *v1alpha1.EngineSpec) {
		spec.Versions = append(spec.Versions,
			v1alpha1.EngineVersion{Name: "next", Values: rawValues(`{"resources":{"medusa":{"requests":{"memory":"500Mi"}}}}`)},
			v1alpha1.EngineVersion{Name: "later", Values: rawValues(`{"resources":{"medusa":{"requests":{"memory":"490Mi"}}}}`)})
		// The second attempt would come half a minute later, to a volume as full.
		spec.Values = rawValues(`{"backup":{"retries":0},` + strings.TrimPrefix(string(spec.Values.Raw), "{"))
	})
	createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: "data-full"}, Spec: v1alpha1.StoreSpec{Engine: "medusa-full"}})
	store := waitFor(t, "data-full", v1alpha1.ConditionReady, 8*time.Minute)
	good, first := store.Status.Version, orderNumber(t, store)
	pods := podsOf(t, store.Status.Namespace)

	folder := volumeFolder(t, store.Status.Namespace, "backups")
	command(t, "mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "tmpfs", folder)
	emptied := false
	empty := func() {
		if !emptied {
			command(t, "umount", "--lazy", folder)
			emptied = true
		}
	}
	defer empty()
	upgrade(t, "data-full", "next")
	eventually(t, 4*time.Minute, "the upgrade to be given up", func(ctx context.Context) (bool, string) {
		found, err := getStore(ctx, "data-full")
		if err != nil {
			return false, err.Error()
		}
		store = found
		for _, c := range store.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue && c.Reason == "UpgradeFailed" && c.ObservedGeneration == store.Generation {
				return true, ""
			}
		}
		return false, describe(store)
	})
	for _, part := range []string{"The data was not backed up, and nothing was changed.", "Job backup-1", "No space left on device"} {
		if said := describe(store); !strings.Contains(said, part) {
			t.Errorf("the store does not say %q:\n%s", part, said)
		}
	}
	now := podsOf(t, store.Status.Namespace)
	for name, was := range pods {
		if now[name] != was {
			t.Errorf("pod %s was %s and is now %q", name, was, now[name])
		}
	}
	if second := orderNumber(t, store); store.Status.Version != good || second != first+1 {
		t.Errorf("the store runs %q and its order after %d has number %d", store.Status.Version, first, second)
	}

	empty()
	upgrade(t, "data-full", "later")
	store = waitFor(t, "data-full", v1alpha1.ConditionReady, 4*time.Minute)
	if store.Status.Version != "later" || len(store.Status.Backups) != 1 {
		t.Errorf("with room the store runs %q, and has the backups %+v", store.Status.Version, store.Status.Backups)
	}
}

// medusaSQL asks a store's database.
func medusaSQL(t *testing.T, store *v1alpha1.Store, sql string) string {
	t.Helper()
	return kubectl(t, "-n", store.Status.Namespace, "exec", "postgres-0", "--", "psql", "-U", "medusa", "-Atqc", sql)
}

func kubectlStore(t *testing.T, args ...string) string {
	t.Helper()
	return command(t, "_output/bin/kubectl-store", args...)
}

// volumeFolder is where the node keeps the volume of a claim.
func volumeFolder(t *testing.T, namespace, claim string) string {
	t.Helper()
	found, err := core.CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), claim, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	volume, err := core.CoreV1().PersistentVolumes().Get(t.Context(), found.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if found.Status.Phase != corev1.ClaimBound || volume.Spec.Local == nil {
		t.Fatalf("claim %s is %s, and its volume is no folder of the node: %+v", claim, found.Status.Phase, volume.Spec)
	}
	return volume.Spec.Local.Path
}
