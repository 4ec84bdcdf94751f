package v1alpha1

// The conditions of a Store, in the order in which provisioning makes them
// true. Each names a step of the same name in status.steps.
const (
	// ConditionNamespaceReady is true when the store's namespace stands with
	// its quota, limits and access rules.
	ConditionNamespaceReady = "NamespaceReady"
	// ConditionSecretsReady is true when the store's credentials exist. They
	// are made once and never change.
	ConditionSecretsReady = "SecretsReady"
	// ConditionReleaseInstalled is true when the Helm release carries what the
	// spec asks for.
	ConditionReleaseInstalled = "ReleaseInstalled"
	// ConditionWorkloadReady is true when every pod and job of the release has
	// reached what it is for.
	ConditionWorkloadReady = "WorkloadReady"
	// ConditionRouteReady is true when the store's host is routed to it.
	ConditionRouteReady = "RouteReady"
	// ConditionStorefrontReady is true when the storefront has answered as a
	// shop that sells.
	ConditionStorefrontReady = "StorefrontReady"
)

// The conditions that sum a Store or an Engine up.
const (
	// ConditionReady is true when the object can be used. It exists from the
	// first write on, as Unknown, so that no client mistakes a new object for a
	// finished one.
	ConditionReady = "Ready"
	// ConditionReconciling is true while the provisioner works towards the spec.
	// It is absent otherwise, as kstatus expects.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is true while something is in the way that retrying
	// alone is not expected to remove. It is absent otherwise.
	ConditionStalled = "Stalled"
)

// The conditions that rollouts set.
const (
	// ConditionRolledOut is true of an Engine when every store that follows its
	// default version, and can be upgraded, is at it.
	ConditionRolledOut = "RolledOut"
	// ConditionUpgradePending is true of a Store while it follows the default version
	// of its engine and has not come to it. It is absent otherwise.
	ConditionUpgradePending = "UpgradePending"
)

// ReasonPending is the reason of the Ready condition that the API server
// writes at creation, before the provisioner has seen the store.
const ReasonPending = "Pending"

// ReasonVersionNotOffered is the reason of a store whose engine does not have the
// version that the store asks for.
const ReasonVersionNotOffered = "VersionNotOffered"

// ReasonQueued is the reason of Reconciling, and of the Ready condition of a new
// store, while the store waits for a worker of the provisioner.
const ReasonQueued = "Queued"
