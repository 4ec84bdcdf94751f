package platform

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreQuota bounds how many stores its subjects may have, and how fast they
// may create them.
type StoreQuota struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec StoreQuotaSpec
}

// StoreQuotaSpec is whom a quota concerns and what it allows.
type StoreQuotaSpec struct {
	Subjects   []QuotaSubject
	Hard       StoreQuotaHard
	CreateRate *CreateRate
}

// QuotaSubject is a user, a group or a namespace.
type QuotaSubject struct {
	Kind QuotaSubjectKind
	Name string
}

// QuotaSubjectKind is what a subject is.
type QuotaSubjectKind string

// The kinds of subjects.
const (
	QuotaSubjectUser      QuotaSubjectKind = "User"
	QuotaSubjectGroup     QuotaSubjectKind = "Group"
	QuotaSubjectNamespace QuotaSubjectKind = "Namespace"
)

// StoreQuotaHard is how many there may be.
type StoreQuotaHard struct {
	Stores *int32
}

// CreateRate is how many stores may be created in a span of time.
type CreateRate struct {
	Count         int32
	WindowSeconds int32
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreQuotaList is a list of StoreQuotas.
type StoreQuotaList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []StoreQuota
}
