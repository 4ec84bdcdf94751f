package provisioner

import (
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/engine"
)

// FieldManager is the field manager of every object that the controller applies.
const FieldManager = "stores-provisioner"

// The objects of every store's namespace that the controller makes itself.
const (
	// CredentialsSecret holds the engine's credentials.
	CredentialsSecret = v1alpha1.CredentialsSecret
	// ReleaseName is the Helm release that installs the engine's chart.
	ReleaseName = engine.ReleaseName

	roleBindingName   = "stores-provisioner"
	readerBindingName = "stores-apiserver"
	quotaName         = engine.BoundsName
	limitsName        = engine.BoundsName
	denyPolicyName    = engine.DenyPolicyName
)

// The labels of what belongs to a store.
const (
	// LabelStoreUID is the owner: the controller touches no namespace that
	// carries another store's UID, or none.
	LabelStoreUID = v1alpha1.LabelStoreUID
	// LabelStoreName and LabelStoreNamespace tell people whose it is.
	LabelStoreName      = "platform.dev/store-name"
	LabelStoreNamespace = "platform.dev/store-namespace"
	// LabelRetained marks a namespace that outlived its store, by the store's
	// deletionPolicy.
	LabelRetained = "platform.dev/retained"
	// LabelChartDigest and LabelValuesDigest are on every revision of a store's
	// release and tell what it was made from, and LabelVersionDigest which version
	// of the engine.
	LabelChartDigest   = "platform.dev/chart-digest"
	LabelValuesDigest  = "platform.dev/values-digest"
	LabelVersionDigest = "platform.dev/version-digest"
)

// NamespaceName is the namespace that a store gets, for its whole life.
func NamespaceName(s *v1alpha1.Store) string { return engine.NamespaceName(s) }

// labelsFor are the labels of everything the controller makes for s.
func labelsFor(s *v1alpha1.Store) map[string]string {
	return map[string]string{
		"app.kubernetes.io/managed-by": FieldManager,
		"app.kubernetes.io/part-of":    s.Name,
		LabelStoreName:                 s.Name,
		LabelStoreNamespace:            s.Namespace,
		LabelStoreUID:                  string(s.UID),
	}
}

// namespaceLabels are the labels of the namespace of s.
func namespaceLabels(s *v1alpha1.Store) map[string]string {
	labels := labelsFor(s)
	for _, mode := range []string{"enforce", "audit", "warn"} {
		labels["pod-security.kubernetes.io/"+mode] = "restricted"
	}
	return labels
}
