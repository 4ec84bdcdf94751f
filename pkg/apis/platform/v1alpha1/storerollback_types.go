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

	// data says what becomes of the shop's data: Keep leaves it as it is, and
	// Restore brings back what the shop had when it left the revision. The
	// present data is backed up first.
	//
	// +optional
	// +default="Keep"
	// +k8s:optional
	Data RollbackData `json:"data,omitempty"`

	// backup names the backup to restore, one of status.backups that is of the
	// revision's version. Left empty it is the newest that stands for the
	// revision's generation.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Backup string `json:"backup,omitempty"`
}

// RollbackData says what a rollback does with the shop's data.
//
// +enum
// +k8s:enum
type RollbackData string

// What a rollback does with the shop's data.
const (
	// RollbackDataKeep leaves the data as it is.
	RollbackDataKeep RollbackData = "Keep"
	// RollbackDataRestore brings the data of the revision back.
	RollbackDataRestore RollbackData = "Restore"
)
