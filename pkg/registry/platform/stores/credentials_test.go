package stores

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// getter answers every name with one object.
type getter struct{ object runtime.Object }

func (g getter) Get(context.Context, string, *metav1.GetOptions) (runtime.Object, error) {
	return g.object, nil
}

func (getter) New() runtime.Object { return nil }
func (getter) Destroy()            {}

// credentialsWorld is a store whose credentials are there, and all that leads to them.
type credentialsWorld struct {
	store     *platform.Store
	engine    *platform.Engine
	namespace *corev1.Namespace
	secret    *corev1.Secret
	refusal   error // of the Secret
}

func newCredentialsWorld() *credentialsWorld {
	const namespace = "store-flowers-1"
	return &credentialsWorld{
		store: &platform.Store{
			ObjectMeta: metav1.ObjectMeta{Name: "flowers", Namespace: "team-a", UID: "1"},
			Spec:       platform.StoreSpec{Engine: "medusa"},
			Status:     platform.StoreStatus{Namespace: namespace, URL: "https://flowers", AdminURL: "https://flowers/app"},
		},
		engine:    &platform.Engine{Spec: platform.EngineSpec{AdminLogin: &platform.AdminLogin{UsernameKey: "user", PasswordKey: "pass"}}},
		namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{v1alpha1.LabelStoreUID: "1"}}},
		secret: &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "store-credentials", Namespace: namespace},
			Data:       map[string][]byte{"user": []byte("admin@flowers"), "pass": []byte("s3cret"), "database": []byte("other")},
		},
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	pending := func(c ...metav1.Condition) func(*credentialsWorld) {
		return func(w *credentialsWorld) { w.secret.Name, w.store.Status.Conditions = "other", c }
	}
	namespaceReady := metav1.Condition{Type: v1alpha1.ConditionNamespaceReady, Status: metav1.ConditionTrue}
	secretsReady := metav1.Condition{Type: v1alpha1.ConditionSecretsReady, Status: metav1.ConditionTrue}
	tests := []struct {
		name   string
		change func(*credentialsWorld)
		is     func(error) bool // nil for success
		parts  []string         // of the error
	}{
		{"ready", func(*credentialsWorld) {}, nil, nil},
		{"not taken up", func(w *credentialsWorld) { w.store.Status = platform.StoreStatus{} }, apierrors.IsConflict, []string{"waits for NamespaceReady"}},
		{"namespace waits", pending(metav1.Condition{Type: v1alpha1.ConditionNamespaceReady, Status: metav1.ConditionFalse, Reason: "GrantingAccess", Message: "Waiting."}),
			apierrors.IsConflict, []string{"NamespaceReady: GrantingAccess: Waiting."}},
		{"nobody has begun", func(w *credentialsWorld) {
			w.store.Status = platform.StoreStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Suspended", Message: "Left alone."}}}
		}, apierrors.IsConflict, []string{"try again when SecretsReady is True; now it waits for NamespaceReady: Suspended: Left alone."}},
		{"secrets wait", pending(namespaceReady), apierrors.IsConflict, []string{"waits for SecretsReady"}},
		{"secret lost", pending(namespaceReady, secretsReady), apierrors.IsConflict, []string{"restore", "store-flowers-1"}},
		{"key missing", func(w *credentialsWorld) { delete(w.secret.Data, "pass") }, apierrors.IsConflict, nil},
		{"engine without a login", func(w *credentialsWorld) { w.engine.Spec.AdminLogin = nil }, apierrors.IsNotFound, []string{`"medusa" names no admin login`}},
		{"another store's namespace", func(w *credentialsWorld) { w.namespace.Labels[v1alpha1.LabelStoreUID] = "2" }, apierrors.IsForbidden, []string{"is not the store's"}},
		{"nobody's namespace", func(w *credentialsWorld) { w.namespace.Labels = nil }, apierrors.IsForbidden, []string{"is not the store's"}},
		{"nobody's namespace for a store without UID", func(w *credentialsWorld) { w.namespace.Labels, w.store.UID = nil, "" }, apierrors.IsForbidden, nil},
		{"not granted yet", func(w *credentialsWorld) {
			w.refusal = apierrors.NewForbidden(corev1.Resource("secrets"), "store-credentials", errors.New("no RBAC policy matched"))
		}, apierrors.IsServiceUnavailable, []string{"try again"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newCredentialsWorld()
			test.change(w)
			cluster := kubefake.NewClientset(w.namespace, w.secret)
			if w.refusal != nil {
				cluster.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, w.refusal })
			}
			got, err := NewCredentialsREST(getter{w.store}, getter{w.engine}, cluster.CoreV1()).Get(t.Context(), "flowers", nil)
			if test.is != nil {
				if !test.is(err) {
					t.Fatalf("got %v, want another error", err)
				}
				if seconds, wait := apierrors.SuggestsClientDelay(err); apierrors.IsServiceUnavailable(err) && (!wait || seconds != 1) {
					t.Errorf("no word of when to come again in %v", err)
				}
				for _, part := range append(test.parts, "flowers") {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q is missing in %q", part, err)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := &platform.StoreCredentials{
				ObjectMeta: metav1.ObjectMeta{Name: "flowers", Namespace: "team-a"},
				URL:        "https://flowers", AdminURL: "https://flowers/app", Username: "admin@flowers", Password: "s3cret",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("credentials (-want +got):\n%s", diff)
			}
		})
	}
}
