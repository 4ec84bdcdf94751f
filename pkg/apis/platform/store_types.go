package platform

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Store is one online shop: a namespace of its own with a database, a web
// tier, a URL and an admin login, all set up and ready to sell.
type Store struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   StoreSpec
	Status StoreStatus
}

// StoreSpec is the shop that a user wants.
type StoreSpec struct {
	Engine             string
	Version            string
	UpgradePolicy      UpgradePolicy
	Plan               string
	DisplayName        string
	Host               string
	AdminEmail         string
	PowerState         PowerState
	Suspend            bool
	DeletionProtection bool
	DeletionPolicy     DeletionPolicy
	Values             *runtime.RawExtension
	Restore            *StoreRestore
	Owner              string
}

// StoreRestore asks for the data of a backup.
type StoreRestore struct {
	Backup string
	Time   metav1.Time
}

// UpgradePolicy says who changes a store's version.
type UpgradePolicy string

// The upgrade policies of a store.
const (
	UpgradePolicyAutomatic UpgradePolicy = "Automatic"
	UpgradePolicyManual    UpgradePolicy = "Manual"
)

// PowerState says whether a store's workload runs.
type PowerState string

// The power states of a store.
const (
	PowerStateRunning    PowerState = "Running"
	PowerStateHibernated PowerState = "Hibernated"
)

// DeletionPolicy says what becomes of a store's data when the store is deleted.
type DeletionPolicy string

// The deletion policies of a store.
const (
	DeletionPolicyDelete DeletionPolicy = "Delete"
	DeletionPolicyRetain DeletionPolicy = "Retain"
)

// StoreStatus is the shop as the provisioner last saw it.
type StoreStatus struct {
	ObservedGeneration int64
	Conditions         []metav1.Condition
	Steps              []StoreStep
	Namespace          string
	URL                string
	AdminURL           string
	Version            string
	Release            *StoreRelease
	Backups            []StoreBackup
	Restored           *RestoreOutcome
	Preview            *StorePreview
}

// StorePreview is what a change of a store would do to its shop.
type StorePreview struct {
	Message string
	Changes []ObjectChange
}

// ObjectChange is what would become of one object of a shop.
type ObjectChange struct {
	Object string
	Change ChangeType
	Fields []FieldChange
}

// ChangeType is what would become of an object.
type ChangeType string

// What would become of an object.
const (
	ObjectAdded   ChangeType = "Added"
	ObjectRemoved ChangeType = "Removed"
	ObjectChanged ChangeType = "Changed"
)

// StoreBackup is a copy of a store's data.
type StoreBackup struct {
	Name            string
	Time            metav1.Time
	Version         string
	FirstGeneration int64
	LastGeneration  int64
	Bytes           int64
}

// RestoreOutcome is what became of a StoreRestore.
type RestoreOutcome struct {
	Backup  string
	Time    metav1.Time
	Result  string
	Message string
}

// StoreStep is one stage of provisioning a store.
type StoreStep struct {
	Name         string
	State        StepState
	StartTime    *metav1.Time
	EndTime      *metav1.Time
	ProgressTime *metav1.Time
	Message      string
}

// StepState is how far a stage of provisioning has come.
type StepState string

// The states of a step.
const (
	StepPending StepState = "Pending"
	StepRunning StepState = "Running"
	StepDone    StepState = "Done"
	StepFailed  StepState = "Failed"
)

// StoreRelease is the Helm release behind a store.
type StoreRelease struct {
	Name         string
	Chart        string
	ChartVersion string
	Revision     int64
	Ready        *ReadyRevision
	Failed       *FailedUpgrade
	Actions      []ReleaseAction
}

// ReadyRevision is a revision with which the shop was ready, and what it runs.
type ReadyRevision struct {
	Revision     int64
	Digest       string
	Chart        string
	ChartVersion string
	Version      string
	Plan         string
	Generation   int64
	DataReplaced bool
}

// FailedUpgrade is an upgrade that was taken back.
type FailedUpgrade struct {
	Digest     string
	Version    string
	Plan       string
	Message    string
	ReturnedTo int64
	Time       metav1.Time
}

// ReleaseAction is one Helm action that ran for a store.
type ReleaseAction struct {
	Action   string
	Revision int64
	Result   string
	Message  string
	Time     metav1.Time
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreList is a list of Stores.
type StoreList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []Store
}
