package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:supportsSubresource="/status"
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Engine is a kind of shop software that the cluster offers: the chart that
// installs it, the versions and plans to choose from, and what it means for a
// shop of this kind to be ready. A new engine is a chart and one of these.
type Engine struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. Stores refer to the name.
	//
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the engine offers.
	Spec EngineSpec `json:"spec"`

	// status is how far the stores have come to the engine's default version. Only
	// the provisioner writes it.
	//
	// +optional
	Status EngineStatus `json:"status,omitempty"`
}

// EngineSpec is what an engine offers and how the provisioner installs it.
type EngineSpec struct {
	// displayName is the engine's name as people write it, such as "MedusaJS".
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=128
	DisplayName string `json:"displayName,omitempty"`

	// description tells a shop owner what the engine is, in a sentence or two.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=1024
	Description string `json:"description,omitempty"`

	// chart is where the engine's Helm chart comes from.
	Chart ChartSource `json:"chart"`

	// versions are the versions a store can run.
	//
	// +listType=map
	// +listMapKey=name
	// +k8s:required
	// +k8s:minItems=1
	// +k8s:maxItems=64
	// +k8s:listType=map
	// +k8s:listMapKey=name
	Versions []EngineVersion `json:"versions"`

	// defaultVersion is the version of a store that names none. It must be one
	// of versions. With a rollout the stores that follow it are upgraded to it.
	//
	// +k8s:required
	// +k8s:maxLength=63
	DefaultVersion string `json:"defaultVersion"`

	// plans are the sizes a store can have.
	//
	// +listType=map
	// +listMapKey=name
	// +k8s:required
	// +k8s:minItems=1
	// +k8s:maxItems=64
	// +k8s:listType=map
	// +k8s:listMapKey=name
	Plans []EnginePlan `json:"plans"`

	// defaultPlan is the plan of a store that names none. It must be one of
	// plans.
	//
	// +k8s:required
	// +k8s:maxLength=63
	DefaultPlan string `json:"defaultPlan"`

	// values are chart values that every store of this engine gets. The
	// version's values, the plan's, the store's own and what mappings set come
	// over them, in this order.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	Values *runtime.RawExtension `json:"values,omitempty"`

	// valuesSchema is the JSON Schema that a store's spec.values must satisfy.
	// Without one a store may set no values. Leave additionalProperties false at
	// every level, else a store can reach chart values it should not.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	ValuesSchema *runtime.RawExtension `json:"valuesSchema,omitempty"`

	// mappings say which chart value takes which field of the store. They win
	// over all other values.
	//
	// +optional
	// +listType=map
	// +listMapKey=value
	// +k8s:optional
	// +k8s:maxItems=64
	// +k8s:listType=map
	// +k8s:listMapKey=value
	Mappings []ValueMapping `json:"mappings,omitempty"`

	// credentials are the secrets that every store of this engine needs. Each
	// is made once, kept in the store's namespace, and never changed.
	//
	// +optional
	// +listType=map
	// +listMapKey=key
	// +k8s:optional
	// +k8s:maxItems=32
	// +k8s:listType=map
	// +k8s:listMapKey=key
	Credentials []Credential `json:"credentials,omitempty"`

	// adminLogin says which of the credentials the shop's administrator logs in
	// with. Without it a store of this engine has no login to show.
	//
	// +optional
	// +k8s:optional
	AdminLogin *AdminLogin `json:"adminLogin,omitempty"`

	// storefront says how to tell that a shop of this engine sells.
	Storefront Storefront `json:"storefront"`

	// backup says how the data of a store is backed up, which is done before
	// each change of its version. Without it the engine's stores are upgraded
	// without a backup.
	//
	// +optional
	// +k8s:optional
	Backup *EngineBackup `json:"backup,omitempty"`

	// progressDeadlineSeconds is how long a store may come no nearer to being
	// ready. After that an upgrade has failed, and the store returns to what it
	// ran before; a store that was never ready is Stalled, and still tried.
	//
	// +optional
	// +default=600
	// +k8s:optional
	// +k8s:minimum=10
	// +k8s:maximum=86400
	ProgressDeadlineSeconds int32 `json:"progressDeadlineSeconds,omitempty"`

	// rollout says how the stores whose upgradePolicy is Automatic come to another
	// default version: in waves, until too many upgrades fail. Without it another
	// default version is for new stores alone; an empty one is all defaults.
	//
	// +optional
	// +k8s:optional
	Rollout *EngineRollout `json:"rollout,omitempty"`
}

// EngineRollout says how stores come to the engine's default version.
type EngineRollout struct {
	// paused begins no upgrade while it is true. Those under way come to their end.
	//
	// +optional
	Paused bool `json:"paused,omitempty"`

	// waves are the sizes of the waves, each a number of stores or a percentage of
	// those that follow the default, rounded up. The last one is repeated until all
	// are upgraded. Left empty they are 1, 5% and 25%.
	//
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:maxItems=32
	// +k8s:eachVal=+k8s:opaqueType
	Waves []intstr.IntOrString `json:"waves,omitempty"`

	// pauseSeconds is how long the stores of a wave are watched, once all are ready,
	// before the next one begins. Left empty it is 300.
	//
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	// +k8s:maximum=604800
	PauseSeconds *int32 `json:"pauseSeconds,omitempty"`

	// maxConcurrency is how many stores are upgraded at a time: a number, or a
	// percentage of those that follow the default, rounded up. Left empty it is 10.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	MaxConcurrency *intstr.IntOrString `json:"maxConcurrency,omitempty"`

	// maxFailures is how many upgrades may fail before no more are begun: a number,
	// or a percentage of those begun so far, rounded down. Left empty it is 5%.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	MaxFailures *intstr.IntOrString `json:"maxFailures,omitempty"`
}

// ChartSource is where a Helm chart comes from. Exactly one member is set.
type ChartSource struct {
	// builtin names a chart that the provisioner carries itself.
	//
	// +optional
	// +k8s:optional
	// +k8s:unionMember
	// +k8s:maxLength=63
	Builtin *string `json:"builtin,omitempty"`

	// oci is a chart in an OCI registry, such as
	// "oci://registry.example.com/charts/medusa".
	//
	// +optional
	// +k8s:optional
	// +k8s:unionMember
	// +k8s:maxLength=512
	OCI *string `json:"oci,omitempty"`

	// repository is a chart in an HTTP chart repository.
	//
	// +optional
	// +k8s:optional
	// +k8s:unionMember
	Repository *ChartRepository `json:"repository,omitempty"`
}

// ChartRepository is a chart in an HTTP chart repository.
type ChartRepository struct {
	// url is the repository's address, without index.yaml.
	//
	// +k8s:required
	// +k8s:maxLength=512
	URL string `json:"url"`

	// name is the chart's name in the repository.
	//
	// +k8s:required
	// +k8s:maxLength=128
	Name string `json:"name"`
}

// EngineVersion is one version of an engine.
type EngineVersion struct {
	// name is the version as users write it, such as "2.21.2".
	//
	// +k8s:required
	// +k8s:maxLength=63
	Name string `json:"name"`

	// chartVersion is the version of the chart that installs it. Built-in
	// charts have just one, and need none here.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	ChartVersion string `json:"chartVersion,omitempty"`

	// values are chart values for this version, usually the image to run.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	Values *runtime.RawExtension `json:"values,omitempty"`
}

// EnginePlan is one size of store.
type EnginePlan struct {
	// name is the plan as users write it, such as "standard".
	//
	// +k8s:required
	// +k8s:format=k8s-short-name
	Name string `json:"name"`

	// description tells a shop owner what the plan is for, and what its database
	// means for the shop: how long it may be down, and what can be lost.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=1024
	Description string `json:"description,omitempty"`

	// quota is the ResourceQuota of the store's namespace: the most that the
	// whole store may use, by the names ResourceQuota knows, such as
	// "limits.cpu" or "persistentvolumeclaims".
	//
	// +optional
	// +k8s:optional
	// +k8s:eachVal=+k8s:opaqueType
	Quota map[string]resource.Quantity `json:"quota,omitempty"`

	// limits is the LimitRange of the store's namespace: what a single
	// container gets and may ask for.
	//
	// +optional
	Limits ContainerLimits `json:"limits,omitempty"`

	// values are chart values for this plan, usually sizes.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	Values *runtime.RawExtension `json:"values,omitempty"`
}

// ContainerLimits are the per-container rules of a plan, by resource name, such
// as "cpu" or "memory".
type ContainerLimits struct {
	// defaultRequest is what a container that names no request is given.
	//
	// +optional
	// +k8s:optional
	// +k8s:eachVal=+k8s:opaqueType
	DefaultRequest map[string]resource.Quantity `json:"defaultRequest,omitempty"`

	// default is the limit of a container that names none.
	//
	// +optional
	// +k8s:optional
	// +k8s:eachVal=+k8s:opaqueType
	Default map[string]resource.Quantity `json:"default,omitempty"`

	// max is the most that one container may have.
	//
	// +optional
	// +k8s:optional
	// +k8s:eachVal=+k8s:opaqueType
	Max map[string]resource.Quantity `json:"max,omitempty"`
}

// ValueMapping puts one field of a store into one chart value.
type ValueMapping struct {
	// value is the chart value's path, with dots, such as "store.title".
	//
	// +k8s:required
	// +k8s:maxLength=253
	Value string `json:"value"`

	// from is the field of the store that goes there.
	//
	// +k8s:required
	From StoreField `json:"from"`
}

// StoreField is a fact about a store that chart values can take.
//
// +enum
// +k8s:enum
type StoreField string

// The facts about a store that chart values can take.
const (
	// StoreFieldName is metadata.name, a string.
	StoreFieldName StoreField = "Name"
	// StoreFieldDisplayName is spec.displayName, a string.
	StoreFieldDisplayName StoreField = "DisplayName"
	// StoreFieldHost is spec.host, a string.
	StoreFieldHost StoreField = "Host"
	// StoreFieldURL is the shop's URL with scheme and port, a string.
	StoreFieldURL StoreField = "URL"
	// StoreFieldAdminEmail is spec.adminEmail, a string.
	StoreFieldAdminEmail StoreField = "AdminEmail"
	// StoreFieldVersion is spec.version, a string.
	StoreFieldVersion StoreField = "Version"
	// StoreFieldPlan is spec.plan, a string.
	StoreFieldPlan StoreField = "Plan"
	// StoreFieldCredentialsSecret is the name of the Secret in the store's
	// namespace that holds the engine's credentials, a string.
	StoreFieldCredentialsSecret StoreField = "CredentialsSecret"
	// StoreFieldHibernated is true when spec.powerState is Hibernated.
	StoreFieldHibernated StoreField = "Hibernated"
	// StoreFieldRetainData is true when spec.deletionPolicy is Retain.
	StoreFieldRetainData StoreField = "RetainData"
)

// Credential is one secret value of a store.
type Credential struct {
	// key is the value's key in the store's credentials Secret.
	//
	// +k8s:required
	// +k8s:maxLength=63
	Key string `json:"key"`

	// generate is how the value is made at random. Exactly one of generate and
	// from is set.
	//
	// +optional
	// +k8s:optional
	// +k8s:unionMember
	Generate *RandomValue `json:"generate,omitempty"`

	// from copies a field of the store as it is when the store is first set up,
	// so that a login and its password stand together.
	//
	// +optional
	// +k8s:optional
	// +k8s:unionMember
	From *StoreField `json:"from,omitempty"`
}

// AdminLogin names the credentials of the shop's administrator.
type AdminLogin struct {
	// usernameKey is the key of the credential that is the login's name.
	//
	// +k8s:required
	// +k8s:maxLength=63
	UsernameKey string `json:"usernameKey"`

	// passwordKey is the key of the credential that is its password.
	//
	// +k8s:required
	// +k8s:maxLength=63
	PasswordKey string `json:"passwordKey"`
}

// RandomValue is a value drawn from a cryptographic random source.
type RandomValue struct {
	// format is the alphabet: Alphanumeric draws letters and digits, Hex draws
	// the digits 0-9 and a-f.
	//
	// +optional
	// +default="Alphanumeric"
	// +k8s:optional
	Format RandomFormat `json:"format,omitempty"`

	// length is how many characters are drawn.
	//
	// +k8s:required
	// +k8s:minimum=16
	// +k8s:maximum=256
	Length int32 `json:"length"`

	// prefix stands before the random characters.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=63
	Prefix string `json:"prefix,omitempty"`
}

// RandomFormat is the alphabet of a random value.
//
// +enum
// +k8s:enum
type RandomFormat string

// The alphabets of random values.
const (
	// RandomAlphanumeric draws from a-z, A-Z and 0-9.
	RandomAlphanumeric RandomFormat = "Alphanumeric"
	// RandomHex draws from 0-9 and a-f.
	RandomHex RandomFormat = "Hex"
)

// EngineBackup names the chart's CronJobs that are templates of jobs with a
// store's data. They are suspended; the provisioner makes Jobs from them, and sets
// BACKUP_NAME in the environment of their containers, the backup's name.
type EngineBackup struct {
	// backupCronJob is the template of the job that writes a backup, while the
	// shop sells or is stopped. A backup of the name that is there already is
	// left as it is. One that BACKUP_SPARE names must be kept. The termination
	// message of a container, not of an init container, must be a line for each
	// backup that is then kept: its name, a space and its size in bytes.
	//
	// +k8s:required
	// +k8s:format=k8s-short-name
	BackupCronJob string `json:"backupCronJob"`

	// restoreCronJob is the template of the job that makes a backup the shop's
	// data, while no pod of the release's Deployments and Jobs runs. It also gets
	// RESTORE_ID, which is another for each rollback. It can be run again at any
	// time, changes nothing if it fails, and nothing if the data is that of the
	// same RESTORE_ID already. Without it data can only be brought back by hand.
	//
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-short-name
	RestoreCronJob string `json:"restoreCronJob,omitempty"`
}

// Storefront says how to reach a shop and how to tell that it sells.
type Storefront struct {
	// service names the Service in the store's namespace that shoppers reach.
	//
	// +k8s:required
	// +k8s:format=k8s-short-name
	Service string `json:"service"`

	// port is the Service's port.
	//
	// +k8s:required
	// +k8s:minimum=1
	// +k8s:maximum=65535
	Port int32 `json:"port"`

	// checks are the requests that must all succeed before the store is Ready.
	//
	// +listType=map
	// +listMapKey=path
	// +k8s:required
	// +k8s:minItems=1
	// +k8s:maxItems=16
	// +k8s:listType=map
	// +k8s:listMapKey=path
	Checks []StorefrontCheck `json:"checks"`

	// adminPath is the path of the admin login under the shop's URL, such as
	// "/app".
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=253
	AdminPath string `json:"adminPath,omitempty"`
}

// StorefrontCheck is one GET request to a shop, with the shop's own Host.
type StorefrontCheck struct {
	// path is the request's path, with its query if it has one.
	//
	// +k8s:required
	// +k8s:maxLength=512
	Path string `json:"path"`

	// status is the HTTP status that means success.
	//
	// +optional
	// +default=200
	// +k8s:optional
	// +k8s:minimum=100
	// +k8s:maximum=599
	Status int32 `json:"status,omitempty"`

	// contains is text that the body must hold.
	//
	// +optional
	// +k8s:optional
	// +k8s:maxLength=512
	Contains string `json:"contains,omitempty"`
}

// EngineStatus is what has become of an engine's default version.
type EngineStatus struct {
	// observedGeneration is the metadata.generation that this status describes.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions tell what is true of the rollout. RolledOut is True when every store
	// that can be is at the default version; Reconciling is there while stores are
	// upgraded, and Stalled while the rollout is halted.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=type
	// +k8s:eachVal=+k8s:opaqueType
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// rollout is how far the default version has come. It is there while spec.rollout
	// is.
	//
	// +optional
	// +k8s:optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`
}

// RolloutStatus is how far the stores that follow the default version have come.
type RolloutStatus struct {
	// version is the version that is rolled out.
	//
	// +k8s:required
	Version string `json:"version"`

	// phase sums the rollout up.
	//
	// +k8s:required
	Phase RolloutPhase `json:"phase"`

	// wave is the wave that was begun last, and waves how many there will have been.
	//
	// +optional
	Wave int32 `json:"wave,omitempty"`
	// waves is how many there will have been as it looks now.
	//
	// +optional
	Waves int32 `json:"waves,omitempty"`

	// total is how many stores follow the default version. Each of them is updated,
	// waiting or left out.
	//
	// +optional
	Total int32 `json:"total,omitempty"`
	// updated is how many of them ask for the version.
	//
	// +optional
	Updated int32 `json:"updated,omitempty"`
	// ready is how many of the updated sell with it.
	//
	// +optional
	Ready int32 `json:"ready,omitempty"`
	// failed is how many of the updated failed to, and run what they ran before or not
	// at all.
	//
	// +optional
	Failed int32 `json:"failed,omitempty"`
	// waiting is how many stores wait for their wave.
	//
	// +optional
	Waiting int32 `json:"waiting,omitempty"`
	// leftOut is how many stores cannot be upgraded as they are, being suspended,
	// hibernated or not ready. They are upgraded when they can be.
	//
	// +optional
	LeftOut int32 `json:"leftOut,omitempty"`

	// nextWaveTime is when the next wave begins, if all stay ready until then.
	//
	// +optional
	// +k8s:optional
	// +k8s:opaqueType
	NextWaveTime *metav1.Time `json:"nextWaveTime,omitempty"`

	// message tells what goes on. It names stores that failed, and what helps.
	//
	// +optional
	Message string `json:"message,omitempty"`
}

// RolloutPhase sums a rollout up.
//
// +enum
// +k8s:enum
type RolloutPhase string

// The phases of a rollout.
const (
	// RolloutProgressing is a rollout that upgrades stores, or watches them before
	// the next wave.
	RolloutProgressing RolloutPhase = "Progressing"
	// RolloutPaused is a rollout that begins nothing, as spec.rollout.paused asks for.
	RolloutPaused RolloutPhase = "Paused"
	// RolloutHalted is a rollout that begins nothing because too many upgrades failed.
	RolloutHalted RolloutPhase = "Halted"
	// RolloutComplete is a rollout that has upgraded every store that can be.
	RolloutComplete RolloutPhase = "Complete"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EngineList is a list of Engines.
type EngineList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	//
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the engines.
	//
	// +k8s:opaqueType
	Items []Engine `json:"items"`
}
