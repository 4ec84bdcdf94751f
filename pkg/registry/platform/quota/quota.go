package quota

import (
	"context"
	"fmt"
	"slices"
	"time"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/storage/claims"
)

// sourceDefault is the source of bounds that no StoreQuota sets.
const sourceDefault = "default"

// Defaults bound owners whom no StoreQuota concerns. A zero is no bound.
type Defaults struct {
	StoresPerOwner int32
	CreateCount    int32
	CreateWindow   time.Duration
}

// Lister lists StoreQuotas as they are now. The registry's own storage does, which
// cannot answer before it has read them: no quota is missed at start.
type Lister interface {
	List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error)
}

// Quotas finds the bounds that apply.
type Quotas struct {
	Defaults Defaults
	Lister   Lister
}

// Bound is how many stores an owner or a namespace may have.
type Bound struct {
	Scope  platform.StoreLimitScope
	Source string
	Name   string // what the stores are counted by
	Hard   *int32 // nil is no bound
}

// Bounds apply to the creation of one store. All must be kept. The first of Stores is
// the owner's and always there.
type Bounds struct {
	Stores []Bound
	Rates  []claims.Rate
}

// Limits returns the bounds the way a storage takes them.
func (b *Bounds) Limits() claims.Limits {
	limits := claims.Limits{Rates: b.Rates}
	for _, bound := range b.Stores {
		if bound.Hard != nil {
			limits.Counts = append(limits.Counts, claims.Limit{Name: bound.Name, Max: int64(*bound.Hard), Source: bound.Source})
		}
	}
	return limits
}

// For returns the bounds of what owner creates in a namespace, or anywhere if it is "".
func (q *Quotas) For(ctx context.Context, owner user.Info, namespace string) (*Bounds, error) {
	listed, err := q.Lister.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	list, ok := listed.(*platform.StoreQuotaList)
	if !ok {
		return nil, fmt.Errorf("expected a StoreQuotaList, got %T", listed)
	}
	var users, groups, namespaces []*platform.StoreQuota
	for i := range list.Items {
		quota := &list.Items[i]
		has := func(kind platform.QuotaSubjectKind, names ...string) bool {
			return slices.ContainsFunc(quota.Spec.Subjects, func(s platform.QuotaSubject) bool {
				return s.Kind == kind && slices.Contains(names, s.Name)
			})
		}
		if has(platform.QuotaSubjectUser, owner.GetName()) {
			users = append(users, quota)
		}
		if has(platform.QuotaSubjectGroup, owner.GetGroups()...) {
			groups = append(groups, quota)
		}
		if has(platform.QuotaSubjectNamespace, namespace) {
			namespaces = append(namespaces, quota)
		}
	}
	bounds := &Bounds{Stores: []Bound{q.ownerBound(owner.GetName(), users, groups)}}
	if rate := q.ownerRate(owner.GetName(), users, groups); rate != nil {
		bounds.Rates = append(bounds.Rates, *rate)
	}
	bounds.addNamespace(namespace, namespaces)
	return bounds, nil
}

func (q *Quotas) ownerBound(owner string, users, groups []*platform.StoreQuota) Bound {
	bound := Bound{Scope: platform.StoreLimitScopeOwner, Name: OwnerName(owner), Source: sourceDefault}
	for _, quotas := range [][]*platform.StoreQuota{users, groups} {
		for _, quota := range quotas {
			if hard := quota.Spec.Hard.Stores; hard != nil && (bound.Hard == nil || *hard > *bound.Hard) {
				bound.Hard, bound.Source = hard, source(quota)
			}
		}
		if bound.Hard != nil {
			return bound
		}
	}
	if q.Defaults.StoresPerOwner > 0 {
		bound.Hard = &q.Defaults.StoresPerOwner
	}
	return bound
}

func (q *Quotas) ownerRate(owner string, users, groups []*platform.StoreQuota) *claims.Rate {
	var best *claims.Rate
	for _, quotas := range [][]*platform.StoreQuota{users, groups} {
		for _, quota := range quotas {
			if rate := rateOf(quota, OwnerName(owner)); rate != nil && (best == nil || faster(rate, best)) {
				best = rate
			}
		}
		if best != nil {
			return best
		}
	}
	if q.Defaults.CreateCount == 0 {
		return nil
	}
	return &claims.Rate{Name: OwnerName(owner), Count: int64(q.Defaults.CreateCount), Window: q.Defaults.CreateWindow, Source: sourceDefault}
}

// addNamespace adds what bounds a namespace: the smallest number, and every rate.
func (b *Bounds) addNamespace(namespace string, quotas []*platform.StoreQuota) {
	bound := Bound{Scope: platform.StoreLimitScopeNamespace, Name: NamespaceName(namespace)}
	for _, quota := range quotas {
		if hard := quota.Spec.Hard.Stores; hard != nil && (bound.Hard == nil || *hard < *bound.Hard) {
			bound.Hard, bound.Source = hard, source(quota)
		}
		if rate := rateOf(quota, NamespaceName(namespace)); rate != nil {
			b.Rates = append(b.Rates, *rate)
		}
	}
	if bound.Hard != nil {
		b.Stores = append(b.Stores, bound)
	}
}

func source(quota *platform.StoreQuota) string { return "StoreQuota/" + quota.Name }

func rateOf(quota *platform.StoreQuota, name string) *claims.Rate {
	rate := quota.Spec.CreateRate
	if rate == nil {
		return nil
	}
	window := time.Duration(rate.WindowSeconds) * time.Second
	return &claims.Rate{Name: name, Count: int64(rate.Count), Window: window, Source: source(quota)}
}

// faster compares how much two rates let through in the long run, and at once.
func faster(a, b *claims.Rate) bool {
	left, right := float64(a.Count)/a.Window.Seconds(), float64(b.Count)/b.Window.Seconds()
	return left > right || left == right && a.Count > b.Count
}
