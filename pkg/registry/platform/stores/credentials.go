package stores

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/registry/platform/table"
)

// Cluster is where the credentials of stores are.
type Cluster interface {
	corev1.NamespacesGetter
	corev1.SecretsGetter
}

// CredentialsREST serves stores/credentials. It asks the cluster each time, with
// the server's own identity, and keeps nothing: who may ask is decided by RBAC on
// the subresource.
type CredentialsREST struct {
	stores, engines rest.Getter
	cluster         Cluster
	rest.TableConvertor
}

var (
	_ rest.Getter         = &CredentialsREST{}
	_ rest.TableConvertor = &CredentialsREST{}
)

// NewCredentialsREST returns the REST storage of stores/credentials.
func NewCredentialsREST(stores, engines rest.Getter, cluster Cluster) *CredentialsREST {
	return &CredentialsREST{stores, engines, cluster, table.Convertor{Columns: credentialsColumns, Cells: credentialsCells}}
}

// credentialsColumns leave the password to those who ask for it by -o.
var credentialsColumns = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: "The store's name."},
	{Name: "URL", Type: "string", Description: "Where shoppers find the shop."},
	{Name: "Admin URL", Type: "string", Description: "Where the administrator logs in."},
	{Name: "Username", Type: "string", Description: "The administrator's login."},
}

func credentialsCells(obj runtime.Object) []any {
	credentials := obj.(*platform.StoreCredentials)
	return []any{credentials.Name, credentials.URL, credentials.AdminURL, credentials.Username}
}

// New returns empty credentials.
func (*CredentialsREST) New() runtime.Object { return &platform.StoreCredentials{} }

// Destroy does nothing: the storage belongs to REST.
func (*CredentialsREST) Destroy() {}

// Get reads the login of a store.
func (r *CredentialsREST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	obj, err := r.stores.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	store := obj.(*platform.Store)
	if obj, err = r.engines.Get(ctx, store.Spec.Engine, &metav1.GetOptions{}); err != nil {
		return nil, fmt.Errorf("reading the engine of store %q: %w", name, err)
	}
	login := obj.(*platform.Engine).Spec.AdminLogin
	if login == nil {
		return nil, noLogin(store)
	}
	data, err := r.read(ctx, store)
	if err != nil {
		return nil, err
	}
	username, password := data[login.UsernameKey], data[login.PasswordKey]
	if len(username) == 0 || len(password) == 0 {
		return nil, notYet(store)
	}
	return &platform.StoreCredentials{
		ObjectMeta: metav1.ObjectMeta{Name: store.Name, Namespace: store.Namespace},
		URL:        store.Status.URL,
		AdminURL:   store.Status.AdminURL,
		Username:   string(username),
		Password:   string(password),
	}, nil
}

// read returns the secret values of the store. The status says where they are,
// and the namespace's label has to agree: whatever is written into a status, no
// other store's secrets are read.
func (r *CredentialsREST) read(ctx context.Context, store *platform.Store) (map[string][]byte, error) {
	if store.Status.Namespace == "" {
		return nil, notYet(store)
	}
	namespace, err := r.cluster.Namespaces().Get(ctx, store.Status.Namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, notYet(store)
	case err != nil:
		return nil, unreadable(store, err)
	case store.UID == "" || namespace.Labels[v1alpha1.LabelStoreUID] != string(store.UID):
		return nil, apierrors.NewForbidden(platform.Resource("stores"), store.Name,
			fmt.Errorf("namespace %q, which status.namespace names, is not the store's: ask a cluster administrator who has written it", namespace.Name))
	}
	secret, err := r.cluster.Secrets(namespace.Name).Get(ctx, v1alpha1.CredentialsSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, notYet(store)
	case err != nil:
		return nil, unreadable(store, err)
	}
	return secret.Data, nil
}

// notYet refuses what cannot be read before provisioning has come further, and
// tells what that waits for.
func notYet(store *platform.Store) error {
	return apierrors.NewConflict(platform.Resource("stores"), store.Name, errors.New(awaited(store)))
}

func awaited(store *platform.Store) string {
	for _, step := range []string{v1alpha1.ConditionNamespaceReady, v1alpha1.ConditionSecretsReady} {
		if meta.IsStatusConditionTrue(store.Status.Conditions, step) {
			continue
		}
		text := fmt.Sprintf("its credentials do not exist yet: try again when %s is True; now it waits for %s", v1alpha1.ConditionSecretsReady, step)
		for _, kind := range []string{step, v1alpha1.ConditionReady} { // Before its turn a step has no condition.
			if c := meta.FindStatusCondition(store.Status.Conditions, kind); c != nil {
				return fmt.Sprintf("%s: %s: %s", text, c.Reason, c.Message)
			}
		}
		return text
	}
	return fmt.Sprintf("its credentials are missing in Secret %s in namespace %q: restore it", v1alpha1.CredentialsSecret, store.Status.Namespace)
}

// noLogin answers for engines whose shops nobody logs in to.
func noLogin(store *platform.Store) error {
	err := apierrors.NewNotFound(platform.Resource("stores/credentials"), store.Name)
	err.ErrStatus.Message = fmt.Sprintf("store %q has no credentials to show: engine %q names no admin login: a cluster administrator may set its spec.adminLogin", store.Name, store.Spec.Engine)
	return err
}

// unreadable tells that the server itself was refused, or got no answer. Rights
// that the provisioner granted a moment ago take effect soon.
func unreadable(store *platform.Store, err error) error {
	if apierrors.IsForbidden(err) {
		err = errors.New("the API server has not been given access to them")
	}
	refusal := apierrors.NewServiceUnavailable(fmt.Sprintf("the credentials of store %q in namespace %q are out of reach now, try again: %v",
		store.Name, store.Status.Namespace, err))
	refusal.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	return refusal
}
