package postgres

import (
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/feature"
)

// progressSupported makes the watch cache use what Storage can do. The rest of the
// interface must come from the original, one of its methods has an unexported type.
type progressSupported struct {
	feature.FeatureSupportChecker
}

// Supports implements feature.FeatureSupportChecker.
func (progressSupported) Supports(f storage.Feature) bool {
	return f == storage.RequestWatchProgress
}

// MarkUnsupported implements feature.FeatureSupportChecker. Support does not change.
func (progressSupported) MarkUnsupported(storage.Feature) {}

// EnableWatchProgress tells the watch caches of this process that their storage reports
// its progress on request, which lets them answer consistent lists. Call it once,
// before the first storage is made; it sets a global variable of the API server library.
func EnableWatchProgress() {
	feature.DefaultFeatureSupportChecker = progressSupported{feature.NewDefaultFeatureSupportChecker()}
}
