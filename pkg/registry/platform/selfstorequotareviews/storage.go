// Package selfstorequotareviews answers how many stores a user has and may have.
package selfstorequotareviews

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/registry/platform/quota"
	"platform.dev/stores/pkg/storage/claims"
)

// REST answers reviews. Nothing is stored.
type REST struct {
	quotas *quota.Quotas
	ledger claims.Ledger
}

var (
	_ rest.Creater              = &REST{} //nolint:misspell // the interface is called so
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns what answers reviews from the books of the storage.
func NewREST(quotas *quota.Quotas, ledger claims.Ledger) *REST { return &REST{quotas, ledger} }

// New returns an empty review to decode into.
func (*REST) New() runtime.Object { return &platform.SelfStoreQuotaReview{} }

// Destroy does nothing: there is nothing to close.
func (*REST) Destroy() {}

// NamespaceScoped is false: the namespace asked about is part of the question.
func (*REST) NamespaceScoped() bool { return false }

// GetSingularName is the name in messages.
func (*REST) GetSingularName() string { return "selfstorequotareview" }

// Create answers the review of the user who sends it.
func (r *REST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*platform.SelfStoreQuotaReview)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected a SelfStoreQuotaReview, got %T", obj))
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	owner, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("the request has no user")
	}
	bounds, err := r.quotas.For(ctx, owner, review.Spec.Namespace)
	if err != nil {
		return nil, err
	}
	review.Status = platform.SelfStoreQuotaReviewStatus{}
	if err := r.answer(ctx, bounds, quota.OwnerName(owner.GetName()), &review.Status); err != nil {
		return nil, err
	}
	return review, nil
}

func (r *REST) answer(ctx context.Context, bounds *quota.Bounds, owner string, status *platform.SelfStoreQuotaReviewStatus) error {
	var names []string
	for _, bound := range bounds.Stores {
		names = append(names, bound.Name)
	}
	used, err := r.ledger.Count(ctx, names...)
	if err != nil {
		return err
	}
	for _, bound := range bounds.Stores {
		status.Limits = append(status.Limits, platform.StoreLimit{
			Source: bound.Source, Scope: bound.Scope, Hard: bound.Hard, Used: int32(used[bound.Name]),
		})
	}
	for _, rate := range bounds.Rates {
		if rate.Name != owner {
			continue
		}
		spent, err := r.ledger.Spent(ctx, rate)
		if err != nil {
			return err
		}
		status.CreateRate = &platform.StoreCreateRate{
			Count: int32(rate.Count), WindowSeconds: int32(rate.Window / time.Second), Used: int32(spent),
		}
	}
	return nil
}
