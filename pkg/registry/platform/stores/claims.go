package stores

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/audit"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/registry/platform/quota"
	"platform.dev/stores/pkg/registry/platform/retryafter"
	"platform.dev/stores/pkg/storage/claims"
)

// auditRefusal is the audit annotation that says why a write was refused.
const auditRefusal = "platform.dev/quota"

// Rules returns what stores claim: their host, alone among all stores, and a place
// among those of their owner and of their namespace, until they are gone.
func Rules(quotas *quota.Quotas) *claims.Rules {
	return &claims.Rules{
		Holding: func(obj runtime.Object) claims.Holding {
			store := obj.(*platform.Store)
			return claims.Holding{
				Unique:  []string{quota.HostName(store.Spec.Host)},
				Counted: []string{quota.OwnerName(store.Spec.Owner), quota.NamespaceName(store.Namespace)},
			}
		},
		Limits: func(ctx context.Context, obj runtime.Object) (claims.Limits, error) {
			owner, ok := genericapirequest.UserFrom(ctx)
			if !ok {
				return claims.Limits{}, errors.New("a store is created by nobody")
			}
			bounds, err := quotas.For(ctx, owner, obj.(*platform.Store).Namespace)
			if err != nil {
				return claims.Limits{}, err
			}
			return bounds.Limits(), nil
		},
	}
}

// Create creates a store, or says which quota or host stands in the way.
func (r *REST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	created, err := r.Store.Create(ctx, obj, validate, options)
	dry := dryrun.IsDryRun(options.DryRun)
	if err == nil && dry {
		err = r.tryOut(ctx, nil, created.(*platform.Store))
	}
	if err != nil {
		return nil, refusal(ctx, obj.(*platform.Store).Name, dry, err)
	}
	return created, nil
}

// Update changes a store, or says which host stands in the way.
func (r *REST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, validate rest.ValidateObjectFunc, validateUpdate rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	obj, created, err := r.Store.Update(ctx, name, info, validate, validateUpdate, forceAllowCreate, options)
	dry := dryrun.IsDryRun(options.DryRun)
	if err == nil && dry {
		err = r.tryOutUpdate(ctx, name, obj.(*platform.Store), created)
	}
	if err != nil {
		return nil, false, refusal(ctx, name, dry, err)
	}
	return obj, created, nil
}

func (r *REST) tryOutUpdate(ctx context.Context, name string, store *platform.Store, created bool) error {
	if created {
		return r.tryOut(ctx, nil, store)
	}
	old, err := r.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return err
	}
	return r.tryOut(ctx, old.(*platform.Store), store)
}

// tryOut does for a dry run what the storage does with a write, and takes nothing. It
// puts into the answer what the write would change in the shop. The store was old, which
// is nil for a new one.
func (r *REST) tryOut(ctx context.Context, old, store *platform.Store) error {
	var before claims.Holding
	if old != nil {
		before = r.rules.Holding(old)
	}
	if err := r.check(ctx, before, store, old == nil); err != nil {
		return err
	}
	var err error
	store.Status.Preview, err = r.previews.preview(ctx, old, store)
	return err
}

// check returns the refusal of what store claims.
func (r *REST) check(ctx context.Context, before claims.Holding, obj runtime.Object, isNew bool) error {
	change, err := r.rules.Change(ctx, before, obj, isNew)
	if err != nil || change.Empty() {
		return err
	}
	return r.ledger.Check(ctx, change)
}

// refusal turns refused claims into errors that tell the user what to do. Other errors
// stay as they are.
func refusal(ctx context.Context, name string, dry bool, err error) error {
	if !claims.IsRefusal(err) {
		return err
	}
	status, reason := explain(name, err)
	var rate *claims.RateError
	if errors.As(err, &rate) {
		retryafter.At(ctx, rate.Next)
	}
	if !dry {
		if reason == reasonRate {
			rateLimited.Inc()
		} else {
			quotaDenied.WithLabelValues(reason).Inc()
		}
	}
	audit.AddAuditAnnotation(ctx, auditRefusal, status.ErrStatus.Message)
	return status
}

func explain(name string, err error) (status *apierrors.StatusError, reason string) {
	var (
		taken    *claims.TakenError
		exceeded *claims.ExceededError
		rate     *claims.RateError
	)
	switch {
	case errors.As(err, &taken):
		return apierrors.NewInvalid(v1alpha1.Kind("Store"), name, field.ErrorList{
			field.Invalid(field.NewPath("spec", "host"), quota.Host(taken.Name), "another store has this host: set spec.host to one that is free"),
		}), reasonHost
	case errors.As(err, &exceeded):
		who, kind := quota.Describe(exceeded.Name)
		return apierrors.NewForbidden(platform.Resource("stores"), name, fmt.Errorf(
			"exceeded quota: requested 1, used %d, hard %d stores of %s (set by %s): delete a store that is no longer needed, or ask a cluster administrator for a StoreQuota that allows more",
			exceeded.Used, exceeded.Max, who, exceeded.Source)), kind
	case errors.As(err, &rate):
		who, _ := quota.Describe(rate.Name)
		// Without a number of seconds: clients would wait for them in silence. The
		// header has a date, which they show to nobody and do not act on.
		return apierrors.NewTooManyRequests(fmt.Sprintf(
			"stores are created too fast: used %d, hard %d per %s for %s (set by %s): try again in %s, at %s",
			rate.Used, rate.Count, rate.Window, who, rate.Source,
			(rate.Wait+time.Second).Truncate(time.Second), rate.Next.Add(time.Second).UTC().Format(time.RFC3339)), 0), reasonRate
	}
	return apierrors.NewInternalError(err), ""
}
