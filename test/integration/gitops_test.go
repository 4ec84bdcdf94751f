package integration

import (
	"context"
	"testing"

	"github.com/fluxcd/pkg/ssa"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm/fake"
	"platform.dev/stores/test/internal/harness"
)

// gitOpsTool brings an object into the cluster, as often as it likes.
type gitOpsTool struct {
	apply func(context.Context, *unstructured.Unstructured) error
	// drift tells how the object in the cluster differs from the one that is wanted, or
	// is empty.
	drift func(context.Context, *unstructured.Unstructured) (string, error)
}

func gitOpsTools(t *testing.T) map[string]gitOpsTool {
	return map[string]gitOpsTool{
		"kubectl":             kubectlTool(t),
		"kubectl-server-side": kubectlTool(t, "--server-side", "--force-conflicts"),
		"flux":                flux(t),
		"argocd":              argoCD(),
	}
}

func kubectlTool(t *testing.T, flags ...string) gitOpsTool {
	k := newKubectl(t)
	run := func(verb string, object *unstructured.Unstructured) (result, error) {
		raw, err := object.MarshalJSON()
		return k.try(string(raw), append([]string{verb, "-f", "-"}, flags...)...), err
	}
	return gitOpsTool{
		apply: func(_ context.Context, object *unstructured.Unstructured) error {
			r, err := run("apply", object)
			if r.code != 0 {
				t.Errorf("kubectl apply: %s", r.stderr)
			}
			return err
		},
		drift: func(_ context.Context, object *unstructured.Unstructured) (string, error) {
			r, err := run("diff", object)
			if r.code > 0 && r.stdout == "" {
				t.Errorf("kubectl diff: %s", r.stderr)
			}
			return r.stdout, err
		},
	}
}

func flux(t *testing.T) gitOpsTool {
	c, err := client.New(env.Admin(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	manager := ssa.NewResourceManager(c, nil, ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"})
	return gitOpsTool{
		apply: func(ctx context.Context, object *unstructured.Unstructured) error {
			_, err := manager.Apply(ctx, object, ssa.DefaultApplyOptions())
			return err
		},
		drift: func(ctx context.Context, object *unstructured.Unstructured) (string, error) {
			entry, live, merged, err := manager.Diff(ctx, object, ssa.DefaultDiffOptions())
			if err != nil || entry.Action == ssa.UnchangedAction {
				return "", err
			}
			return string(entry.Action) + "\n" + cmp.Diff(live, merged), nil
		},
	}
}

// argoCD applies, and compares what is there with the answer to a dry run, as Argo CD
// does with the options ServerSideApply and ServerSideDiff.
func argoCD() gitOpsTool {
	apply := func(ctx context.Context, object *unstructured.Unstructured, dryRun ...string) (*unstructured.Unstructured, error) {
		object = object.DeepCopy()
		object.SetAnnotations(map[string]string{"argocd.argoproj.io/tracking-id": "shops:platform.dev/Store:" + object.GetNamespace() + "/" + object.GetName()})
		return dynamicStores(object).Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "argocd-controller", Force: true, DryRun: dryRun})
	}
	return gitOpsTool{
		apply: func(ctx context.Context, object *unstructured.Unstructured) error {
			_, err := apply(ctx, object)
			return err
		},
		drift: func(ctx context.Context, object *unstructured.Unstructured) (string, error) {
			live, err := dynamicStores(object).Get(ctx, object.GetName(), metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			predicted, err := apply(ctx, object, metav1.DryRunAll)
			if err != nil {
				return "", err
			}
			return cmp.Diff(live.Object, predicted.Object), nil
		},
	}
}

func dynamicStores(object *unstructured.Unstructured) dynamic.ResourceInterface {
	return dynamic.NewForConfigOrDie(env.Admin()).Resource(v1alpha1.SchemeGroupVersion.WithResource("stores")).Namespace(object.GetNamespace())
}

// What the server fills in, what the provisioner writes and what dry runs tell is no
// drift to any tool: applied again, the same object changes nothing. What somebody else
// has changed is.
func TestGitOpsToolsSeeNoDrift(t *testing.T) {
	t.Parallel()
	f := newFleet(t, &fake.Helm{})
	f.start(t, 2)
	little := map[string]any{}
	all := map[string]any{
		"displayName": "Flowers & <more>", "adminEmail": "shop@example.com", "plan": "large", "version": "1.0", "upgradePolicy": "Manual",
		"powerState": "Running", "suspend": false, "deletionProtection": false, "deletionPolicy": "Delete", "values": map[string]any{"theme": "light"},
	}
	for name, tool := range gitOpsTools(t) {
		for fields, spec := range map[string]map[string]any{"little": little, "all": all} {
			t.Run(name+"/"+fields, func(t *testing.T) { assertNoDrift(t, f, tool, name+"-"+fields, spec) })
		}
	}
}

func assertNoDrift(t *testing.T, f *fleet, tool gitOpsTool, name string, spec map[string]any) {
	// wanted is made anew each time: tools write into what they are given.
	wanted := func() *unstructured.Unstructured {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("Store"))
		object.SetNamespace(f.namespace)
		object.SetName(name)
		object.Object["spec"] = (&unstructured.Unstructured{Object: spec}).DeepCopy().Object
		for field, value := range map[string]string{"engine": f.engine.Name, "host": hostOf(name, f.engine)} {
			object.Object["spec"].(map[string]any)[field] = value
		}
		return object
	}
	apply := func() *v1alpha1.Store {
		t.Helper()
		if err := tool.apply(t.Context(), wanted()); err != nil {
			t.Fatal(err)
		}
		store, err := f.stores.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	assert := func(when string, differs bool) {
		t.Helper()
		drift, err := tool.drift(t.Context(), wanted())
		if err != nil {
			t.Fatal(err)
		}
		if (drift != "") != differs {
			t.Errorf("drift %s: %q", when, drift)
		}
	}
	created := apply()
	var store *v1alpha1.Store
	harness.Eventually(t, patience, "the store to be ready", func(ctx context.Context) (done bool, err error) {
		store, err = f.stores.Get(ctx, name, metav1.GetOptions{})
		return err == nil && isReady(store), err
	})
	assert("of a store that is ready", false)
	// Terraform compares it with the answer to its apply.
	if diff := cmp.Diff(created.Spec, store.Spec); diff != "" {
		t.Errorf("the spec has changed since the first answer (-first +now):\n%s", diff)
	}
	if again := apply(); again.ResourceVersion != store.ResourceVersion || again.Generation != 1 {
		t.Errorf("applied again, the store has version %s and generation %d, want %s and 1", again.ResourceVersion, again.Generation, store.ResourceVersion)
	}
	if _, given := spec["displayName"]; !given {
		return
	}
	patch := []byte(`{"spec":{"displayName":"Roses"}}`)
	if _, err := f.stores.Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	assert("of a store that somebody has changed", true)
}
