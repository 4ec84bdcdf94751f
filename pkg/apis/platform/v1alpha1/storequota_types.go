package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:noStatus
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreQuota bounds how many stores its subjects may have, and how fast they
// may create them. Every store counts from its creation until it is gone,
// whatever state it is in. A bound that is lowered leaves the stores alone that
// exist already.
type StoreQuota struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	//
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is whom the quota concerns and what it allows.
	Spec StoreQuotaSpec `json:"spec"`
}

// StoreQuotaSpec is whom a quota concerns and what it allows.
type StoreQuotaSpec struct {
	// subjects are whom the quota concerns. Users and groups stand for owners of
	// stores: each of them, and each member of a group, has the quota alone. For
	// an owner a quota that names the user goes before those that name groups,
	// of several of one kind the largest counts, and without any the server's
	// defaults do. A namespace has its quota in addition, for all stores in it
	// together, and of several the smallest decides.
	//
	// +listType=atomic
	// +k8s:required
	// +k8s:minItems=1
	// +k8s:maxItems=256
	// +k8s:listType=atomic
	Subjects []QuotaSubject `json:"subjects"`

	// hard is how many there may be at a time.
	//
	// +optional
	Hard StoreQuotaHard `json:"hard,omitempty"`

	// createRate is how many stores may be created in a span of time. Deleting
	// them gives nothing back. Left out, this quota says nothing of it.
	//
	// +optional
	// +k8s:optional
	CreateRate *CreateRate `json:"createRate,omitempty"`
}

// QuotaSubject is a user, a group or a namespace.
type QuotaSubject struct {
	// kind is what the subject is: User, Group or Namespace.
	//
	// +k8s:required
	Kind QuotaSubjectKind `json:"kind"`

	// name is the name of the user or group as the cluster authenticates it, or
	// the name of the namespace.
	//
	// +k8s:required
	// +k8s:maxLength=1024
	Name string `json:"name"`
}

// QuotaSubjectKind is what a subject is.
//
// +enum
// +k8s:enum
type QuotaSubjectKind string

// The kinds of subjects.
const (
	// QuotaSubjectUser is one user.
	QuotaSubjectUser QuotaSubjectKind = "User"
	// QuotaSubjectGroup is every user of a group.
	QuotaSubjectGroup QuotaSubjectKind = "Group"
	// QuotaSubjectNamespace is a namespace.
	QuotaSubjectNamespace QuotaSubjectKind = "Namespace"
)

// StoreQuotaHard is how many there may be at a time.
type StoreQuotaHard struct {
	// stores is how many stores there may be; 0 allows none. Left out, this
	// quota says nothing of it.
	//
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	Stores *int32 `json:"stores,omitempty"`
}

// CreateRate is how many stores may be created in a span of time.
type CreateRate struct {
	// count is how many stores may be created in any span of windowSeconds.
	//
	// +k8s:required
	// +k8s:minimum=1
	Count int32 `json:"count"`

	// windowSeconds is the length of the span, at most 30 days.
	//
	// +k8s:required
	// +k8s:minimum=1
	// +k8s:maximum=2592000
	WindowSeconds int32 `json:"windowSeconds"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreQuotaList is a list of StoreQuotas.
type StoreQuotaList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	//
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the quotas.
	Items []StoreQuota `json:"items"`
}
