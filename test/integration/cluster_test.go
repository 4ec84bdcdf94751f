package integration

import (
	"context"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

func TestStoresNeedALivingNamespace(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	client := harness.Platform(t, env.Admin())
	_, err := client.Stores("not-there").Create(t.Context(), newStore("flowers", engine), metav1.CreateOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("creating in a namespace that is not there: %v, want NotFound", err)
	}
	// Nobody removes the namespace's own finalizer here, so it stays terminating.
	namespace := env.NewNamespace(t)
	if err := harness.Core(t, env.Admin()).CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, "the server to see that the namespace goes", func(ctx context.Context) (bool, error) {
		_, err := client.Stores(namespace).Create(ctx, newStore("flowers", engine), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), nil
	})
}

// The cluster's own policies hold for stores too.
func TestClusterPoliciesHold(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	policies := harness.Core(t, env.Admin()).AdmissionregistrationV1()
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{v1alpha1.GroupName}, APIVersions: []string{"*"}, Resources: []string{"stores"}},
				}}},
			},
			Validations: []admissionregistrationv1.Validation{{Expression: "object.spec.plan != 'large'", Message: "large stores need an approval"}},
		},
	}
	if _, err := policies.ValidatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        namespace,
			ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			MatchResources: &admissionregistrationv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			},
		},
	}
	if _, err := policies.ValidatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	large := newStore("large", engine)
	large.Spec.Plan = "large"
	var err error
	harness.Eventually(t, patience, "the policy to count", func(ctx context.Context) (bool, error) {
		_, err = stores.Create(ctx, large, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil, nil
	})
	contains(t, err.Error(), "large stores need an approval")
	create(t, namespace, newStore("small", engine))
}

// The controllers of the cluster read only metadata, in an encoding of their own.
func TestMetadataClient(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	created := create(t, namespace, newStore("flowers", newEngine(t)))
	client, err := metadata.NewForConfig(metadata.ConfigFor(env.Admin()))
	if err != nil {
		t.Fatal(err)
	}
	list, err := client.Resource(v1alpha1.SchemeGroupVersion.WithResource("stores")).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].UID != created.UID {
		t.Errorf("metadata of %v, want of the one store", list.Items)
	}
}

// A client that keeps what it found by the storage version's hash sees that
// there is one.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	resources, err := harness.Core(t, env.Admin()).Discovery().ServerResourcesForGroupVersion("platform.dev/v1alpha1")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]metav1.APIResource{}
	for _, resource := range resources.APIResources {
		found[resource.Name] = resource
	}
	for name, namespaced := range map[string]bool{"stores": true, "engines": false, "storequotas": false} {
		resource := found[name]
		if resource.Namespaced != namespaced || resource.StorageVersionHash == "" || len(resource.Categories) != 1 {
			t.Errorf("%s is described as %+v", name, resource)
		}
	}
	for _, name := range []string{"stores/status", "engines/status"} {
		if _, ok := found[name]; !ok || len(found) != 9 {
			t.Errorf("resources %v", found)
		}
	}
}
