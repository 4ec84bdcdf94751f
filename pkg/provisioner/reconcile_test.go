package provisioner

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgotesting "k8s.io/client-go/testing"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

func TestNewStoreBecomesReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())

	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReleaseInstalled, metav1.ConditionTrue, "ReleaseDeployed")
	wantCondition(t, store, v1alpha1.ConditionStorefrontReady, metav1.ConditionFalse, "Checking")
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionFalse, "Checking")
	wantCondition(t, store, v1alpha1.ConditionReconciling, metav1.ConditionTrue, "Checking")

	w.untilAnswered(t)
	store = w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "Selling")
	wantNoCondition(t, store, v1alpha1.ConditionReconciling)
	wantNoCondition(t, store, v1alpha1.ConditionStalled)
	for _, step := range store.Status.Steps {
		if step.State != v1alpha1.StepDone || step.StartTime == nil || step.EndTime == nil {
			t.Errorf("step %+v is not done with both times", step)
		}
	}
	got := store.Status
	got.Conditions, got.Steps = nil, nil
	want := v1alpha1.StoreStatus{
		ObservedGeneration: 1, Namespace: testNamespace, Version: "2.0",
		URL: "https://flowers.localhost", AdminURL: "https://flowers.localhost/app",
		Release: &v1alpha1.StoreRelease{Name: "store", Chart: "shop", ChartVersion: "1.0.0", Revision: 1,
			Ready: &v1alpha1.ReadyRevision{Revision: 1, Generation: 1, Digest: contentDigest(w.helm.Requests()[0].Labels),
				Chart: "shop", ChartVersion: "1.0.0", Version: "2.0", Plan: "small"},
			Actions: []v1alpha1.ReleaseAction{{Action: "install", Revision: 1, Result: "succeeded", Time: metav1.NewTime(w.clock)}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	wantContents(t, w)
	var told []string
	for len(w.events.Events) > 0 {
		told = append(told, strings.Join(strings.Fields(<-w.events.Events)[:2], " "))
	}
	if want := []string{"Normal InstallSucceeded", "Normal Ready"}; !slices.Equal(told, want) {
		t.Errorf("events %v, want %v", told, want)
	}

	// Nothing is written, asked of Helm or told when nothing has changed.
	w.api.ClearActions()
	w.events.Events = make(chan string, 10)
	w.reconcileOnce(t)
	for _, action := range w.api.Actions() {
		if action.GetVerb() != "get" {
			t.Errorf("a store at rest was written: %s %s", action.GetVerb(), action.GetSubresource())
		}
	}
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install"}) {
		t.Errorf("Helm was asked for %v, want one install", actions)
	}
	if len(w.events.Events) > 0 {
		t.Errorf("a store at rest made an event: %s", <-w.events.Events)
	}
}

// Nothing is asked for of what cannot be there, and the store itself is written once
// before it has a release.
func TestNewStoreCostsFewRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.helm.Fail = func(action string) error {
		if action == "install" {
			return errors.New("the chart does not fit")
		}
		return nil
	}
	w.api.ClearActions()
	if _, err := w.reconcile(t.Context(), testKey); err != nil {
		t.Fatal(err)
	}
	for _, action := range w.kube.Actions() {
		if verb := action.GetVerb(); verb != "create" && verb != "patch" {
			t.Errorf("a new store costs a request to %s %s", verb, action.GetResource().Resource)
		}
	}
	if actions := w.api.Actions(); len(actions) != 2 || !actions[0].Matches("update", "stores/status") || !actions[1].Matches("update", "stores/status") {
		t.Errorf("requests for the store: %v, want one write to begin and one with the outcome", actions)
	}
	if !w.helm.Requests()[0].Untouched {
		t.Error("Helm was not told that there is nothing in the namespace")
	}

	// Then there may be something.
	w.kube.ClearActions()
	w.clock = w.clock.Add(time.Minute)
	w.reconcileOnce(t)
	if !slices.ContainsFunc(w.kube.Actions(), func(a clientgotesting.Action) bool { return a.Matches("get", "secrets") }) {
		t.Error("after an install that has failed the credentials were not looked for")
	}
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade"}) || w.helm.Requests()[1].Untouched {
		t.Errorf("Helm was asked for %v, the second time as for an untouched namespace: %t", actions, w.helm.Requests()[1].Untouched)
	}
}

// A store that the cache has as new is another one by now, or gone, or was worked on:
// then nothing is made for it, and its status is left as it is, until it was read.
func TestStoreThatIsNotNew(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		prepare func(*testing.T, *world)
		reason  string // of Ready, once the store was read
	}{
		{"with its engine", func(*testing.T, *world) {}, "Checking"},
		{"without its engine", func(t *testing.T, w *world) {
			if err := w.informers[1].GetIndexer().Delete(testEngine()); err != nil {
				t.Fatal(err)
			}
		}, "EngineNotFound"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testStore())
			tc.prepare(t, w)
			writes := 0
			w.api.PrependReactor("update", "stores", func(clientgotesting.Action) (bool, runtime.Object, error) {
				writes++
				return writes == 1, nil, apierrors.NewConflict(v1alpha1.Resource("stores"), testKey.Name, errors.New("it has changed"))
			})
			if _, err := w.reconcile(t.Context(), testKey); err == nil || writes != 1 {
				t.Errorf("after %d writes got error %v, want that the store is not as the cache has it", writes, err)
			}
			if actions := w.kube.Actions(); len(actions) > 0 {
				t.Errorf("meanwhile was asked for %v", actions)
			}
			w.api.ClearActions()
			if _, err := w.reconcile(t.Context(), testKey); err != nil {
				t.Fatal(err)
			}
			if actions := w.api.Actions(); len(actions) == 0 || !actions[0].Matches("get", "stores") {
				t.Errorf("requests %v, want first to read the store", actions)
			}
			wantCondition(t, w.refresh(t), v1alpha1.ConditionReady, metav1.ConditionFalse, tc.reason)
		})
	}
}

// What others have written into the conditions outlasts a conflict, and what was found
// meanwhile, too.
func TestConditionsOfOthersStay(t *testing.T) {
	t.Parallel()
	condition := func(kind, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, LastTransitionTime: metav1.Unix(0, 0)}
	}
	var (
		kept, changed, gone = condition("Kept", "Read"), condition("Changed", "Read"), condition("Gone", "Read")
		found               = condition("Changed", "Found")
		theirs, added       = condition("Kept", "Theirs"), condition("Added", "Theirs")
	)
	for _, tc := range []struct {
		name             string
		base, ours, want []metav1.Condition
		now              []metav1.Condition
	}{
		{"nobody else", []metav1.Condition{kept, changed}, []metav1.Condition{kept, found}, []metav1.Condition{found, kept}, []metav1.Condition{kept, changed}},
		{"added", []metav1.Condition{changed}, []metav1.Condition{found}, []metav1.Condition{found, added}, []metav1.Condition{changed, added}},
		{"written", []metav1.Condition{kept, changed}, []metav1.Condition{kept, found}, []metav1.Condition{found, theirs}, []metav1.Condition{theirs, changed}},
		{"written by both", []metav1.Condition{changed}, []metav1.Condition{found}, []metav1.Condition{found}, []metav1.Condition{condition("Changed", "Theirs")}},
		{"removed", []metav1.Condition{gone, changed}, []metav1.Condition{gone, found}, []metav1.Condition{found}, []metav1.Condition{changed}},
		{"removed here", []metav1.Condition{gone, kept}, []metav1.Condition{kept}, []metav1.Condition{kept}, []metav1.Condition{gone, kept}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			store := testStore()
			store.Status.Conditions = tc.ours
			a := &attempt{store: store, base: &v1alpha1.StoreStatus{Conditions: tc.base}}
			a.takeConditions(tc.now)
			if diff := cmp.Diff(tc.want, a.store.Status.Conditions); diff != "" {
				t.Errorf("conditions differ (-want +got):\n%s", diff)
			}
		})
	}
}

// wantContents checks what stands in the namespace of a new store.
func wantContents(t *testing.T, w *world) {
	t.Helper()
	ns, err := w.kube.CoreV1().Namespaces().Get(t.Context(), testNamespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"platform.dev/store-uid": "5b2c9f1e", "platform.dev/store-name": "flowers", "platform.dev/store-namespace": "team-a",
		"pod-security.kubernetes.io/enforce": "restricted",
	} {
		if ns.Labels[key] != value {
			t.Errorf("the namespace's label %s is %q, want %q", key, ns.Labels[key], value)
		}
	}
	binding, err := w.kube.RbacV1().RoleBindings(testNamespace).Get(t.Context(), "stores-provisioner", metav1.GetOptions{})
	if err != nil || binding.RoleRef.Name != "inside" || len(binding.Subjects) != 1 || binding.Subjects[0].Name != "provisioner" {
		t.Errorf("the RoleBinding is %+v (error %v)", binding, err)
	}
	reader, err := w.kube.RbacV1().RoleBindings(testNamespace).Get(t.Context(), "stores-apiserver", metav1.GetOptions{})
	if err != nil || reader.RoleRef.Name != "credentials" || len(reader.Subjects) != 1 || reader.Subjects[0].Name != "apiserver" {
		t.Errorf("the API server's RoleBinding is %+v (error %v)", reader, err)
	}
	quota, err := w.kube.CoreV1().ResourceQuotas(testNamespace).Get(t.Context(), "store-plan", metav1.GetOptions{})
	if err != nil || quota.Spec.Hard.Name("limits.cpu", "").String() != "2" {
		t.Errorf("the quota is %+v (error %v)", quota.Spec, err)
	}
	policy, err := w.kube.NetworkingV1().NetworkPolicies(testNamespace).Get(t.Context(), "store-default-deny", metav1.GetOptions{})
	if err != nil || len(policy.Spec.PolicyTypes) != 2 || len(policy.Spec.Ingress)+len(policy.Spec.Egress) != 0 {
		t.Errorf("the network policy is %+v (error %v)", policy.Spec, err)
	}
	secret, err := w.kube.CoreV1().Secrets(testNamespace).Get(t.Context(), "store-credentials", metav1.GetOptions{})
	if err != nil || len(secret.Data["password"]) != 24 || secret.Labels["platform.dev/store-uid"] != "5b2c9f1e" {
		t.Errorf("the Secret has labels %v and a password of %d characters (error %v)", secret.Labels, len(secret.Data["password"]), err)
	}
	if diff := cmp.Diff(map[string]any{"title": "Flowers", "secret": "store-credentials"}, w.helm.Requests()[0].Values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestCredentialsAreMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.becomeReady(t)
	secrets := w.kube.CoreV1().Secrets(testNamespace)
	before, err := secrets.Get(t.Context(), CredentialsSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	// A newer engine wants another key, and the old one in another way.
	newer := testEngine()
	newer.Spec.Credentials = []v1alpha1.Credential{
		{Key: "password", Generate: &v1alpha1.RandomValue{Length: 99}},
		{Key: "token", Generate: &v1alpha1.RandomValue{Length: 32, Format: v1alpha1.RandomHex}},
	}
	if err := w.informers[1].GetIndexer().Update(newer); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.reconcileOnce(t)
	}
	after, err := secrets.Get(t.Context(), CredentialsSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(before.Data["password"], after.Data["password"]) {
		t.Error("the password has changed")
	}
	if len(after.Data["token"]) != 32 {
		t.Errorf("the new key has %d characters, want 32", len(after.Data["token"]))
	}

	// Without the Secret nothing new is made: the database knows the old one.
	if err := secrets.Delete(t.Context(), CredentialsSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionSecretsReady, metav1.ConditionFalse, "CredentialsLost")
	wantCondition(t, store, v1alpha1.ConditionStalled, metav1.ConditionTrue, "CredentialsLost")
	if _, err := secrets.Get(t.Context(), CredentialsSecret, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("new credentials were made (error %v)", err)
	}
}

func TestReleaseFollowsTheSpec(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.becomeReady(t)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.DisplayName = "Trees" })
	store := w.reconcileOnce(t)
	// What the old storefront answered does not make the new one ready.
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionFalse, "Checking")
	requests := w.helm.Requests()
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade"}) || requests[1].Values["title"] != "Trees" {
		t.Errorf("Helm was asked for %v with %v", actions, requests[len(requests)-1].Values)
	}
}

func TestInterruptedReleaseIsUnlockedAndUpgraded(t *testing.T) {
	t.Parallel()
	for _, status := range []helm.Status{"pending-install", "pending-upgrade", "pending-rollback", "uninstalling"} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: CredentialsSecret}, Data: map[string][]byte{"password": []byte("first")}}
			w := newWorld(t, testStore(), storeNamespace(), secret)
			w.helm.Put(testNamespace, ReleaseName, helm.Release{Revision: 4, Status: status, Labels: map[string]string{LabelChartDigest: "another"}})
			store := w.becomeReady(t)
			if actions := w.helm.Actions(); !slices.Equal(actions, []string{"unlock", "upgrade"}) {
				t.Errorf("Helm was asked for %v, want unlock and upgrade", actions)
			}
			if store.Status.Release.Revision != 5 {
				t.Errorf("the revision is %d, want 5", store.Status.Release.Revision)
			}
		})
	}
}

func TestFailedReleaseIsRetriedWithPatience(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	broken := true
	w.helm.Fail = func(string) error {
		if broken {
			return errors.New("the cluster says no")
		}
		return nil
	}
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReleaseInstalled, metav1.ConditionFalse, "ReleaseFailed")
	wantCondition(t, store, v1alpha1.ConditionReconciling, metav1.ConditionTrue, "ReleaseFailed")

	// Being woken by anything does not make it try sooner, or forget why.
	store = w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReleaseInstalled, metav1.ConditionFalse, "ReleaseFailed")
	if !strings.Contains(store.Status.Steps[2].Message, "the cluster says no") {
		t.Errorf("the step's message is %q", store.Status.Steps[2].Message)
	}
	if actions := w.helm.Actions(); len(actions) != 1 {
		t.Fatalf("Helm was asked for %v, want one install", actions)
	}
	for range 2 {
		w.clock = w.clock.Add(10 * time.Second)
		store = w.reconcileOnce(t)
	}
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade", "upgrade"}) {
		t.Fatalf("Helm was asked for %v", actions)
	}
	wantCondition(t, store, v1alpha1.ConditionStalled, metav1.ConditionTrue, "ReleaseFailed")
	wantNoCondition(t, store, v1alpha1.ConditionReconciling)

	// A changed spec is tried at once.
	broken = false
	w.change(t, func(s *v1alpha1.Store) { s.Spec.DisplayName = "Trees" })
	store = w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReleaseInstalled, metav1.ConditionTrue, "ReleaseDeployed")
}

// What fails is tried for ever, never by taking down what is there, and with the same
// secrets.
func TestRetriesNeverEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.helm.Fail = func(string) error { return errors.New("the cluster says no") }
	w.reconcileOnce(t)
	secrets := w.kube.CoreV1().Secrets(testNamespace)
	before, err := secrets.Get(t.Context(), CredentialsSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const retries = 20
	want := []string{"install"}
	for range retries {
		w.clock = w.clock.Add(retryMost * 5 / 4) // The longest wait, with its jitter.
		w.reconcileOnce(t)
		want = append(want, "upgrade")
	}
	if diff := cmp.Diff(want, w.helm.Actions()); diff != "" {
		t.Errorf("Helm was asked for (-want +got):\n%s", diff)
	}
	after, err := secrets.Get(t.Context(), CredentialsSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the credentials have changed (-before +after):\n%s", diff)
	}
	w.helm.Fail = nil
	w.clock = w.clock.Add(retryMost * 5 / 4)
	w.becomeReady(t)
}

func TestMissingWorkloadIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore(), completeJob("migrate"))
	w.helm.Manifest = []helm.Object{{APIVersion: "apps/v1", Kind: "Deployment", Name: "shop"}, {APIVersion: "batch/v1", Kind: "Job", Name: "migrate"}}
	shop := &appsv1.Deployment{ObjectMeta: released("shop"), Status: appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}}
	if _, err := w.kube.AppsV1().Deployments(testNamespace).Create(t.Context(), shop, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.becomeReady(t)
	// A job that cleans itself up is not missed.
	if err := w.kube.BatchV1().Jobs(testNamespace).Delete(t.Context(), "migrate", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.reconcileOnce(t)
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install"}) {
		t.Fatalf("Helm was asked for %v, want one install", actions)
	}
	if err := w.kube.AppsV1().Deployments(testNamespace).Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.reconcileOnce(t)
	w.reconcileOnce(t)
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade"}) {
		t.Errorf("Helm was asked for %v, want one upgrade", actions)
	}
}

func TestFailedJobIsRunAgain(t *testing.T) {
	t.Parallel()
	failedJob := &batchv1.Job{ObjectMeta: released("migrate"), Spec: batchv1.JobSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"job": "migrate"}}}, Status: batchv1.JobStatus{
		Conditions: []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "too often"}},
	}}
	w := newWorld(t, testStore(), failedJob)
	w.helm.Manifest = []helm.Object{{APIVersion: "batch/v1", Kind: "Job", Name: "migrate"}}
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionWorkloadReady, metav1.ConditionFalse, "JobFailed")
	w.clock = w.clock.Add(10 * time.Second)
	w.reconcileOnce(t)
	w.reconcileOnce(t)
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade"}) {
		t.Errorf("Helm was asked for %v, want the job to be made again by one upgrade", actions)
	}
}

func TestStorefrontDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.answers = func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "migrating", http.StatusServiceUnavailable)
	}
	w.reconcileOnce(t)
	w.untilAnswered(t)
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionFalse, "StorefrontNotAnswering")
	if message := store.Status.Steps[5].Message; message != "GET /ready?deep=1 answered 503, not 200" {
		t.Errorf("the message is %q", message)
	}
}

func TestReadyFollowsEvidence(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	w.kube.PrependReactor("list", "deployments", func(clientgotesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(errors.New("etcd is away"))
	})
	if _, err := w.reconcile(t.Context(), testKey); err == nil {
		t.Error("the error was lost")
	}
	wantCondition(t, w.refresh(t), v1alpha1.ConditionReady, metav1.ConditionTrue, "Selling")
}

// A provisioner that starts anew has no answer of any storefront yet.
func TestRestartKeepsReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.becomeReady(t)
	w.forget(testKey)
	w.answers = func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "migrating", http.StatusServiceUnavailable)
	}
	wantCondition(t, w.reconcileOnce(t), v1alpha1.ConditionReady, metav1.ConditionTrue, "Selling")
	w.untilAnswered(t)
	wantCondition(t, w.reconcileOnce(t), v1alpha1.ConditionReady, metav1.ConditionFalse, "StorefrontNotAnswering")
}

func TestWhatCannotWorkStalls(t *testing.T) {
	t.Parallel()
	foreign := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: testNamespace, Labels: map[string]string{"platform.dev/store-uid": "another"}}}
	for name, tc := range map[string]struct {
		objects []runtime.Object
		edit    func(*v1alpha1.Store)
		reason  string
	}{
		"no such engine":        {nil, func(s *v1alpha1.Store) { s.Spec.Engine = "none" }, "EngineNotFound"},
		"no such version":       {nil, func(s *v1alpha1.Store) { s.Spec.Version = "9" }, "VersionNotOffered"},
		"no such plan":          {nil, func(s *v1alpha1.Store) { s.Spec.Plan = "huge" }, "PlanNotOffered"},
		"values not allowed":    {nil, func(s *v1alpha1.Store) { s.Spec.Values = &runtime.RawExtension{Raw: []byte(`{"a":1}`)} }, "InvalidValues"},
		"somebody's namespace":  {[]runtime.Object{foreign}, func(*v1alpha1.Store) {}, "NamespaceConflict"},
		"an unlabelled one too": {[]runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: testNamespace}}}, func(*v1alpha1.Store) {}, "NamespaceConflict"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := testStore()
			tc.edit(store)
			w := newWorld(t, store, tc.objects...)
			got := w.reconcileOnce(t)
			wantCondition(t, got, v1alpha1.ConditionStalled, metav1.ConditionTrue, tc.reason)
			wantCondition(t, got, v1alpha1.ConditionReady, metav1.ConditionFalse, tc.reason)
			if actions := w.helm.Actions(); len(actions) > 0 {
				t.Errorf("Helm was asked for %v", actions)
			}
			for _, action := range w.kube.Actions() {
				// To create one that exists is refused.
				if len(tc.objects) > 0 && action.GetVerb() != "get" && !action.Matches("create", "namespaces") {
					t.Errorf("somebody else's namespace saw %s %s", action.GetVerb(), action.GetResource().Resource)
				}
			}
		})
	}
}

// What is in the namespace already is taken over only if it is the store's own.
func TestReleaseIsTakenOverOnlyIfItIsTheStores(t *testing.T) {
	t.Parallel()
	own := map[string]string{LabelChartDigest: "before", LabelValuesDigest: "before"}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: CredentialsSecret}, Data: map[string][]byte{"password": []byte("first")}}
	for name, tc := range map[string]struct {
		release *helm.Release
		secret  bool
		actions []string
		reason  string // of Ready
	}{
		"absent":                               {nil, false, []string{"install"}, "Checking"},
		"absent, with the credentials":         {nil, true, []string{"install"}, "Checking"},
		"ours":                                 {&helm.Release{Revision: 4, Status: helm.StatusDeployed, Labels: own}, true, []string{"upgrade"}, "Checking"},
		"ours, failed":                         {&helm.Release{Revision: 4, Status: helm.StatusFailed, Labels: own}, true, []string{"upgrade"}, "Checking"},
		"ours, left by a process that is gone": {&helm.Release{Revision: 4, Status: "pending-install", Labels: own}, true, []string{"unlock", "upgrade"}, "Checking"},
		"ours, without the credentials":        {&helm.Release{Revision: 4, Status: helm.StatusDeployed, Labels: own}, false, nil, "CredentialsLost"},
		"foreign":                              {&helm.Release{Revision: 4, Status: helm.StatusDeployed}, true, nil, "ReleaseConflict"},
		"foreign, and under way":               {&helm.Release{Revision: 4, Status: "pending-upgrade"}, true, nil, "ReleaseConflict"},
		"foreign, without the credentials":     {&helm.Release{Revision: 4, Status: helm.StatusDeployed}, false, nil, "ReleaseConflict"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := []runtime.Object{storeNamespace()}
			if tc.secret {
				objects = append(objects, secret.DeepCopy())
			}
			w := newWorld(t, testStore(), objects...)
			if tc.release != nil {
				w.helm.Put(testNamespace, ReleaseName, *tc.release)
			}
			store := w.reconcileOnce(t)
			wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionFalse, tc.reason)
			if got := w.helm.Actions(); !slices.Equal(got, tc.actions) {
				t.Errorf("Helm was asked for %v, want %v", got, tc.actions)
			}
			if tc.reason == "ReleaseConflict" {
				wantCondition(t, store, v1alpha1.ConditionStalled, metav1.ConditionTrue, tc.reason)
				if err := w.helm.Uninstall(t.Context(), testNamespace, ReleaseName); err != nil {
					t.Fatal(err)
				}
				w.becomeReady(t)
			}
		})
	}
}

func TestSuspendedStoreIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.becomeReady(t)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Suspend = true; s.Spec.DisplayName = "Trees" })
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "Suspended")
	wantNoCondition(t, store, v1alpha1.ConditionReconciling)
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install"}) {
		t.Errorf("Helm was asked for %v", actions)
	}
}

func TestHibernatedStoreIsAtRest(t *testing.T) {
	t.Parallel()
	store := testStore()
	store.Spec.PowerState = v1alpha1.PowerStateHibernated
	got := newWorld(t, store).reconcileOnce(t)
	wantCondition(t, got, v1alpha1.ConditionReady, metav1.ConditionFalse, "Hibernated")
	wantCondition(t, got, v1alpha1.ConditionRouteReady, metav1.ConditionTrue, "NotRequired")
	wantNoCondition(t, got, v1alpha1.ConditionReconciling)
	wantNoCondition(t, got, v1alpha1.ConditionStalled)
}

func TestNothingSecretIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	store := w.becomeReady(t)
	secret, err := w.kube.CoreV1().Secrets(testNamespace).Get(t.Context(), CredentialsSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	password := string(secret.Data["password"])
	told := cmp.Diff(store, nil) + cmp.Diff(w.helm.Requests()[0].Values, nil)
	for len(w.events.Events) > 0 {
		told += <-w.events.Events
	}
	if strings.Contains(told, password) {
		t.Error("the password is in the store, its events or its values")
	}
}

func TestLaterStoreOfTheSameNameIsAnother(t *testing.T) {
	t.Parallel()
	first, second := testStore(), testStore()
	second.UID = types.UID("another")
	if NamespaceName(first) == NamespaceName(second) {
		t.Errorf("both have namespace %s", NamespaceName(first))
	}
}

func TestAccessTakesAMomentToBeGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	granted := false
	w.kube.PrependReactor("patch", "resourcequotas", func(clientgotesting.Action) (bool, runtime.Object, error) {
		return !granted, nil, apierrors.NewForbidden(corev1.Resource("resourcequotas"), "store-plan", errors.New("not yet"))
	})
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionNamespaceReady, metav1.ConditionFalse, "GrantingAccess")
	if len(w.events.Events) > 0 {
		t.Errorf("what is normal made an event: %s", <-w.events.Events)
	}
	w.clock = w.clock.Add(time.Minute)
	store = w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionNamespaceReady, metav1.ConditionFalse, "Forbidden")
	granted = true
	w.becomeReady(t)
}
