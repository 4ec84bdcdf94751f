package stores

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/storage/history"
)

// rollbackManager is the field manager of a rollback that names none.
const rollbackManager = "rollback"

// RollbackREST serves stores/rollback: a way to update a store that takes the new
// spec from its history. All that guards an update guards it too.
type RollbackREST struct {
	stores   *REST
	past     history.Reader
	admit    admission.Interface
	scope    admission.ObjectInterfaces
	managers *managedfields.FieldManager
}

var (
	_ rest.NamedCreater    = &RollbackREST{}
	_ rest.StorageMetadata = &RollbackREST{}
)

// NewRollbackREST returns the REST storage of stores/rollback. The new store goes
// through admit, and fields records who wrote its fields.
func NewRollbackREST(stores *REST, past history.Reader, admit admission.Interface, scheme *runtime.Scheme, fields managedfields.TypeConverter) (*RollbackREST, error) {
	managers, err := managedfields.NewDefaultFieldManager(fields, scheme, scheme, scheme,
		v1alpha1.SchemeGroupVersion.WithKind("Store"), platform.SchemeGroupVersion, "",
		fieldpath.NewExcludeFilterSetMap(stores.GetResetFields()))
	if err != nil {
		return nil, fmt.Errorf("making the field manager of rollbacks: %w", err)
	}
	return &RollbackREST{stores, past, admission.WithAudit(admit), admission.NewObjectInterfacesFromScheme(scheme), managers}, nil
}

// New returns an empty rollback to decode into.
func (*RollbackREST) New() runtime.Object { return &platform.StoreRollback{} }

// Destroy does nothing: the storage belongs to REST.
func (*RollbackREST) Destroy() {}

// ProducesMIMETypes adds none to those of every resource.
func (*RollbackREST) ProducesMIMETypes(string) []string { return nil }

// ProducesObject says that a rollback answers the store.
func (*RollbackREST) ProducesObject(string) any { return v1alpha1.Store{} }

// Create makes the spec of a revision the store's spec. Whatever else is written
// to the store at the same time comes before or after it as a whole.
func (r *RollbackREST) Create(ctx context.Context, name string, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	rollback := obj.(*platform.StoreRollback)
	if rollback.Name != "" && rollback.Name != name {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the rollback is of store %q and was sent to store %q", rollback.Name, name))
	}
	if createValidation != nil {
		if err := createValidation(ctx, rollback.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	key, err := r.stores.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	revision, err := revisionOf(ctx, r.past, key, rollback.Spec.ResourceVersion)
	if err != nil {
		return nil, explainPast(ctx, r.past, key, name, "at revision "+rollback.Spec.ResourceVersion, err)
	}
	update := &metav1.UpdateOptions{
		DryRun:       options.DryRun,
		FieldManager: cmp.Or(options.FieldManager, rollbackManager),
	}
	attributes := r.attributes(ctx, name, nil, nil, update)
	info := rest.DefaultUpdatedObjectInfo(nil, func(ctx context.Context, _, live runtime.Object) (runtime.Object, error) {
		return r.rolledBack(ctx, live.(*platform.Store), revision.Object.(*platform.Store), name, update)
	})
	updated, _, err := r.stores.Update(ctx, name, info, rest.ValidateAllObjectFunc,
		rest.AdmissionToValidateObjectUpdateFunc(r.admit, attributes, r.scope), false, update)
	return updated, err
}

// rolledBack returns live with the spec of past. It is called again if live was
// changed meanwhile.
func (r *RollbackREST) rolledBack(ctx context.Context, live, past *platform.Store, name string, options *metav1.UpdateOptions) (runtime.Object, error) {
	switch live.UID {
	case past.UID:
	case "":
		return nil, apierrors.NewNotFound(platform.Resource("stores"), name)
	default:
		return nil, apierrors.NewConflict(platform.Resource("stores"), name, errors.New("the store was deleted and created again"))
	}
	store := live.DeepCopy()
	store.Spec = *past.Spec.DeepCopy()
	store.Spec.Owner = live.Spec.Owner
	managed := r.managers.UpdateNoErrors(live, store, options.FieldManager).(*platform.Store)
	if mutating, ok := r.admit.(admission.MutationInterface); ok && mutating.Handles(admission.Update) {
		if err := mutating.Admit(ctx, r.attributes(ctx, name, managed, live, options), r.scope); err != nil {
			return nil, err
		}
	}
	return managed, nil
}

// attributes describe to admission an update of the store itself.
func (r *RollbackREST) attributes(ctx context.Context, name string, obj, old runtime.Object, options *metav1.UpdateOptions) admission.Attributes {
	user, _ := genericapirequest.UserFrom(ctx)
	return admission.NewAttributesRecord(obj, old, v1alpha1.SchemeGroupVersion.WithKind("Store"),
		genericapirequest.NamespaceValue(ctx), name, v1alpha1.SchemeGroupVersion.WithResource("stores"), "",
		admission.Update, options, dryrun.IsDryRun(options.DryRun), user)
}
