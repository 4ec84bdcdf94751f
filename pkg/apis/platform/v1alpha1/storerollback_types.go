package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:supportsSubresource="/rollback"
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreRollback makes the spec of an earlier revision a store's spec again: what
// the subresource stores/rollback takes. It answers the Store as it is then.
type StoreRollback struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// metadata names the store, or nothing.
	//
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what to return to.
	Spec StoreRollbackSpec `json:"spec"`
}

// StoreRollbackSpec is the revision to return to.
type StoreRollbackSpec struct {
	// resourceVersion is a revision of the store, as stores/history lists them.
	//
	// +k8s:required
	// +k8s:maxLength=20
	ResourceVersion string `json:"resourceVersion"`
}
