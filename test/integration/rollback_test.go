package integration

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

func rollBack(t testing.TB, config *rest.Config, store *v1alpha1.Store, revision string, options metav1.CreateOptions) (*v1alpha1.Store, error) {
	t.Helper()
	return harness.Platform(t, config).Stores(store.Namespace).Rollback(t.Context(), store.Name,
		&v1alpha1.StoreRollback{Spec: v1alpha1.StoreRollbackSpec{ResourceVersion: revision}}, options)
}

// A rollback brings the spec back and nothing else, in the name of who asked.
func TestRollback(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	env.Allow(t, "alice", namespace, "platform-stores-edit")
	env.Allow(t, "alice", namespace, "platform-stores-view")
	created := create(t, namespace, newStore("flowers", engine))
	edit(t, env.Admin(), created, func(s *v1alpha1.Store) { s.Spec.Plan, s.Spec.DisplayName = "large", "Roses" })
	changed := edit(t, env.Admin(), created, func(s *v1alpha1.Store) { s.Labels = map[string]string{"tier": "gold"} })
	current := setReady(t, changed, metav1.ConditionTrue)

	dry, err := rollBack(t, env.User("alice"), created, created.ResourceVersion, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil || dry.Spec.Plan != "small" || dry.Generation != 3 {
		t.Errorf("dry run: %+v, error %v", dry, err)
	}
	if got, err := harness.Platform(t, env.Admin()).Stores(namespace).Get(t.Context(), "flowers", metav1.GetOptions{}); err != nil || got.ResourceVersion != current.ResourceVersion {
		t.Errorf("the dry run changed the store: %+v, error %v", got, err)
	}

	back, err := rollBack(t, env.User("alice"), created, created.ResourceVersion, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(created.Spec, back.Spec); diff != "" {
		t.Errorf("spec (-then +now):\n%s", diff)
	}
	if diff := cmp.Diff(current.Status, back.Status); diff != "" {
		t.Errorf("the rollback changed the status (-before +after):\n%s", diff)
	}
	if back.Generation != 3 || back.Labels["tier"] != "gold" || back.UID != created.UID {
		t.Errorf("generation %d, labels %v, UID %s", back.Generation, back.Labels, back.UID)
	}
	if len(back.ManagedFields) == 0 || !managedBy(back, "rollback") {
		t.Errorf("nobody is the manager of what the rollback wrote: %+v", back.ManagedFields)
	}
	history := getHistory(t, namespace, "flowers", "limit=1")
	want := []string{"alice update 3; spec.displayName: Roses -> flowers; spec.plan: large -> small"}
	if diff := cmp.Diff(want, lines(history, "")); diff != "" {
		t.Errorf("its own place in history (-want +got):\n%s", diff)
	}
	again, err := rollBack(t, env.Admin(), created, created.ResourceVersion, metav1.CreateOptions{})
	if err != nil || again.ResourceVersion != back.ResourceVersion {
		t.Errorf("to where it is: %v, resource version %s, want %s", err, again.ResourceVersion, back.ResourceVersion)
	}
}

func managedBy(store *v1alpha1.Store, manager string) bool {
	for _, entry := range store.ManagedFields {
		if entry.Manager == manager && entry.Operation == metav1.ManagedFieldsOperationUpdate {
			return true
		}
	}
	return false
}

// The owner is who created the store, also for a rollback by somebody else.
func TestRollbackKeepsTheOwner(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	env.Allow(t, "florist", namespace, "platform-stores-edit")
	var created *v1alpha1.Store
	harness.Eventually(t, patience, "the user's rights", untilAllowed(func() (err error) {
		created, err = harness.Platform(t, env.User("florist")).Stores(namespace).Create(t.Context(), newStore("flowers", engine), metav1.CreateOptions{})
		return err
	}))
	edit(t, env.Admin(), created, func(s *v1alpha1.Store) { s.Spec.Plan = "large" })
	back, err := rollBack(t, env.Admin(), created, created.ResourceVersion, metav1.CreateOptions{})
	if err != nil || back.Spec.Owner != "florist" {
		t.Errorf("owner %q, error %v", back.Spec.Owner, err)
	}
}

// Validation and admission look at the store as it becomes, with today's engine.
func TestRollbackIsValidated(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	created := create(t, namespace, newStore("flowers", engine))
	edit(t, env.Admin(), created, func(s *v1alpha1.Store) { s.Spec.Version = "1.0" })
	patch := []byte(`{"spec":{"versions":[{"name":"1.0"}],"defaultVersion":"1.0"}}`)
	if _, err := harness.Platform(t, env.Admin()).Engines().Patch(t.Context(), engine.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	other := create(t, namespace, newStore("bread", newEngine(t)))
	moved := create(t, namespace, newStore("moved", engine))
	edit(t, env.Admin(), moved, func(s *v1alpha1.Store) { s.Spec.Host = "gone." + moved.Spec.Host })
	taker := newStore("taker", engine)
	taker.Spec.Host = moved.Spec.Host
	create(t, namespace, taker)
	if _, err := rollBack(t, env.Admin(), moved, moved.ResourceVersion, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("to a host that another store has since taken: %v, want Invalid", err)
	}
	for name, test := range map[string]struct {
		revision string
		is       func(error) bool
		parts    []string
	}{
		"version no longer offered": {created.ResourceVersion, apierrors.IsInvalid, []string{"spec.version", `supported values: "1.0"`}},
		"another store's revision":  {other.ResourceVersion, apierrors.IsNotFound, []string{"revision " + other.ResourceVersion}},
		"no revision":               {"", apierrors.IsInvalid, []string{"spec.resourceVersion", "stores/history"}},
		"no number":                 {"latest", apierrors.IsBadRequest, []string{`"latest"`}},
	} {
		_, err := rollBack(t, env.Admin(), created, test.revision, metav1.CreateOptions{})
		if !test.is(err) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		contains(t, err.Error(), test.parts...)
	}
	missing := newStore("nothing", engine)
	missing.Namespace = namespace
	if _, err := rollBack(t, env.Admin(), missing, "1", metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("of no store: %v, want NotFound", err)
	}
	got, err := harness.Platform(t, env.Admin()).Stores(namespace).Get(t.Context(), "flowers", metav1.GetOptions{})
	if err != nil || got.Spec.Version != "1.0" || got.Generation != 2 {
		t.Errorf("a refused rollback changed the store: %+v, error %v", got, err)
	}
}

// Writers at the same time lose nothing, and no store is seen with half a spec.
func TestRollbackIsAtomic(t *testing.T) {
	t.Parallel()
	const writers = 8
	namespace, engine := env.NewNamespace(t), newEngine(t)
	created := create(t, namespace, newStore("flowers", engine))
	edit(t, env.Admin(), created, func(s *v1alpha1.Store) { s.Spec.Plan, s.Spec.DisplayName = "large", "Roses" })
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	var running sync.WaitGroup
	for i := range writers {
		running.Go(func() {
			patch := fmt.Appendf(nil, `{"metadata":{"labels":{"writer-%d":"was-here"}}}`, i)
			if _, err := stores.Patch(t.Context(), "flowers", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Error(err)
			}
		})
		running.Go(func() {
			back, err := rollBack(t, env.Admin(), created, created.ResourceVersion, metav1.CreateOptions{})
			if err != nil || back.Spec.Plan != "small" || back.Spec.DisplayName != "flowers" {
				t.Errorf("rollback: %+v, error %v", back, err)
			}
		})
	}
	running.Wait()
	got, err := stores.Get(t.Context(), "flowers", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Spec.Plan != "small" || got.Generation != 3 || len(got.Labels) != writers {
		t.Errorf("plan %s, generation %d, labels %v", got.Spec.Plan, got.Generation, got.Labels)
	}
}

// A rollback brings the data back that the shop had when it left the revision, and
// nobody else can ask for data.
func TestRollbackAsksForData(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	withRestore := newStore("flowers", engine)
	withRestore.Spec.Restore = &v1alpha1.StoreRestore{Backup: "a-guess", Time: metav1.Now()}
	created := create(t, namespace, withRestore)
	if created.Spec.Restore != nil {
		t.Fatalf("a client has asked for data at the creation: %+v", created.Spec.Restore)
	}
	titled := edit(t, env.Admin(), created, func(s *v1alpha1.Store) { s.Spec.DisplayName = "Roses" })
	current := edit(t, env.Admin(), created, func(s *v1alpha1.Store) { s.Spec.Version = "1.0" })
	withData := func(to *v1alpha1.Store, backup string, dryRun ...string) (*v1alpha1.Store, error) {
		return stores.Rollback(t.Context(), "flowers", &v1alpha1.StoreRollback{Spec: v1alpha1.StoreRollbackSpec{
			ResourceVersion: to.ResourceVersion, Data: v1alpha1.RollbackDataRestore, Backup: backup,
		}}, metav1.CreateOptions{DryRun: dryRun})
	}
	refused := func(to *v1alpha1.Store, parts ...string) {
		t.Helper()
		_, err := withData(to, "")
		if !apierrors.IsInvalid(err) {
			t.Fatalf("got %v, want Invalid", err)
		}
		contains(t, err.Error(), parts...)
	}
	refused(created, "spec.data", engine.Name, "names no spec.backup.restoreCronJob")
	canRestore := []byte(`{"spec":{"backup":{"backupCronJob":"backup","restoreCronJob":"restore"}}}`)
	if _, err := harness.Platform(t, env.Admin()).Engines().Patch(t.Context(), engine.Name, types.MergePatchType, canRestore, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	refused(created, "spec.data", "no backup of generation 1 with version "+created.Spec.Version, "status.backups has: none")

	current.Status.Backups = []v1alpha1.StoreBackup{
		{Name: "newer", Time: metav1.Now(), Version: created.Spec.Version, FirstGeneration: 1, LastGeneration: 2},
		{Name: "older", Time: metav1.Now(), Version: created.Spec.Version, FirstGeneration: 1, LastGeneration: 2},
	}
	if _, err := stores.UpdateStatus(t.Context(), current, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	refused(current, "no backup of generation 3 with version 1.0", "newer (version "+created.Spec.Version+", generations 1 to 2), older")

	if dry, err := withData(titled, "", metav1.DryRunAll); err != nil || dry.Spec.Restore == nil {
		t.Errorf("dry run: %+v, error %v", dry, err)
	}
	back, err := withData(titled, "")
	if err != nil {
		t.Fatal(err)
	}
	if back.Spec.Restore == nil || back.Spec.Restore.Backup != "newer" || back.Spec.Restore.Time.IsZero() || back.Spec.Version != created.Spec.Version || back.Spec.DisplayName != "Roses" {
		t.Errorf("the spec is %+v", back.Spec)
	}
	if back.Generation != 4 {
		t.Errorf("generation %d, want 4", back.Generation)
	}

	named, err := withData(created, "older")
	if err != nil || named.Spec.Restore.Backup != "older" {
		t.Errorf("by name: %+v, error %v", named, err)
	}
	if _, err := withData(created, "lost"); !apierrors.IsInvalid(err) {
		t.Errorf("by a name that there is not: %v, want Invalid", err)
	}

	// What was asked for stays, whoever writes the store, and however.
	edit(t, env.Admin(), created, func(s *v1alpha1.Store) { s.Spec.Restore, s.Spec.Plan = nil, "large" })
	kept, err := rollBack(t, env.Admin(), created, created.ResourceVersion, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(named.Spec.Restore, kept.Spec.Restore); diff != "" {
		t.Errorf("what was asked for (-then +now):\n%s", diff)
	}

	edit(t, env.Admin(), created, func(s *v1alpha1.Store) { s.Spec.PowerState = v1alpha1.PowerStateHibernated })
	refused(created, "hibernated")
}
