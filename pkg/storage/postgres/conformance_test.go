package postgres

import (
	"context"
	"errors"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

// These are the tests by which the API server checks its own storage, each on an empty
// schema. A subtest has the name of the function of package storagetesting that it
// calls, and after a slash what is special about the run. TestConformanceIsComplete
// holds the tables to that, and to leaving none out.

type conformanceTest struct {
	name string
	run  func(ctx context.Context, t *testing.T, f *fixture)
}

// plain adapts the tests that need nothing but a storage.
func plain(run func(context.Context, *testing.T, storage.Interface)) func(context.Context, *testing.T, *fixture) {
	return func(ctx context.Context, t *testing.T, f *fixture) { run(ctx, t, f.Storage) }
}

// prefixed adapts the tests that exchange the transformer.
func prefixed(
	run func(context.Context, *testing.T, storagetesting.InterfaceWithPrefixTransformer),
) func(context.Context, *testing.T, *fixture) {
	return func(ctx context.Context, t *testing.T, f *fixture) { run(ctx, t, f) }
}

func TestConformance(t *testing.T) {
	runConformance(t, serialTests(), serialWatchTests())
	runConformanceInParallel(t, nil, plainTests(), revisionTests(), insideTests(), watchTests(), insideWatchTests())
}

// TestConformanceOfSerialDecoding watches once more without the feature that decodes
// several events at a time, which is on by default.
func TestConformanceOfSerialDecoding(t *testing.T) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.ConcurrentWatchObjectDecode, false)
	runConformance(t, serialWatchTests())
	runConformanceInParallel(t, nil, watchTests(), insideWatchTests())
}

func runConformance(t *testing.T, tests ...[]conformanceTest) {
	t.Helper()
	for _, test := range slices.Concat(tests...) {
		// Not t.Context(): some tests clean up after it has ended.
		t.Run(test.name, func(t *testing.T) { test.run(context.Background(), t, newFixture(t)) })
	}
}

func runConformanceInParallel(t *testing.T, options []fixtureOption, tests ...[]conformanceTest) {
	t.Helper()
	for _, test := range slices.Concat(tests...) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(context.Background(), t, newFixture(t, options...))
		})
	}
}

// plainTests pass with any transformer.
func plainTests() []conformanceTest {
	return []conformanceTest{
		{"RunTestCreateWithTTL", plain(storagetesting.RunTestCreateWithTTL)},
		{"RunTestCreateWithKeyExist", plain(storagetesting.RunTestCreateWithKeyExist)},
		{"RunTestUnconditionalDelete", plain(storagetesting.RunTestUnconditionalDelete)},
		{"RunTestConditionalDelete", plain(storagetesting.RunTestConditionalDelete)},
		{"RunTestDeleteWithSuggestion", plain(storagetesting.RunTestDeleteWithSuggestion)},
		{"RunTestDeleteWithSuggestionAndConflict", plain(storagetesting.RunTestDeleteWithSuggestionAndConflict)},
		{"RunTestDeleteWithConflict", plain(storagetesting.RunTestDeleteWithConflict)},
		{"RunTestDeleteWithSuggestionOfDeletedObject", plain(storagetesting.RunTestDeleteWithSuggestionOfDeletedObject)},
		{"RunTestValidateDeletionWithSuggestion", plain(storagetesting.RunTestValidateDeletionWithSuggestion)},
		{"RunTestValidateDeletionWithOnlySuggestionValid", plain(storagetesting.RunTestValidateDeletionWithOnlySuggestionValid)},
		{"RunTestPreconditionalDeleteWithSuggestion", plain(storagetesting.RunTestPreconditionalDeleteWithSuggestion)},
		{"RunTestPreconditionalDeleteWithOnlySuggestionPass", plain(storagetesting.RunTestPreconditionalDeleteWithOnlySuggestionPass)},
		{"RunTestDeleteWithSuggestionAndMissingExpectedTransformOrDecodeError", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestDeleteWithSuggestionAndMissingExpectedTransformOrDecodeError(ctx, t, f.Storage)
		}},
		{"RunTestDeleteWithConflictAndMissingExpectedTransformOrDecodeError", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestDeleteWithConflictAndMissingExpectedTransformOrDecodeError(ctx, t, f.Storage, f.failDecoding)
		}},
		{"RunTestDeleteExpectedTransformOrDecodeError/transform", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestDeleteExpectedTransformOrDecodeError(ctx, t, f.Storage, f.failTransforming)
		}},
		{"RunTestDeleteExpectedTransformOrDecodeError/decode", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestDeleteExpectedTransformOrDecodeError(ctx, t, f.Storage, f.failDecoding)
		}},
		{"RunTestGetListRecursivePrefix", plain(storagetesting.RunTestGetListRecursivePrefix)},
		{"RunTestListPaging", plain(storagetesting.RunTestListPaging)},
		{"RunTestNamespaceScopedList", plain(storagetesting.RunTestNamespaceScopedList)},
		{"RunTestGuaranteedUpdateWithTTL", plain(storagetesting.RunTestGuaranteedUpdateWithTTL)},
		{"RunTestGuaranteedUpdateWithConflict", plain(storagetesting.RunTestGuaranteedUpdateWithConflict)},
		{"RunTestGuaranteedUpdateWithSuggestionAndConflict", plain(storagetesting.RunTestGuaranteedUpdateWithSuggestionAndConflict)},
		{"RunTestKeySchema", plain(storagetesting.RunTestKeySchema)},
	}
}

// revisionTests pass with any transformer, too, but want to move the revision.
func revisionTests() []conformanceTest {
	return []conformanceTest{
		{"RunTestList", func(ctx context.Context, t *testing.T, f *fixture) {
			// The recorder is only asked if there is a watch cache.
			storagetesting.RunTestList(ctx, t, f.Storage, f.compact, false, nil)
		}},
		{"RunTestConsistentList", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestConsistentList(ctx, t, f.Storage, f.increaseRevision, false, true, false)
		}},
		{"RunTestGetListNonRecursive", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestGetListNonRecursive(ctx, t, f.increaseRevision, f.Storage)
		}},
		{"RunTestListInconsistentContinuation", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestListInconsistentContinuation(ctx, t, f.Storage, f.compact)
		}},
		{"RunTestCompactRevision", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestCompactRevision(ctx, t, f.Storage, f.increaseRevision, f.compact)
		}},
		{"RunTestStats/sizes=false", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestStats(ctx, t, f.Storage, f.resource.Codec, f.transformer, false)
		}},
		{"RunTestStats/sizes=true", func(ctx context.Context, t *testing.T, f *fixture) {
			if err := f.EnableResourceSizeEstimation(noKeys); err != nil {
				t.Fatal(err)
			}
			storagetesting.RunTestStats(ctx, t, f.Storage, f.resource.Codec, f.transformer, true)
		}},
	}
}

// insideTests look behind the interface.
func insideTests() []conformanceTest {
	return []conformanceTest{
		{"RunTestCreate", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestCreate(ctx, t, f.Storage, f.checkStored)
		}},
		{"RunTestListContinuation", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestListContinuation(ctx, t, f.Storage, f.checkCalls)
		}},
		{"RunTestListPaginationRareObject", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestListPaginationRareObject(ctx, t, f.Storage, f.checkCalls)
		}},
		{"RunTestListContinuationWithFilter", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestListContinuationWithFilter(ctx, t, f.Storage, f.checkCalls)
		}},
		{"RunTestListResourceVersionMatch", prefixed(storagetesting.RunTestListResourceVersionMatch)},
		{"RunTestGuaranteedUpdate", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestGuaranteedUpdate(ctx, t, f, f.checkStored)
		}},
		{"RunTestGuaranteedUpdateChecksStoredData", prefixed(storagetesting.RunTestGuaranteedUpdateChecksStoredData)},
		{"RunTestTransformationFailure", prefixed(storagetesting.RunTestTransformationFailure)},
	}
}

// watchTests pass with any transformer.
func watchTests() []conformanceTest {
	return []conformanceTest{
		{"RunTestWatch", plain(storagetesting.RunTestWatch)},
		{"RunTestClusterScopedWatch", plain(storagetesting.RunTestClusterScopedWatch)},
		{"RunTestNamespaceScopedWatch", plain(storagetesting.RunTestNamespaceScopedWatch)},
		{"RunTestDeleteTriggerWatch", plain(storagetesting.RunTestDeleteTriggerWatch)},
		{"RunTestWatchFromNonZero", plain(storagetesting.RunTestWatchFromNonZero)},
		{"RunTestWatchFromZero", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestWatchFromZero(ctx, t, f.Storage, f.compact)
		}},
		{"RunTestDelayedWatchDelivery", plain(storagetesting.RunTestDelayedWatchDelivery)},
		{"RunTestWatcherTimeout", plain(storagetesting.RunTestWatcherTimeout)},
		{"RunTestWatchDeleteEventObjectHaveLatestRV", plain(storagetesting.RunTestWatchDeleteEventObjectHaveLatestRV)},
		{"RunTestWatchInitializationSignal", plain(storagetesting.RunTestWatchInitializationSignal)},
		{"RunTestWatchContextCancel", plain(storagetesting.RunTestWatchContextCancel)},
		{"RunOptionalTestProgressNotify", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunOptionalTestProgressNotify(ctx, t, f.Storage, f.increaseRevision)
		}},
		{"RunTestWatchDispatchBookmarkEvents", func(ctx context.Context, t *testing.T, f *fixture) {
			// Only the watch cache sends bookmarks that were not asked for.
			storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, f.Storage, false)
		}},
		{"RunTestOptionalWatchBookmarksWithCorrectResourceVersion", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestOptionalWatchBookmarksWithCorrectResourceVersion(ctx, t, &askingForProgress{f.Storage})
		}},
	}
}

// insideWatchTests exchange the transformer.
func insideWatchTests() []conformanceTest {
	return []conformanceTest{
		{"RunTestWatchError", prefixed(storagetesting.RunTestWatchError)},
		{"RunWatchErrorIsBlockingFurtherEvents", prefixed(storagetesting.RunWatchErrorIsBlockingFurtherEvents)},
		{"RunTestWatchWithUnsafeDelete", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestWatchWithUnsafeDelete(ctx, t, &transformerOverride{Interface: f.Storage, fixture: f}, errBitsFlipped)
		}},
	}
}

// serialTests must not run beside others: the first reads an object that has one second
// to live, the others set feature gates, which are global.
func serialTests() []conformanceTest {
	return []conformanceTest{
		{"RunTestGet", plain(storagetesting.RunTestGet)},
		{"RunTestGetListWithErrorAggregation", func(ctx context.Context, t *testing.T, f *fixture) {
			featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.AllowUnsafeMalformedObjectDeletion, true)
			reporter := &corruptionReporter{Interface: f.Storage, resource: schema.GroupResource{Resource: "pods"}}
			storagetesting.RunTestGetListWithErrorAggregation(ctx, t, &transformerOverride{Interface: reporter, fixture: f}, errBitsFlipped)
		}},
		{"RunTestGetListWithoutErrorAggregation", func(ctx context.Context, t *testing.T, f *fixture) {
			featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.AllowUnsafeMalformedObjectDeletion, false)
			storagetesting.RunTestGetListWithoutErrorAggregation(ctx, t, &transformerOverride{Interface: f.Storage, fixture: f}, errBitsFlipped)
		}},
	}
}

// serialWatchTests set feature gates.
func serialWatchTests() []conformanceTest {
	return []conformanceTest{
		{"RunSendInitialEventsBackwardCompatibility", plain(storagetesting.RunSendInitialEventsBackwardCompatibility)},
		{"RunWatchSemantics", plain(storagetesting.RunWatchSemantics)},
		{"RunWatchSemanticInitialEventsExtended", plain(storagetesting.RunWatchSemanticInitialEventsExtended)},
		{"RunWatchListMatchSingle", plain(storagetesting.RunWatchListMatchSingle)},
	}
}

func noKeys(context.Context) ([]string, error) { return nil, nil }

// askingForProgress asks for progress where its user allows bookmarks, as the watch
// cache does: a test that is meant for the cache then finds bookmarks of the storage.
type askingForProgress struct{ storage.Interface }

func (a *askingForProgress) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	opts.ProgressNotify = opts.Predicate.AllowWatchBookmarks
	return a.Interface.Watch(ctx, key, opts)
}

var (
	errBitsFlipped = &corruptError{doing: "transforming", err: errors.New("bits flipped")}
	errSynthetic   = errors.New("synthetic error")
)

// transformerOverride lets a test exchange the transformer below a wrapped storage.
type transformerOverride struct {
	storage.Interface
	fixture *fixture
}

func (o *transformerOverride) UpdateTransformer(modify storagetesting.TransformerModifier) func() {
	original := o.fixture.transformer
	o.fixture.transformer = modify(original)
	return func() { o.fixture.transformer = original }
}

// failTransforming says whether stored values can be read.
func (f *fixture) failTransforming(fail bool) {
	if failing, ok := f.transformer.(failingTransformer); ok {
		f.transformer = failing.Transformer
	}
	if fail {
		f.transformer = failingTransformer{f.transformer}
	}
}

type failingTransformer struct{ value.Transformer }

func (failingTransformer) TransformFromStorage(context.Context, []byte, value.Context) ([]byte, bool, error) {
	return nil, false, errSynthetic
}

// failDecoding says whether stored values can be decoded.
func (f *fixture) failDecoding(fail bool) {
	if failing, ok := f.resource.Codec.(failingCodec); ok {
		f.resource.Codec = failing.Codec
	}
	if fail {
		f.resource.Codec = failingCodec{f.resource.Codec}
	}
}

type failingCodec struct{ runtime.Codec }

func (failingCodec) Decode([]byte, *schema.GroupVersionKind, runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	return nil, nil, errSynthetic
}
