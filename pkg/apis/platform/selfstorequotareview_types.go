package platform

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SelfStoreQuotaReview tells whoever creates it how many stores they have and
// may have. It is not stored.
type SelfStoreQuotaReview struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   SelfStoreQuotaReviewSpec
	Status SelfStoreQuotaReviewStatus
}

// SelfStoreQuotaReviewSpec is what is asked.
type SelfStoreQuotaReviewSpec struct {
	Namespace string
}

// SelfStoreQuotaReviewStatus is the answer.
type SelfStoreQuotaReviewStatus struct {
	Limits     []StoreLimit
	CreateRate *StoreCreateRate
}

// StoreLimit is one bound and how much of it is used.
type StoreLimit struct {
	Source string
	Scope  StoreLimitScope
	Hard   *int32
	Used   int32
}

// StoreLimitScope says which stores a bound counts.
type StoreLimitScope string

// The scopes of bounds.
const (
	StoreLimitScopeOwner     StoreLimitScope = "Owner"
	StoreLimitScopeNamespace StoreLimitScope = "Namespace"
)

// StoreCreateRate is a rate of creations and how much of it is used.
type StoreCreateRate struct {
	Count         int32
	WindowSeconds int32
	Used          int32
}
