package platform

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every type in this package.
const GroupName = "platform.dev"

// SchemeGroupVersion is the internal version of the group.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: runtime.APIVersionInternal}

var (
	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme registers the internal types with a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

// Resource qualifies an unqualified resource name with this package's group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&Store{}, &StoreList{}, &StoreCredentials{},
		&StoreHistory{}, &StoreHistoryOptions{}, &StoreRollback{},
		&Engine{}, &EngineList{},
		&StoreQuota{}, &StoreQuotaList{},
		&SelfStoreQuotaReview{},
	)
	return nil
}
