package storeengine

import (
	"context"
	"errors"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	clienttesting "k8s.io/client-go/testing"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/clientset/versioned/fake"
	"platform.dev/stores/pkg/generated/informers/externalversions"
)

func newEngine() *v1alpha1.Engine {
	return &v1alpha1.Engine{
		ObjectMeta: metav1.ObjectMeta{Name: "medusa"},
		Spec: v1alpha1.EngineSpec{
			Versions:       []v1alpha1.EngineVersion{{Name: "1.0"}, {Name: "2.0"}},
			DefaultVersion: "2.0",
			Plans:          []v1alpha1.EnginePlan{{Name: "small"}, {Name: "large"}},
			DefaultPlan:    "small",
			ValuesSchema:   &runtime.RawExtension{Raw: []byte(`{"additionalProperties":false,"properties":{"theme":{"type":"string"}}}`)},
		},
	}
}

// newPlugin returns a plugin that knows the engines, and the client behind it.
func newPlugin(t *testing.T, engines ...runtime.Object) (*plugin, *fake.Clientset) {
	t.Helper()
	client := fake.NewClientset(engines...)
	informers := externalversions.NewSharedInformerFactory(client, 0)
	p := &plugin{Handler: admission.NewHandler(admission.Create, admission.Update, admission.Delete)}
	if err := p.ValidateInitialization(); err == nil {
		t.Error("a plugin without a client is taken for initialized")
	}
	p.SetPlatform(client, informers)
	if err := p.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	informers.Start(ctx.Done())
	informers.WaitForCacheSync(ctx.Done())
	t.Cleanup(func() { cancel(); informers.Shutdown() })
	return p, client
}

func attributes(operation admission.Operation, subresource string, object, old runtime.Object) admission.Attributes {
	resource, kind := "stores", "Store"
	for _, o := range []runtime.Object{object, old} {
		if _, ok := o.(*platform.Engine); ok {
			resource, kind = "engines", "Engine"
		}
	}
	return admission.NewAttributesRecord(object, old, v1alpha1.SchemeGroupVersion.WithKind(kind), "shops", "flowers",
		v1alpha1.SchemeGroupVersion.WithResource(resource), subresource, operation, nil, false, nil)
}

func store(change func(*platform.StoreSpec)) *platform.Store {
	s := &platform.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "flowers", Namespace: "shops"},
		Spec:       platform.StoreSpec{Engine: "medusa", Version: "2.0", Plan: "small"},
	}
	if change != nil {
		change(&s.Spec)
	}
	return s
}

func TestAdmitPins(t *testing.T) {
	t.Parallel()
	p, _ := newPlugin(t, newEngine())
	empty := func(s *platform.StoreSpec) { s.Version, s.Plan = "", "" }
	tests := []struct {
		name          string
		subresource   string
		store, old    *platform.Store
		version, plan string
	}{
		{"defaults at creation", "", store(empty), nil, "2.0", "small"},
		{"chosen at creation", "", store(func(s *platform.StoreSpec) { s.Version, s.Plan = "1.0", "large" }), nil, "1.0", "large"},
		{"half chosen", "", store(func(s *platform.StoreSpec) { s.Version, s.Plan = "1.0", "" }), nil, "1.0", "small"},
		{"unknown engine", "", store(func(s *platform.StoreSpec) { s.Engine, s.Version, s.Plan = "magento", "", "" }), nil, "", ""},
		{"kept at update", "", store(empty), store(func(s *platform.StoreSpec) { s.Version, s.Plan = "1.0", "large" }), "1.0", "large"},
		{"upgrade", "", store(nil), store(func(s *platform.StoreSpec) { s.Version = "1.0" }), "2.0", "small"},
		{"status", "status", store(empty), store(nil), "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			operation, old := admission.Create, runtime.Object(nil)
			if test.old != nil {
				operation, old = admission.Update, test.old
			}
			if err := p.Admit(t.Context(), attributes(operation, test.subresource, test.store, old), nil); err != nil {
				t.Fatal(err)
			}
			if test.store.Spec.Version != test.version || test.store.Spec.Plan != test.plan {
				t.Errorf("version %q and plan %q, want %q and %q", test.store.Spec.Version, test.store.Spec.Plan, test.version, test.plan)
			}
		})
	}
}

func TestAdmitUpgradePolicy(t *testing.T) {
	t.Parallel()
	const automatic, manual = platform.UpgradePolicyAutomatic, platform.UpgradePolicyManual
	is := func(version string, policy platform.UpgradePolicy) *platform.Store {
		return store(func(s *platform.StoreSpec) { s.Version, s.UpgradePolicy = version, policy })
	}
	byRollout := is("2.0", automatic)
	byRollout.Annotations = map[string]string{v1alpha1.AnnotationRolloutVersion: "2.0"}
	byOwner := is("1.0", automatic)
	byOwner.Annotations = byRollout.Annotations
	p, _ := newPlugin(t, newEngine())
	for _, test := range []struct {
		name       string
		store, old *platform.Store
		want       platform.UpgradePolicy
	}{
		{"created without a version", is("", ""), nil, automatic},
		{"created with a version", is("1.0", ""), nil, manual},
		{"created with a version to follow from", is("1.0", automatic), nil, automatic},
		{"created without a version to keep", is("", manual), nil, manual},
		{"kept", is("1.0", ""), is("1.0", automatic), automatic},
		{"from before there were policies", is("2.0", ""), is("1.0", ""), ""},
		{"another version", is("2.0", automatic), is("1.0", automatic), manual},
		{"another version by a rollout", byRollout, is("1.0", automatic), automatic},
		{"another version after a rollout", byOwner, is("2.0", automatic), manual},
		{"another version and to follow from it", is("2.0", automatic), is("1.0", manual), automatic},
		{"to follow", is("1.0", automatic), is("1.0", manual), automatic},
		{"rolled back to what was before policies", is("1.0", ""), is("2.0", automatic), manual},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			operation, old := admission.Create, runtime.Object(nil)
			if test.old != nil {
				operation, old = admission.Update, test.old
			}
			if err := p.Admit(t.Context(), attributes(operation, "", test.store, old), nil); err != nil {
				t.Fatal(err)
			}
			if got := test.store.Spec.UpgradePolicy; got != test.want {
				t.Errorf("upgradePolicy is %q, want %q", got, test.want)
			}
		})
	}
}

func TestValidateStore(t *testing.T) {
	t.Parallel()
	p, _ := newPlugin(t, newEngine())
	raw := func(json string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(json)} }
	retired := func(s *platform.StoreSpec) { s.Version, s.Plan, s.Values = "0.9", "tiny", raw(`{"old":1}`) }
	deleting := store(retired)
	deleting.DeletionTimestamp = &metav1.Time{}
	tests := []struct {
		name        string
		subresource string
		store, old  *platform.Store
		want        []string // the faulty fields
	}{
		{"good", "", store(nil), nil, nil},
		{"good values", "", store(func(s *platform.StoreSpec) { s.Values = raw(`{"theme":"dark"}`) }), nil, nil},
		{"unknown engine", "", store(func(s *platform.StoreSpec) { s.Engine = "magento" }), nil, []string{"spec.engine"}},
		{"engine that is no name", "", store(func(s *platform.StoreSpec) { s.Engine = "../stores" }), nil, []string{"spec.engine"}},
		{"all wrong", "", store(retired), nil, []string{"spec.version", "spec.plan", "spec.values"}},
		{"all wrong before", "", store(retired), store(retired), nil},
		{"wrong plan is new", "", store(retired), store(func(s *platform.StoreSpec) { retired(s); s.Plan = "small" }), []string{"spec.plan"}},
		{"being deleted", "", deleting, store(nil), nil},
		{"status", "status", store(retired), store(nil), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			operation, old := admission.Create, runtime.Object(nil)
			if test.old != nil {
				operation, old = admission.Update, test.old
			}
			err := p.Validate(t.Context(), attributes(operation, test.subresource, test.store, old), nil)
			if got := faults(t, err); !slices.Equal(got, test.want) {
				t.Errorf("faults of %v, want of %v: %v", got, test.want, err)
			}
		})
	}
}

// A store may come right after its engine, or the engine's new version.
func TestValidateAsksBeforeRefusing(t *testing.T) {
	t.Parallel()
	old, current, added := newEngine(), newEngine(), newEngine()
	current.Spec.Versions = append(current.Spec.Versions, v1alpha1.EngineVersion{Name: "3.0"})
	added.Name = "woocommerce"
	p, client := newPlugin(t, old)
	// The cache stays behind what the client reads.
	client.PrependReactor("get", "engines", func(action clienttesting.Action) (bool, runtime.Object, error) {
		for _, engine := range []*v1alpha1.Engine{current, added} {
			if engine.Name == action.(clienttesting.GetAction).GetName() {
				return true, engine, nil
			}
		}
		return false, nil, nil
	})
	for name, s := range map[string]*platform.Store{
		"new version": store(func(s *platform.StoreSpec) { s.Version = "3.0" }),
		"new engine":  store(func(s *platform.StoreSpec) { s.Engine = "woocommerce" }),
	} {
		if err := p.Validate(t.Context(), attributes(admission.Create, "", s, nil), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateEngine(t *testing.T) {
	t.Parallel()
	p, _ := newPlugin(t)
	engine := &platform.Engine{ObjectMeta: metav1.ObjectMeta{Name: "medusa"}}
	if err := p.Validate(t.Context(), attributes(admission.Create, "", engine, nil), nil); err != nil {
		t.Errorf("engine without a schema: %v", err)
	}
	engine.Spec.ValuesSchema = &runtime.RawExtension{Raw: []byte(`{"$ref":"#/a"}`)}
	err := p.Validate(t.Context(), attributes(admission.Create, "", engine, nil), nil)
	if got := faults(t, err); !slices.Equal(got, []string{"spec.valuesSchema"}) {
		t.Errorf("engine with a reference: %v", err)
	}
}

func TestValidateDeletionOfEngine(t *testing.T) {
	t.Parallel()
	unavailable := apierrors.NewServiceUnavailable("the database is not available")
	tests := []struct {
		name    string
		users   []v1alpha1.Store
		err     error
		allowed bool
		is      func(error) bool
	}{
		{"unused", nil, nil, true, nil},
		{"in use", []v1alpha1.Store{{ObjectMeta: metav1.ObjectMeta{Name: "flowers", Namespace: "shops"}}}, nil, false, apierrors.IsForbidden},
		{"unknown", nil, unavailable, false, apierrors.IsServiceUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, client := newPlugin(t)
			client.PrependReactor("list", "stores", func(action clienttesting.Action) (bool, runtime.Object, error) {
				selector := action.(clienttesting.ListAction).GetListRestrictions().Fields.String()
				if selector != "spec.engine=medusa" {
					t.Errorf("asked for stores with %q", selector)
				}
				return true, &v1alpha1.StoreList{Items: test.users}, test.err
			})
			engine := &platform.Engine{ObjectMeta: metav1.ObjectMeta{Name: "medusa"}}
			// Of a collection the request names no engine.
			record := admission.NewAttributesRecord(nil, engine, v1alpha1.SchemeGroupVersion.WithKind("Engine"), "", "",
				v1alpha1.SchemeGroupVersion.WithResource("engines"), "", admission.Delete, &metav1.DeleteOptions{}, false, nil)
			err := p.Validate(t.Context(), record, nil)
			if test.allowed != (err == nil) || test.is != nil && !test.is(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// faults returns the fields of an Invalid error.
func faults(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		t.Fatalf("got %v, want Invalid", err)
	}
	var fields []string
	for _, cause := range status.Status().Details.Causes {
		fields = append(fields, cause.Field)
	}
	return fields
}
