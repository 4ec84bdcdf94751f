package platform

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Engine is a kind of shop software that the cluster offers: the chart that
// installs it, the versions and plans to choose from, and what it means for a
// shop of this kind to be ready. A new engine is a chart and one of these.
type Engine struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   EngineSpec
	Status EngineStatus
}

// EngineSpec is what an engine offers and how the provisioner installs it.
type EngineSpec struct {
	DisplayName    string
	Description    string
	Chart          ChartSource
	Versions       []EngineVersion
	DefaultVersion string
	Plans          []EnginePlan
	DefaultPlan    string
	Values         *runtime.RawExtension
	ValuesSchema   *runtime.RawExtension
	Mappings       []ValueMapping
	Credentials    []Credential
	AdminLogin     *AdminLogin
	Storefront     Storefront
	Backup         *EngineBackup

	ProgressDeadlineSeconds int32
	Rollout                 *EngineRollout
}

// EngineRollout says how stores come to the engine's default version.
type EngineRollout struct {
	Paused         bool
	Waves          []intstr.IntOrString
	PauseSeconds   *int32
	MaxConcurrency *intstr.IntOrString
	MaxFailures    *intstr.IntOrString
}

// ChartSource is where a Helm chart comes from. Exactly one member is set.
type ChartSource struct {
	Builtin    *string
	OCI        *string
	Repository *ChartRepository
}

// ChartRepository is a chart in an HTTP chart repository.
type ChartRepository struct {
	URL  string
	Name string
}

// EngineVersion is one version of an engine.
type EngineVersion struct {
	Name         string
	ChartVersion string
	Values       *runtime.RawExtension
}

// EnginePlan is one size of store.
type EnginePlan struct {
	Name        string
	Description string
	Quota       map[string]resource.Quantity
	Limits      ContainerLimits
	Values      *runtime.RawExtension
}

// ContainerLimits are the per-container rules of a plan, by resource name, such
// as "cpu" or "memory".
type ContainerLimits struct {
	DefaultRequest map[string]resource.Quantity
	Default        map[string]resource.Quantity
	Max            map[string]resource.Quantity
}

// ValueMapping puts one field of a store into one chart value.
type ValueMapping struct {
	Value string
	From  StoreField
}

// StoreField is a fact about a store that chart values can take.
type StoreField string

// The facts about a store that chart values can take.
const (
	StoreFieldName              StoreField = "Name"
	StoreFieldDisplayName       StoreField = "DisplayName"
	StoreFieldHost              StoreField = "Host"
	StoreFieldURL               StoreField = "URL"
	StoreFieldAdminEmail        StoreField = "AdminEmail"
	StoreFieldVersion           StoreField = "Version"
	StoreFieldPlan              StoreField = "Plan"
	StoreFieldCredentialsSecret StoreField = "CredentialsSecret"
	StoreFieldHibernated        StoreField = "Hibernated"
	StoreFieldRetainData        StoreField = "RetainData"
)

// Credential is one secret value of a store.
type Credential struct {
	Key      string
	Generate *RandomValue
	From     *StoreField
}

// AdminLogin names the credentials of the shop's administrator.
type AdminLogin struct {
	UsernameKey string
	PasswordKey string
}

// RandomValue is a value drawn from a cryptographic random source.
type RandomValue struct {
	Format RandomFormat
	Length int32
	Prefix string
}

// RandomFormat is the alphabet of a random value.
type RandomFormat string

// The alphabets of random values.
const (
	RandomAlphanumeric RandomFormat = "Alphanumeric"
	RandomHex          RandomFormat = "Hex"
)

// EngineBackup names the chart's CronJobs that are templates of jobs with a
// store's data.
type EngineBackup struct {
	BackupCronJob  string
	RestoreCronJob string
}

// Storefront says how to reach a shop and how to tell that it sells.
type Storefront struct {
	Service   string
	Port      int32
	Checks    []StorefrontCheck
	AdminPath string
}

// StorefrontCheck is one GET request to a shop, with the shop's own Host.
type StorefrontCheck struct {
	Path     string
	Status   int32
	Contains string
}

// EngineStatus is what has become of an engine's default version.
type EngineStatus struct {
	ObservedGeneration int64
	Conditions         []metav1.Condition
	Rollout            *RolloutStatus
}

// RolloutStatus is how far the stores that follow the default version have come.
type RolloutStatus struct {
	Version      string
	Phase        RolloutPhase
	Wave         int32
	Waves        int32
	Total        int32
	Updated      int32
	Ready        int32
	Failed       int32
	Waiting      int32
	LeftOut      int32
	NextWaveTime *metav1.Time
	Message      string
}

// RolloutPhase sums a rollout up.
type RolloutPhase string

// The phases of a rollout.
const (
	RolloutProgressing RolloutPhase = "Progressing"
	RolloutPaused      RolloutPhase = "Paused"
	RolloutHalted      RolloutPhase = "Halted"
	RolloutComplete    RolloutPhase = "Complete"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EngineList is a list of Engines.
type EngineList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []Engine
}
