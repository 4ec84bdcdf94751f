package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Finalizer is set on every Store at creation. The provisioner removes it when
// nothing of the store is left in the cluster, and only then the Store goes.
const Finalizer = "platform.dev/provisioner"

// The annotations that a rollout puts on a store together with the version.
const (
	// AnnotationRolloutVersion is the version that the rollout gave to the store.
	AnnotationRolloutVersion = "platform.dev/rollout-version"
	// AnnotationRolloutWave is the number of the wave that the store came with.
	AnnotationRolloutWave = "platform.dev/rollout-wave"
)

// +genclient
// +genclient:method=GetCredentials,verb=get,subresource=credentials,result=platform.dev/stores/pkg/apis/platform/v1alpha1.StoreCredentials
// +genclient:method=GetHistory,verb=get,subresource=history,result=platform.dev/stores/pkg/apis/platform/v1alpha1.StoreHistory
// +genclient:method=Rollback,verb=create,subresource=rollback,input=platform.dev/stores/pkg/apis/platform/v1alpha1.StoreRollback,result=platform.dev/stores/pkg/apis/platform/v1alpha1.Store
// +k8s:supportsSubresource="/status"
// +k8s:supportsSubresource="/rollback"
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Store is one online shop: a namespace of its own with a database, a web
// tier, a URL and an admin login, all set up and ready to sell.
type Store struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. The name is at most 63
	// characters long and may hold lower-case letters, digits and '-', because
	// it becomes part of the shop's host name.
	//
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the shop that is wanted.
	Spec StoreSpec `json:"spec"`

	// status is the shop as it is. Only the provisioner writes it.
	//
	// +optional
	Status StoreStatus `json:"status,omitempty"`
}

// StoreSpec is the shop that a user wants.
type StoreSpec struct {
	// engine names the Engine, the kind of shop software, that the store runs,
	// such as "medusa". `kubectl get engines` lists what the cluster offers. It
	// cannot be changed: to move to another engine create another store.
	//
	// +k8s:required
	// +k8s:immutable
	// +k8s:maxLength=63
	Engine string `json:"engine"`

	// version is the engine's version to run. Left empty at creation it becomes
	// the engine's default version; change it to upgrade.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Version string `json:"version,omitempty"`

	// upgradePolicy says whether the version follows the engine's default version:
	// with Automatic the engine's rollout changes it, with Manual nobody but who
	// changes the store. Left empty at creation it becomes Automatic if the version
	// is left empty too, and else Manual. Who changes the version of an Automatic
	// store makes it Manual.
	//
	// +optional
	// +k8s:optional
	UpgradePolicy UpgradePolicy `json:"upgradePolicy,omitempty"`

	// plan names the engine's plan that sizes the store: its resource quota,
	// its limits and the size of its parts. Left empty at creation it becomes
	// the engine's default plan.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Plan string `json:"plan,omitempty"`

	// displayName is the shop's title as shoppers see it. Any printable text is
	// allowed and shown exactly as written. Left empty it becomes the store's
	// name.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=128
	DisplayName string `json:"displayName,omitempty"`

	// host is the shop's host name. Left empty it becomes the store's name
	// under the platform's domain, such as "flowers.shops.example.com".
	//
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-long-name
	Host string `json:"host,omitempty"`

	// adminEmail is the address that logs in as the shop's administrator. It is
	// used when the shop is first set up; changing it later does not rename the
	// login. Left empty it becomes admin@ the shop's host.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=254
	AdminEmail string `json:"adminEmail,omitempty"`

	// powerState says whether the shop runs. A hibernated store keeps its data,
	// its secrets and its URL, and has no running pods.
	//
	// +optional
	// +default="Running"
	// +k8s:optional
	PowerState PowerState `json:"powerState,omitempty"`

	// suspend stops the provisioner from acting on the store while it is true.
	// The shop itself goes on as it is, and deleting it works as ever.
	//
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// deletionProtection refuses to delete the store while it is true.
	//
	// +optional
	DeletionProtection bool `json:"deletionProtection,omitempty"`

	// deletionPolicy says what becomes of the shop's data when the store is
	// deleted: Delete removes everything; Retain keeps the namespace with its
	// volumes and secrets, and removes what runs.
	//
	// +optional
	// +default="Delete"
	// +k8s:optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// values are settings of the engine's own, as its Engine's
	// spec.valuesSchema allows them. Most stores need none.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	Values *runtime.RawExtension `json:"values,omitempty"`

	// restore is the backup whose data was asked for last, written by the server
	// when a rollback brings the data too. What a client sends here is ignored.
	//
	// +optional
	// +k8s:optional
	Restore *StoreRestore `json:"restore,omitempty"`

	// owner is the user who created the store, written by the server from the
	// authenticated request. What a client sends here is ignored. To create a
	// store for somebody else, impersonate them (kubectl --as).
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=1024
	Owner string `json:"owner,omitempty"`
}

// StoreRestore asks for the data of a backup. It is done once: status.restored
// tells what became of it.
type StoreRestore struct {
	// backup is the backup's name in status.backups.
	//
	// +k8s:required
	// +k8s:maxLength=63
	Backup string `json:"backup"`

	// time is when it was asked for.
	//
	// +k8s:opaqueType
	Time metav1.Time `json:"time"`
}

// UpgradePolicy says who changes a store's version.
//
// +enum
// +k8s:enum
type UpgradePolicy string

// The upgrade policies of a store.
const (
	// UpgradePolicyAutomatic is a store that the engine's rollout upgrades.
	UpgradePolicyAutomatic UpgradePolicy = "Automatic"
	// UpgradePolicyManual is a store that keeps its version until it is changed.
	UpgradePolicyManual UpgradePolicy = "Manual"
)

// PowerState says whether a store's workload runs.
//
// +enum
// +k8s:enum
type PowerState string

// The power states of a store.
const (
	// PowerStateRunning is a shop that is open.
	PowerStateRunning PowerState = "Running"
	// PowerStateHibernated is a shop that keeps its data and runs no pods.
	PowerStateHibernated PowerState = "Hibernated"
)

// DeletionPolicy says what becomes of a store's data when the store is deleted.
//
// +enum
// +k8s:enum
type DeletionPolicy string

// The deletion policies of a store.
const (
	// DeletionPolicyDelete removes the namespace with all volumes and secrets.
	DeletionPolicyDelete DeletionPolicy = "Delete"
	// DeletionPolicyRetain keeps the namespace, its volumes and its secrets.
	DeletionPolicyRetain DeletionPolicy = "Retain"
)

// StoreStatus is the shop as the provisioner last saw it.
type StoreStatus struct {
	// observedGeneration is the metadata.generation that this status describes.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions tell what is true of the store. Ready sums them up: it is True
	// only when the storefront has answered as a shop that sells. The others are
	// NamespaceReady, SecretsReady, ReleaseInstalled, WorkloadReady, RouteReady
	// and StorefrontReady, and, while they apply, Reconciling, Stalled and
	// UpgradePending.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	// +k8s:optional
	// +k8s:maxItems=32
	// +k8s:listType=map
	// +k8s:listMapKey=type
	// +k8s:eachVal=+k8s:opaqueType
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// steps are the stages of provisioning in their order, with the time each
	// one took.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +k8s:optional
	// +k8s:maxItems=32
	// +k8s:listType=map
	// +k8s:listMapKey=name
	Steps []StoreStep `json:"steps,omitempty"`

	// namespace is the namespace that holds the shop.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Namespace string `json:"namespace,omitempty"`

	// url is where shoppers find the shop.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=2048
	URL string `json:"url,omitempty"`

	// adminURL is where the shop's administrator logs in.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=2048
	AdminURL string `json:"adminURL,omitempty"`

	// version is the engine version that is installed.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Version string `json:"version,omitempty"`

	// release is the Helm release behind the shop.
	//
	// +optional
	// +k8s:optional
	Release *StoreRelease `json:"release,omitempty"`

	// backups are the backups of the shop's data that are kept, the newest
	// first.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +k8s:optional
	// +k8s:maxItems=32
	// +k8s:listType=map
	// +k8s:listMapKey=name
	Backups []StoreBackup `json:"backups,omitempty"`

	// restored tells what became of spec.restore.
	//
	// +optional
	// +k8s:optional
	Restored *RestoreOutcome `json:"restored,omitempty"`

	// preview tells what a change of spec would do to the shop. It is in the
	// answer to a dry run alone, and never stored.
	//
	// +optional
	// +k8s:optional
	Preview *StorePreview `json:"preview,omitempty"`
}

// StorePreview is what a change of a store would do to its shop: the objects of the
// engine's chart, of the plan and of the platform, as they are rendered for the spec
// that is stored and for the one that is asked for.
type StorePreview struct {
	// message says what is to be known about changes: that there are none, that
	// some are left out, or why they cannot be told.
	//
	// +optional
	Message string `json:"message,omitempty"`

	// changes are the objects that would change, by their names.
	//
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:opaqueType
	Changes []ObjectChange `json:"changes,omitempty"`
}

// ObjectChange is what would become of one object of a shop.
type ObjectChange struct {
	// object is the object's kind and name, such as "Deployment/medusa".
	Object string `json:"object"`

	// change is what would become of it.
	//
	// +k8s:required
	Change ChangeType `json:"change"`

	// fields are the fields that would change, if the object stays. Long values
	// are cut to where they differ, and those of Secrets are hidden.
	//
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:opaqueType
	Fields []FieldChange `json:"fields,omitempty"`
}

// ChangeType is what would become of an object.
//
// +enum
// +k8s:enum
type ChangeType string

// What would become of an object.
const (
	// ObjectAdded is an object that would be made.
	ObjectAdded ChangeType = "Added"
	// ObjectRemoved is an object that would be deleted.
	ObjectRemoved ChangeType = "Removed"
	// ObjectChanged is an object that would stay, with other fields.
	ObjectChanged ChangeType = "Changed"
)

// StoreBackup is a copy of a shop's data, on a volume in its namespace.
type StoreBackup struct {
	// name is the backup's name, which begins with its time.
	//
	// +k8s:required
	// +k8s:maxLength=63
	Name string `json:"name"`

	// time is when the backup was begun.
	//
	// +k8s:opaqueType
	Time metav1.Time `json:"time"`

	// version is the engine version that stored the data.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Version string `json:"version,omitempty"`

	// firstGeneration and lastGeneration are the generations of the store that
	// the shop was in with this data: a rollback to one of them brings it back. A
	// backup of data that a restore has replaced may stand for none, and is then
	// brought back by its name.
	//
	// +optional
	FirstGeneration int64 `json:"firstGeneration,omitempty"`
	// lastGeneration is the last of them.
	//
	// +optional
	LastGeneration int64 `json:"lastGeneration,omitempty"`

	// bytes is the backup's size.
	//
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
}

// RestoreOutcome is what became of a StoreRestore.
type RestoreOutcome struct {
	// backup and time are those of the StoreRestore.
	//
	// +k8s:required
	// +k8s:maxLength=63
	Backup string `json:"backup"`
	// time is when it was asked for.
	//
	// +k8s:opaqueType
	Time metav1.Time `json:"time"`

	// result is "succeeded", once a release runs on the backup's data, or
	// "failed". A restore that failed is not tried again, and message tells why.
	//
	// +k8s:required
	// +k8s:maxLength=63
	Result string `json:"result"`

	// message tells why it failed.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=32768
	Message string `json:"message,omitempty"`
}

// StoreStep is one stage of provisioning a store.
type StoreStep struct {
	// name is the stage, and also the type of the condition it makes true.
	//
	// +k8s:required
	// +k8s:maxLength=63
	Name string `json:"name"`

	// state is how far the stage has come.
	//
	// +k8s:required
	State StepState `json:"state"`

	// startTime is when the stage was first worked on.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// endTime is when the stage was done.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	EndTime *metav1.Time `json:"endTime,omitempty"`

	// progressTime is when the stage last came nearer to being done, if it is not.
	// The engine's progressDeadlineSeconds count from it.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	ProgressTime *metav1.Time `json:"progressTime,omitempty"`

	// message tells what the stage waits for, naming the object that is in the
	// way.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=32768
	Message string `json:"message,omitempty"`
}

// StepState is how far a stage of provisioning has come.
//
// +enum
// +k8s:enum
type StepState string

// The states of a step.
const (
	// StepPending is a stage that waits for an earlier one.
	StepPending StepState = "Pending"
	// StepRunning is a stage that is being worked on.
	StepRunning StepState = "Running"
	// StepDone is a stage whose condition is true.
	StepDone StepState = "Done"
	// StepFailed is a stage that cannot go on as things are. It is retried.
	StepFailed StepState = "Failed"
)

// StoreRelease is the Helm release behind a store.
type StoreRelease struct {
	// name is the release's name in the store's namespace.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Name string `json:"name,omitempty"`

	// chart is the chart's name.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	Chart string `json:"chart,omitempty"`

	// chartVersion is the chart's version.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	ChartVersion string `json:"chartVersion,omitempty"`

	// revision is the release's revision as Helm counts them.
	//
	// +optional
	Revision int64 `json:"revision,omitempty"`

	// ready is the newest revision with which the shop was ready: where a
	// failed upgrade returns to.
	//
	// +optional
	// +k8s:optional
	Ready *ReadyRevision `json:"ready,omitempty"`

	// failed is the upgrade that has failed and was taken back. It is not tried
	// again until the store or its engine asks for something else.
	//
	// +optional
	// +k8s:optional
	Failed *FailedUpgrade `json:"failed,omitempty"`

	// actions are the last three Helm actions, the newest first.
	//
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:maxItems=3
	Actions []ReleaseAction `json:"actions,omitempty"`
}

// ReadyRevision is a revision with which the shop was ready, and what it runs.
type ReadyRevision struct {
	// revision is the release's revision.
	Revision int64 `json:"revision"`

	// digest identifies the chart and the values that the revision was made
	// from.
	//
	// +k8s:required
	// +k8s:maxLength=128
	Digest string `json:"digest"`

	// chart is the chart's name.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	Chart string `json:"chart,omitempty"`

	// chartVersion is the chart's version.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	ChartVersion string `json:"chartVersion,omitempty"`

	// version is the engine version it runs.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Version string `json:"version,omitempty"`

	// plan is the plan it was sized by.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Plan string `json:"plan,omitempty"`

	// generation is the newest generation of the store that was ready with it.
	//
	// +optional
	Generation int64 `json:"generation,omitempty"`

	// dataReplaced is true once a restore has replaced the data that the
	// revision was ready with. Nothing returns to the revision by itself then.
	//
	// +optional
	DataReplaced bool `json:"dataReplaced,omitempty"`
}

// FailedUpgrade is an upgrade that was taken back.
type FailedUpgrade struct {
	// digest identifies what was asked for: the chart and the values, or the
	// restore and the store's generation.
	//
	// +k8s:required
	// +k8s:maxLength=128
	Digest string `json:"digest"`

	// version is the engine version that was asked for.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Version string `json:"version,omitempty"`

	// plan is the plan that was asked for.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Plan string `json:"plan,omitempty"`

	// message tells why it failed.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=32768
	Message string `json:"message,omitempty"`

	// returnedTo is the revision that the release was rolled back to.
	ReturnedTo int64 `json:"returnedTo"`

	// time is when it had failed.
	//
	// +k8s:opaqueType
	Time metav1.Time `json:"time"`
}

// ReleaseAction is one Helm action that ran for a store.
type ReleaseAction struct {
	// action is what Helm was asked to do: install, upgrade, rollback, unlock
	// or uninstall.
	//
	// +k8s:required
	// +k8s:maxLength=63
	Action string `json:"action"`

	// revision is the release revision the action made.
	//
	// +optional
	Revision int64 `json:"revision,omitempty"`

	// result is "succeeded" or "failed".
	//
	// +k8s:required
	// +k8s:maxLength=63
	Result string `json:"result"`

	// message tells why a failed action failed.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=32768
	Message string `json:"message,omitempty"`

	// time is when the action ended.
	//
	// +k8s:opaqueType
	Time metav1.Time `json:"time"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreList is a list of Stores.
type StoreList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	//
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the stores.
	//
	// +k8s:opaqueType
	Items []Store `json:"items"`
}
