package platform

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreHistory is a part of a store's past, the newest first.
type StoreHistory struct {
	metav1.TypeMeta
	// ListMeta is not embedded: its methods would make this a list of objects to
	// the server, which would try to answer with their metadata.
	ListMeta metav1.ListMeta
	Items    []StoreRevision
}

// StoreRevision is one write of a store.
type StoreRevision struct {
	ResourceVersion string
	Time            metav1.MicroTime
	Verb            string
	User            string
	Manager         string
	AuditID         string
	SourceIPs       []string
	Generation      int64
	Changes         []FieldChange
}

// FieldChange is one field that a write changed.
type FieldChange struct {
	Path string
	From *string
	To   *string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreHistoryOptions say which part of a store's past is asked for.
type StoreHistoryOptions struct {
	metav1.TypeMeta
	Limit           int64
	Continue        string
	At              string
	ResourceVersion string
}
