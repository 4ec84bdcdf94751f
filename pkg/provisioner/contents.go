package provisioner

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	applynetworkingv1 "k8s.io/client-go/applyconfigurations/networking/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/engine"
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
			WithSpec(applycorev1.ResourceQuotaSpec().WithHard(engine.Quota(plan).Hard)),
		limits: applycorev1.LimitRange(limitsName, a.namespace).WithLabels(labels).
			WithSpec(applycorev1.LimitRangeSpec()),
		deny: applynetworkingv1.NetworkPolicy(denyPolicyName, a.namespace).WithLabels(labels).
			WithSpec(applynetworkingv1.NetworkPolicySpec().
				WithPodSelector(applymetav1.LabelSelector()).
				WithPolicyTypes(engine.Deny().PolicyTypes...)),
	}
	for _, item := range engine.Limits(plan).Limits {
		contents.limits.Spec.WithLimits(applycorev1.LimitRangeItem().
			WithType(item.Type).WithDefaultRequest(item.DefaultRequest).WithDefault(item.Default).WithMax(item.Max))
	}
	if reader := c.identity.Reader; reader.ServiceAccount != "" {
		contents.reader = bind(readerBindingName, reader.ClusterRole, reader.ServiceAccount)
	}
	return contents
}

// content is one object of the contents. get returns what of it is decided here.
type content struct {
	object string
	get    func(context.Context) (any, error)
	apply  func(context.Context) (standing, error)
}

// standing is an object as it was when it was applied.
type standing struct {
	object, kind, name, version string
	// is what was decided of it.
	is any
}

// objects are the contents in the order in which they are applied. The RoleBinding
// comes first: it is what allows the rest.
func (n *namespaceContents) objects(client kubernetes.Interface) []content {
	bindings, quotas, limits, policies := client.RbacV1().RoleBindings(n.namespace), client.CoreV1().ResourceQuotas(n.namespace),
		client.CoreV1().LimitRanges(n.namespace), client.NetworkingV1().NetworkPolicies(n.namespace)
	grants := func(b *rbacv1.RoleBinding) any { return []any{b.RoleRef, b.Subjects} }
	list := []content{newContent("RoleBinding", roleBindingName, n.binding, bindings.Get, bindings.Apply, grants)}
	if n.reader != nil {
		list = append(list, newContent("RoleBinding", readerBindingName, n.reader, bindings.Get, bindings.Apply, grants))
	}
	return append(list,
		newContent("ResourceQuota", quotaName, n.quota, quotas.Get, quotas.Apply, func(q *corev1.ResourceQuota) any { return q.Spec }),
		newContent("LimitRange", limitsName, n.limits, limits.Get, limits.Apply, func(l *corev1.LimitRange) any { return l.Spec }),
		newContent("NetworkPolicy", denyPolicyName, n.deny, policies.Get, policies.Apply, func(p *networkingv1.NetworkPolicy) any { return p.Spec }),
	)
}

func newContent[T metav1.Object, C any](kind, name string, config C,
	get func(context.Context, string, metav1.GetOptions) (T, error),
	apply func(context.Context, C, metav1.ApplyOptions) (T, error),
	decided func(T) any,
) content {
	object := objectName(kind, name)
	return content{
		object: object,
		get: func(ctx context.Context) (any, error) {
			is, err := get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", object, err)
			}
			return decided(is), nil
		},
		apply: func(ctx context.Context) (standing, error) {
			is, err := apply(ctx, config, metav1.ApplyOptions{FieldManager: FieldManager, Force: true})
			if err != nil {
				return standing{}, fmt.Errorf("%s: %w", object, err)
			}
			return standing{object, kind, name, is.GetResourceVersion(), decided(is)}, nil
		},
	}
}

// apply makes the contents so, but for the first of them if they stand already, and
// returns how they stand then, also when it came to an error.
func (n *namespaceContents) apply(ctx context.Context, client kubernetes.Interface, all []standing) ([]standing, error) {
	for _, c := range n.objects(client)[len(all):] {
		if n.onlyRaise && c.object == objectName("ResourceQuota", quotaName) {
			if err := n.keepWider(ctx, client); err != nil {
				return all, err
			}
		}
		stands, err := c.apply(ctx)
		if err != nil {
			return all, err
		}
		all = append(all, stands)
	}
	return all, nil
}

// drift names an object that does not stand any more as it did when it was applied,
// or is empty.
func (n *namespaceContents) drift(ctx context.Context, client kubernetes.Interface, applied []standing) (string, error) {
	for i, c := range n.objects(client) {
		is, err := c.get(ctx)
		switch {
		case apierrors.IsNotFound(err):
			return gone(c.object), nil
		case err != nil:
			return "", err
		case i >= len(applied) || applied[i].object != c.object || !apiequality.Semantic.DeepEqual(applied[i].is, is):
			return c.object + " was changed.", nil
		}
	}
	return "", nil
}

// granted is false while the quota's controller has not yet taken up what the quota
// was raised to: until then that is refused.
func (n *namespaceContents) granted(ctx context.Context, client kubernetes.Interface) (bool, error) {
	quota, err := client.CoreV1().ResourceQuotas(n.namespace).Get(ctx, quotaName, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("reading ResourceQuota %s: %w", quotaName, err)
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
