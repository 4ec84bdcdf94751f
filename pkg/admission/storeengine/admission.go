// Package storeengine keeps stores and engines in step: a store names an engine
// that exists, a version and a plan that the engine offers, and values that the
// engine's schema allows; and an engine that stores use is not deleted.
package storeengine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"

	"platform.dev/stores/pkg/admission/initializer"
	"platform.dev/stores/pkg/admission/valuesschema"
	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/generated/informers/externalversions"
	listers "platform.dev/stores/pkg/generated/listers/platform/v1alpha1"
)

// PluginName is the plugin's name in --enable-admission-plugins.
const PluginName = "StoreEngine"

// Register makes the plugin known under its name.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) {
		return &plugin{Handler: admission.NewHandler(admission.Create, admission.Update, admission.Delete)}, nil
	})
}

type plugin struct {
	*admission.Handler
	client  clientset.Interface
	engines listers.EngineLister
}

var (
	_ admission.MutationInterface   = &plugin{}
	_ admission.ValidationInterface = &plugin{}
	_ initializer.WantsPlatform     = &plugin{}
)

// SetPlatform takes the client and the lister of engines.
func (p *plugin) SetPlatform(client clientset.Interface, informers externalversions.SharedInformerFactory) {
	engines := informers.Platform().V1alpha1().Engines()
	p.client = client
	p.engines = engines.Lister()
	p.SetReadyFunc(engines.Informer().HasSynced)
}

// ValidateInitialization fails when the server did not call SetPlatform.
func (p *plugin) ValidateInitialization() error {
	if p.client == nil || p.engines == nil {
		return errors.New(PluginName + " needs a platform client and informers")
	}
	return nil
}

// Admit writes a version and a plan where a store names none, at creation the
// engine's defaults of the day, and later what is there already; and whether the
// version follows the default.
func (p *plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	store, ok := a.GetObject().(*platform.Store)
	if !ok || a.GetSubresource() != "" {
		return nil
	}
	if old, ok := a.GetOldObject().(*platform.Store); ok {
		keep(store, old)
		return nil
	}
	if store.Spec.UpgradePolicy == "" {
		store.Spec.UpgradePolicy = platform.UpgradePolicyManual
		if store.Spec.Version == "" {
			store.Spec.UpgradePolicy = platform.UpgradePolicyAutomatic
		}
	}
	if store.Spec.Version != "" && store.Spec.Plan != "" {
		return nil
	}
	engine, err := p.engine(ctx, store.Spec.Engine)
	if apierrors.IsNotFound(err) {
		return nil // Validate says so, together with what else is wrong.
	}
	if err != nil {
		return err
	}
	store.Spec.Version = cmp.Or(store.Spec.Version, engine.Spec.DefaultVersion)
	store.Spec.Plan = cmp.Or(store.Spec.Plan, engine.Spec.DefaultPlan)
	return nil
}

// keep fills what a changed store leaves empty from what it was. A version that no
// rollout gave is what somebody wants the store to run, so it stays.
func keep(store, old *platform.Store) {
	store.Spec.Version = cmp.Or(store.Spec.Version, old.Spec.Version)
	store.Spec.Plan = cmp.Or(store.Spec.Plan, old.Spec.Plan)
	store.Spec.UpgradePolicy = cmp.Or(store.Spec.UpgradePolicy, old.Spec.UpgradePolicy)
	if store.Spec.Version != old.Spec.Version && old.Spec.UpgradePolicy == platform.UpgradePolicyAutomatic &&
		store.Annotations[v1alpha1.AnnotationRolloutVersion] != store.Spec.Version {
		store.Spec.UpgradePolicy = platform.UpgradePolicyManual
	}
}

// Validate refuses what would bring stores and engines out of step. A store that
// is being deleted is left alone, so that its finalizer can always be removed.
func (p *plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "" {
		return nil
	}
	if a.GetOperation() == admission.Delete {
		if engine, ok := a.GetOldObject().(*platform.Engine); ok {
			return p.validateUnused(ctx, a, engine.Name)
		}
		return nil
	}
	switch object := a.GetObject().(type) {
	case *platform.Engine:
		if errs := validateSchema(object); len(errs) > 0 {
			return apierrors.NewInvalid(v1alpha1.Kind("Engine"), object.Name, errs)
		}
	case *platform.Store:
		if object.DeletionTimestamp != nil {
			return nil
		}
		old, _ := a.GetOldObject().(*platform.Store)
		errs, err := p.validateStore(ctx, object, old)
		if err != nil {
			return err
		}
		if len(errs) > 0 {
			return apierrors.NewInvalid(v1alpha1.Kind("Store"), object.Name, errs)
		}
	}
	return nil
}

// validateStore checks a store against its engine: first as the cache knows it,
// and before refusing as it is, because the two may have been changed together.
func (p *plugin) validateStore(ctx context.Context, store, old *platform.Store) (field.ErrorList, error) {
	if store.Spec.Engine == "" || old != nil && old.Spec.Engine != store.Spec.Engine {
		return nil, nil // The field's own validation says so.
	}
	engine, err := p.engine(ctx, store.Spec.Engine)
	if apierrors.IsNotFound(err) {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "engine"), store.Spec.Engine,
			"no such engine: use one of those that `kubectl get engines` lists")}, nil
	}
	if err != nil {
		return nil, err
	}
	if len(validateOffer(store, old, engine)) == 0 {
		return nil, nil
	}
	if engine, err = p.client.PlatformV1alpha1().Engines().Get(ctx, store.Spec.Engine, metav1.GetOptions{}); err != nil {
		return nil, err
	}
	return validateOffer(store, old, engine), nil
}

// validateOffer checks what the write changes: a version that the engine has
// stopped offering does not get in the way of other changes.
func validateOffer(store, old *platform.Store, engine *v1alpha1.Engine) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	if old == nil || old.Spec.Version != store.Spec.Version {
		var offered []string
		for _, version := range engine.Spec.Versions {
			offered = append(offered, version.Name)
		}
		errs = append(errs, validateOffered(store.Spec.Version, offered, path.Child("version"))...)
	}
	if old == nil || old.Spec.Plan != store.Spec.Plan {
		var offered []string
		for _, plan := range engine.Spec.Plans {
			offered = append(offered, plan.Name)
		}
		errs = append(errs, validateOffered(store.Spec.Plan, offered, path.Child("plan"))...)
	}
	if old == nil || !apiequality.Semantic.DeepEqual(old.Spec.Values, store.Spec.Values) {
		errs = append(errs, validateValues(store, engine, path.Child("values"))...)
	}
	return errs
}

func validateOffered(value string, offered []string, path *field.Path) field.ErrorList {
	if slices.Contains(offered, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, offered)}
}

func validateValues(store *platform.Store, engine *v1alpha1.Engine, path *field.Path) field.ErrorList {
	if store.Spec.Values == nil {
		return nil
	}
	if engine.Spec.ValuesSchema == nil {
		return field.ErrorList{field.Forbidden(path, fmt.Sprintf("must not be set: engine %q takes no values", engine.Name))}
	}
	schema, err := valuesschema.Parse(engine.Spec.ValuesSchema.Raw)
	if err != nil {
		return field.ErrorList{field.InternalError(path, fmt.Errorf("engine %q: %w", engine.Name, err))}
	}
	return schema.Validate(store.Spec.Values.Raw, path)
}

func validateSchema(engine *platform.Engine) field.ErrorList {
	if engine.Spec.ValuesSchema == nil {
		return nil
	}
	if _, err := valuesschema.Parse(engine.Spec.ValuesSchema.Raw); err != nil {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "valuesSchema"), field.OmitValueType{}, err.Error())}
	}
	return nil
}

// validateUnused refuses to delete an engine while stores run it: without the
// engine they could be neither changed nor deleted in order.
func (p *plugin) validateUnused(ctx context.Context, a admission.Attributes, engine string) error {
	users, err := p.client.PlatformV1alpha1().Stores(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(v1alpha1.FieldEngine, engine).String(),
		Limit:         1,
	})
	if err != nil {
		return err
	}
	if len(users.Items) == 0 {
		return nil
	}
	user := users.Items[0]
	return admission.NewForbidden(a, fmt.Errorf("store %s/%s runs engine %q: delete the stores that `kubectl get stores -A --field-selector %s=%s` lists first",
		user.Namespace, user.Name, engine, v1alpha1.FieldEngine, engine))
}

// engine returns an engine from the cache or, for one created a moment ago, from
// the server.
func (p *plugin) engine(ctx context.Context, name string) (*v1alpha1.Engine, error) {
	if !p.WaitForReady() {
		refusal := apierrors.NewServiceUnavailable("the list of engines has not been read yet, try again")
		refusal.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
		return nil, refusal
	}
	engine, err := p.engines.Get(name)
	// A name that no engine can have does not make a request.
	if apierrors.IsNotFound(err) && len(validation.IsDNS1123Label(name)) == 0 {
		return p.client.PlatformV1alpha1().Engines().Get(ctx, name, metav1.GetOptions{})
	}
	return engine, err
}
