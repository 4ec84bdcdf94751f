package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreHistory is a part of a store's past, the newest first: what the
// subresource stores/history answers. It begins with the creation of the store that
// has the name now or, if none has, of the last that had; a store of the same name
// that was deleted before has no part in it.
type StoreHistory struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata: its continue, if there is one,
	// leads to what is older.
	//
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the writes of the store.
	//
	// +k8s:opaqueType
	Items []StoreRevision `json:"items"`
}

// StoreRevision is one write of a store.
type StoreRevision struct {
	// resourceVersion is the metadata.resourceVersion that the write gave the
	// store. stores/history and stores/rollback take it.
	ResourceVersion string `json:"resourceVersion"`

	// time is when the write was made.
	//
	// +k8s:opaqueType
	Time metav1.MicroTime `json:"time"`

	// verb is what was done: create, update or delete. A store that was told to
	// delete stays until nothing is left of its shop, so more may follow; the last
	// of all, when it goes, is a delete too.
	Verb string `json:"verb"`

	// user is who did it.
	//
	// +optional
	User string `json:"user,omitempty"`

	// manager is the program or the kind of write that it was made by, as
	// metadata.managedFields names it, such as "kubectl-edit". It is absent from
	// writes that set no field.
	//
	// +optional
	Manager string `json:"manager,omitempty"`

	// auditID is what the audit logs of the cluster call the request. It is absent
	// from writes that no request asked for, and from those of earlier versions.
	//
	// +optional
	AuditID string `json:"auditID,omitempty"`

	// sourceIPs are where the request came from, as in audit logs: the addresses that
	// it passed. The last is that of whoever spoke to this server, and the one before it
	// what the cluster's API server saw; what stands before may be anybody's invention.
	// It is absent as auditID is.
	//
	// +optional
	// +listType=atomic
	// +k8s:optional
	SourceIPs []string `json:"sourceIPs,omitempty"`

	// generation is the store's metadata.generation since then. It counts the
	// changes of spec.
	//
	// +optional
	Generation int64 `json:"generation,omitempty"`

	// changes are what the write changed in the store's labels, annotations,
	// finalizers, spec and status. Those of a creation are all that was there.
	//
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:opaqueType
	Changes []FieldChange `json:"changes,omitempty"`
}

// FieldChange is one field that a write changed.
type FieldChange struct {
	// path is the field, such as "spec.plan" or
	// "status.conditions[Ready].status".
	Path string `json:"path"`

	// from is what the field was before, as text or, if it is more than text, as
	// JSON. It is absent if the field was.
	//
	// +optional
	// +k8s:optional
	From *string `json:"from,omitempty"`

	// to is what the field became. It is absent if the field was removed.
	//
	// +optional
	// +k8s:optional
	To *string `json:"to,omitempty"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreHistoryOptions say which part of a store's past is asked for. With at or
// resourceVersion the answer is the Store as it was.
type StoreHistoryOptions struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`

	// limit is the most revisions to answer at once, from 1 to 100. The default
	// is 100.
	//
	// +optional
	Limit int64 `json:"limit,omitempty"`

	// continue is the metadata.continue of an earlier answer, to go on with what
	// is older.
	//
	// +optional
	Continue string `json:"continue,omitempty"`

	// at asks for the Store that had the name at a moment, as it was then. The
	// moment is a time, in RFC 3339, such as "2006-01-02T15:04:05Z", of which
	// fractions of a second count; or a resourceVersion, of any object of this
	// API, and means right after that write.
	//
	// +optional
	At string `json:"at,omitempty"`

	// resourceVersion asks for the Store as one of its own revisions left it.
	//
	// +optional
	ResourceVersion string `json:"resourceVersion,omitempty"`
}
