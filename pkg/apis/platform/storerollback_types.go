package platform

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreRollback makes the spec of an earlier revision a store's spec again.
type StoreRollback struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec StoreRollbackSpec
}

// StoreRollbackSpec is the revision to return to.
type StoreRollbackSpec struct {
	ResourceVersion string
	Data            RollbackData
	Backup          string
}

// RollbackData says what a rollback does with the shop's data.
type RollbackData string

// What a rollback does with the shop's data.
const (
	RollbackDataKeep    RollbackData = "Keep"
	RollbackDataRestore RollbackData = "Restore"
)
