package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=create
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SelfStoreQuotaReview tells whoever creates it how many stores they have and
// may have. It is not stored.
type SelfStoreQuotaReview struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. It has no meaning here.
	//
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked.
	//
	// +optional
	Spec SelfStoreQuotaReviewSpec `json:"spec,omitempty"`

	// status is the answer, written by the server.
	//
	// +optional
	Status SelfStoreQuotaReviewStatus `json:"status,omitempty"`
}

// SelfStoreQuotaReviewSpec is what is asked.
type SelfStoreQuotaReviewSpec struct {
	// namespace is where a store would be created. Left out, the answer tells
	// only what bounds the user.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Namespace string `json:"namespace,omitempty"`
}

// SelfStoreQuotaReviewStatus is the answer.
type SelfStoreQuotaReviewStatus struct {
	// limits are the bounds on how many stores there may be. A new store has to
	// keep all of them.
	//
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	Limits []StoreLimit `json:"limits,omitempty"`

	// createRate is how many stores the user may create in a span of time. It is
	// absent when that is not limited.
	//
	// +optional
	// +k8s:optional
	CreateRate *StoreCreateRate `json:"createRate,omitempty"`
}

// StoreLimit is one bound and how much of it is used.
type StoreLimit struct {
	// source is who set the bound: "default", or "StoreQuota/" and its name.
	Source string `json:"source"`

	// scope is Owner when the user's own stores count, in all namespaces, and
	// Namespace when all stores of the namespace do.
	Scope StoreLimitScope `json:"scope"`

	// hard is how many stores there may be. It is absent when that is not
	// limited.
	//
	// +optional
	// +k8s:optional
	Hard *int32 `json:"hard,omitempty"`

	// used is how many stores there are, in whatever state.
	Used int32 `json:"used"`
}

// StoreLimitScope says which stores a bound counts.
//
// +enum
type StoreLimitScope string

// The scopes of bounds.
const (
	// StoreLimitScopeOwner counts the stores of one owner.
	StoreLimitScopeOwner StoreLimitScope = "Owner"
	// StoreLimitScopeNamespace counts the stores of one namespace.
	StoreLimitScopeNamespace StoreLimitScope = "Namespace"
)

// StoreCreateRate is a rate of creations and how much of it is used.
type StoreCreateRate struct {
	// count is how many stores may be created in any span of windowSeconds.
	Count int32 `json:"count"`

	// windowSeconds is the length of the span.
	WindowSeconds int32 `json:"windowSeconds"`

	// used is how many stores have been created in the span that ends now.
	Used int32 `json:"used"`
}
