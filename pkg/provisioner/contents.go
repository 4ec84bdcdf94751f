package provisioner

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	applynetworkingv1 "k8s.io/client-go/applyconfigurations/networking/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// namespaceContents is what stands in every store's namespace, whatever its
// engine's chart brings.
type namespaceContents struct {
	namespace string
	binding   *applyrbacv1.RoleBindingApplyConfiguration
	reader    *applyrbacv1.RoleBindingApplyConfiguration // nil for none
	quota     *applycorev1.ResourceQuotaApplyConfiguration
	limits    *applycorev1.LimitRangeApplyConfiguration
	deny      *applynetworkingv1.NetworkPolicyApplyConfiguration
	// onlyRaise leaves those bounds alone that are wider than the plan's: what the
	// shop still runs may need them.
	onlyRaise bool
}

func (c *Controller) namespaceContents(a *attempt, plan *v1alpha1.EnginePlan) *namespaceContents {
	labels := labelsFor(a.store)
	bind := func(name, role, account string) *applyrbacv1.RoleBindingApplyConfiguration {
		return applyrbacv1.RoleBinding(name, a.namespace).WithLabels(labels).
			WithRoleRef(applyrbacv1.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName(role)).
			WithSubjects(applyrbacv1.Subject().WithKind(rbacv1.ServiceAccountKind).WithNamespace(c.identity.Namespace).WithName(account))
	}
	contents := &namespaceContents{
		namespace: a.namespace,
		binding:   bind(roleBindingName, c.identity.ClusterRole, c.identity.ServiceAccount),
		quota: applycorev1.ResourceQuota(quotaName, a.namespace).WithLabels(labels).
			WithSpec(applycorev1.ResourceQuotaSpec().WithHard(resourceList(plan.Quota))),
		limits: applycorev1.LimitRange(limitsName, a.namespace).WithLabels(labels).
			WithSpec(applycorev1.LimitRangeSpec().WithLimits(applycorev1.LimitRangeItem().
				WithType(corev1.LimitTypeContainer).
				WithDefaultRequest(resourceList(plan.Limits.DefaultRequest)).
				WithDefault(resourceList(plan.Limits.Default)).
				WithMax(resourceList(plan.Limits.Max)))),
		// The chart opens what its parts need, and the way in for shoppers and
		// for the provisioner's checks.
		deny: applynetworkingv1.NetworkPolicy(denyPolicyName, a.namespace).WithLabels(labels).
			WithSpec(applynetworkingv1.NetworkPolicySpec().
				WithPodSelector(applymetav1.LabelSelector()).
				WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)),
	}
	if reader := c.identity.Reader; reader.ServiceAccount != "" {
		contents.reader = bind(readerBindingName, reader.ClusterRole, reader.ServiceAccount)
	}
	return contents
}

// apply makes the contents so. The RoleBinding comes first: it is what allows
// the rest. The result is false while the quota's controller has not yet taken up
// what the quota was raised to, until which it is not granted.
func (n *namespaceContents) apply(ctx context.Context, client kubernetes.Interface) (bool, error) {
	options := metav1.ApplyOptions{FieldManager: FieldManager, Force: true}
	if _, err := client.RbacV1().RoleBindings(n.namespace).Apply(ctx, n.binding, options); err != nil {
		return false, fmt.Errorf("RoleBinding %s: %w", roleBindingName, err)
	}
	if n.reader != nil {
		if _, err := client.RbacV1().RoleBindings(n.namespace).Apply(ctx, n.reader, options); err != nil {
			return false, fmt.Errorf("RoleBinding %s: %w", readerBindingName, err)
		}
	}
	if n.onlyRaise {
		if err := n.keepWider(ctx, client); err != nil {
			return false, err
		}
	}
	quota, err := client.CoreV1().ResourceQuotas(n.namespace).Apply(ctx, n.quota, options)
	if err != nil {
		return false, fmt.Errorf("ResourceQuota %s: %w", quotaName, err)
	}
	if _, err := client.CoreV1().LimitRanges(n.namespace).Apply(ctx, n.limits, options); err != nil {
		return false, fmt.Errorf("LimitRange %s: %w", limitsName, err)
	}
	if _, err := client.NetworkingV1().NetworkPolicies(n.namespace).Apply(ctx, n.deny, options); err != nil {
		return false, fmt.Errorf("NetworkPolicy %s: %w", denyPolicyName, err)
	}
	for name, granted := range quota.Status.Hard {
		if hard, ok := quota.Spec.Hard[name]; ok && granted.Cmp(hard) < 0 {
			return false, nil
		}
	}
	return true, nil
}

// keepWider takes over into the contents what the namespace's quota and limits
// grant beyond them.
func (n *namespaceContents) keepWider(ctx context.Context, client kubernetes.Interface) error {
	quota, err := client.CoreV1().ResourceQuotas(n.namespace).Get(ctx, quotaName, metav1.GetOptions{})
	switch {
	case err == nil:
		n.quota.Spec.WithHard(wider(*n.quota.Spec.Hard, quota.Spec.Hard))
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("ResourceQuota %s: %w", quotaName, err)
	}
	limits, err := client.CoreV1().LimitRanges(n.namespace).Get(ctx, limitsName, metav1.GetOptions{})
	switch {
	case err == nil && len(limits.Spec.Limits) == 1:
		item := &n.limits.Spec.Limits[0]
		item.WithMax(wider(*item.Max, limits.Spec.Limits[0].Max))
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("LimitRange %s: %w", limitsName, err)
	}
	return nil
}

// wider are the bounds that are wanted, but for those that there are and that grant
// more. What has had no bound so far keeps having none.
func wider(wanted, there corev1.ResourceList) corev1.ResourceList {
	bounds := corev1.ResourceList{}
	for name, want := range wanted {
		if have, ok := there[name]; ok {
			if have.Cmp(want) > 0 {
				want = have
			}
			bounds[name] = want
		}
	}
	return bounds
}

func resourceList(quantities map[string]resource.Quantity) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, quantity := range quantities {
		list[corev1.ResourceName(name)] = quantity
	}
	return list
}
