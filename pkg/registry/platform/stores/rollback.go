package stores

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/operation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
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

// rollbackStrategy says how a Store is rolled back: as it is updated, but that data
// can be asked for.
type rollbackStrategy struct {
	strategy
}

// PrepareForUpdate keeps what a rollback does not write.
func (s rollbackStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	s.prepareForUpdate(obj.(*platform.Store), old.(*platform.Store))
}

// RollbackREST serves stores/rollback: a way to update a store that takes the new
// spec from its history. All that guards an update guards it too.
type RollbackREST struct {
	stores   *REST
	engines  rest.Getter
	past     history.Reader
	admit    admission.Interface
	scope    admission.ObjectInterfaces
	managers *managedfields.FieldManager
	rules    rest.DeclarativeValidation
}

var (
	_ rest.NamedCreater    = &RollbackREST{}
	_ rest.StorageMetadata = &RollbackREST{}
)

// NewRollbackREST returns the REST storage of stores/rollback. The new store goes
// through admit, and fields records who wrote its fields.
func NewRollbackREST(stores *REST, engines rest.Getter, past history.Reader, admit admission.Interface, scheme *runtime.Scheme, fields managedfields.TypeConverter) (*RollbackREST, error) {
	managers, err := managedfields.NewDefaultFieldManager(fields, scheme, scheme, scheme,
		v1alpha1.SchemeGroupVersion.WithKind("Store"), platform.SchemeGroupVersion, "",
		fieldpath.NewExcludeFilterSetMap(stores.GetResetFields()))
	if err != nil {
		return nil, fmt.Errorf("making the field manager of rollbacks: %w", err)
	}
	updates := *stores.Store
	updates.UpdateStrategy = rollbackStrategy{updates.UpdateStrategy.(strategy)}
	stores = &REST{&updates, stores.rules, stores.ledger, stores.previews}
	return &RollbackREST{stores, engines, past, admission.WithAudit(admit), admission.NewObjectInterfacesFromScheme(scheme), managers, rest.DeclarativeValidation{Scheme: scheme}}, nil
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
		return nil, apierrors.NewBadRequest(fmt.Sprintf("metadata.name %q must be the name of the store that the rollback is sent to, %q: set it or leave it out", rollback.Name, name))
	}
	if faults := r.validate(ctx, rollback); len(faults) > 0 {
		return nil, invalidRollback(name, faults)
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
	revision, err := revisionOf(ctx, r.past, key, name, rollback.Spec.ResourceVersion)
	if err != nil {
		return nil, err
	}
	update := &metav1.UpdateOptions{
		DryRun:       options.DryRun,
		FieldManager: cmp.Or(options.FieldManager, rollbackManager),
	}
	attributes := r.attributes(ctx, name, nil, nil, update)
	info := rest.DefaultUpdatedObjectInfo(nil, func(ctx context.Context, _, live runtime.Object) (runtime.Object, error) {
		return r.rolledBack(ctx, live.(*platform.Store), revision.Object.(*platform.Store), rollback, name, update)
	})
	updated, _, err := r.stores.Update(ctx, name, info, rest.ValidateAllObjectFunc,
		rest.AdmissionToValidateObjectUpdateFunc(r.admit, attributes, r.scope), false, update)
	return updated, err
}

// validate returns every fault of a rollback that can be told without the store.
func (r *RollbackREST) validate(ctx context.Context, rollback *platform.StoreRollback) field.ErrorList {
	faults := r.rules.ValidateDeclaratively(ctx, rollback, nil, nil, operation.Create, r.rules.DeclarativeValidationConfig(ctx, rollback, nil))
	for _, fault := range faults {
		if fault.Type == field.ErrorTypeRequired {
			fault.Detail = "must be a revision that stores/history lists"
		}
	}
	if rollback.Spec.Backup != "" && rollback.Spec.Data != platform.RollbackDataRestore {
		faults = append(faults, field.Invalid(field.NewPath("spec", "backup"), rollback.Spec.Backup, "must not be set unless spec.data is Restore"))
	}
	return faults
}

func invalidRollback(name string, faults field.ErrorList) error {
	return apierrors.NewInvalid(platform.SchemeGroupVersion.WithKind("StoreRollback").GroupKind(), name, faults)
}

// rolledBack returns live with the spec of past, and the data if the rollback asks
// for it. It is called again if live was changed meanwhile.
func (r *RollbackREST) rolledBack(ctx context.Context, live, past *platform.Store, rollback *platform.StoreRollback, name string, options *metav1.UpdateOptions) (runtime.Object, error) {
	switch live.UID {
	case past.UID:
	case "":
		return nil, apierrors.NewNotFound(platform.Resource("stores"), name)
	default:
		return nil, apierrors.NewConflict(platform.Resource("stores"), name, errors.New("the store was deleted and created again: read its history again and choose a revision from there"))
	}
	store := live.DeepCopy()
	store.Spec = *past.Spec.DeepCopy()
	store.Spec.Owner, store.Spec.Restore = live.Spec.Owner, live.Spec.Restore
	if rollback.Spec.Data == platform.RollbackDataRestore {
		obj, err := r.engines.Get(ctx, past.Spec.Engine, &metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("reading the engine of store %q: %w", name, err)
		}
		restore, fault := restoreFor(obj.(*platform.Engine), live, past, rollback.Spec.Backup)
		if fault != nil {
			return nil, invalidRollback(name, field.ErrorList{fault})
		}
		store.Spec.Restore = restore
	}
	managed := r.managers.UpdateNoErrors(live, store, options.FieldManager).(*platform.Store)
	if mutating, ok := r.admit.(admission.MutationInterface); ok && mutating.Handles(admission.Update) {
		if err := mutating.Admit(ctx, r.attributes(ctx, name, managed, live, options), r.scope); err != nil {
			return nil, err
		}
	}
	return managed, nil
}

// restoreFor is the request for the data that live had when it left the spec of
// past, or for the backup that is named, or why it cannot be had. Of several backups
// the newest is meant.
func restoreFor(engine *platform.Engine, live, past *platform.Store, name string) (*platform.StoreRestore, *field.Error) {
	data := field.NewPath("spec", "data")
	if engine.Spec.Backup == nil || engine.Spec.Backup.RestoreCronJob == "" {
		return nil, field.Forbidden(data, fmt.Sprintf("engine %q names no spec.backup.restoreCronJob: its data may only be brought back by hand: leave spec.data out to bring back the spec alone", engine.Name))
	}
	if live.Spec.PowerState == platform.PowerStateHibernated || past.Spec.PowerState == platform.PowerStateHibernated {
		return nil, field.Forbidden(data, "the store is hibernated, or was at the revision: wake it first and choose a revision at which it ran, or leave spec.data out")
	}
	var have []string
	for _, backup := range live.Status.Backups {
		meant := backup.Name == name || name == "" && backup.FirstGeneration <= past.Generation && past.Generation <= backup.LastGeneration
		if meant && backup.Version == past.Spec.Version {
			return &platform.StoreRestore{Backup: backup.Name, Time: metav1.Now().Rfc3339Copy()}, nil
		}
		have = append(have, fmt.Sprintf("%s (version %s, generations %d to %d)", backup.Name, backup.Version, backup.FirstGeneration, backup.LastGeneration))
	}
	return nil, field.Forbidden(data, fmt.Sprintf("there is no backup %s with version %s: choose one that there is, or leave spec.data out; status.backups has: %s",
		cmp.Or(name, fmt.Sprintf("of generation %d", past.Generation)), past.Spec.Version, cmp.Or(strings.Join(have, ", "), "none")))
}

// attributes describe to admission an update of the store itself.
func (r *RollbackREST) attributes(ctx context.Context, name string, obj, old runtime.Object, options *metav1.UpdateOptions) admission.Attributes {
	user, _ := genericapirequest.UserFrom(ctx)
	return admission.NewAttributesRecord(obj, old, v1alpha1.SchemeGroupVersion.WithKind("Store"),
		genericapirequest.NamespaceValue(ctx), name, v1alpha1.SchemeGroupVersion.WithResource("stores"), "",
		admission.Update, options, dryrun.IsDryRun(options.DryRun), user)
}
