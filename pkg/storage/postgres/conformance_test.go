package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

// These are the tests by which the API server checks its own storage, each on an empty
// schema.

type conformanceTest struct {
	name string
	run  func(ctx context.Context, t *testing.T, f *fixture)
}

// prefixed adapts the tests that exchange the transformer.
func prefixed(
	run func(context.Context, *testing.T, storagetesting.InterfaceWithPrefixTransformer),
) func(context.Context, *testing.T, *fixture) {
	return func(ctx context.Context, t *testing.T, f *fixture) { run(ctx, t, f) }
}

func TestConformance(t *testing.T) {
	for _, test := range plainTests() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(context.Background(), t, newFixture(t).Storage)
		})
	}
	for _, test := range conformanceTests() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// Not t.Context(): some tests clean up after it has ended.
			test.run(context.Background(), t, newFixture(t))
		})
	}
}

// plainTest needs nothing but a storage.
type plainTest struct {
	name string
	run  func(context.Context, *testing.T, storage.Interface)
}

// plainTests pass on a Storage as well as behind the watch cache.
func plainTests() []plainTest {
	return []plainTest{
		{"CreateWithTTL", storagetesting.RunTestCreateWithTTL},
		{"CreateWithKeyExist", storagetesting.RunTestCreateWithKeyExist},
		{"UnconditionalDelete", storagetesting.RunTestUnconditionalDelete},
		{"ConditionalDelete", storagetesting.RunTestConditionalDelete},
		{"DeleteWithSuggestion", storagetesting.RunTestDeleteWithSuggestion},
		{"DeleteWithSuggestionAndConflict", storagetesting.RunTestDeleteWithSuggestionAndConflict},
		{"DeleteWithConflict", storagetesting.RunTestDeleteWithConflict},
		{"DeleteWithSuggestionOfDeletedObject", storagetesting.RunTestDeleteWithSuggestionOfDeletedObject},
		{"ValidateDeletionWithSuggestion", storagetesting.RunTestValidateDeletionWithSuggestion},
		{"ValidateDeletionWithOnlySuggestionValid", storagetesting.RunTestValidateDeletionWithOnlySuggestionValid},
		{"PreconditionalDeleteWithSuggestion", storagetesting.RunTestPreconditionalDeleteWithSuggestion},
		{"PreconditionalDeleteWithOnlySuggestionPass", storagetesting.RunTestPreconditionalDeleteWithOnlySuggestionPass},
		{"GetListRecursivePrefix", storagetesting.RunTestGetListRecursivePrefix},
		{"ListPaging", storagetesting.RunTestListPaging},
		{"NamespaceScopedList", storagetesting.RunTestNamespaceScopedList},
		{"GuaranteedUpdateWithTTL", storagetesting.RunTestGuaranteedUpdateWithTTL},
		{"GuaranteedUpdateWithConflict", storagetesting.RunTestGuaranteedUpdateWithConflict},
		{"GuaranteedUpdateWithSuggestionAndConflict", storagetesting.RunTestGuaranteedUpdateWithSuggestionAndConflict},
		{"DeleteWithSuggestionAndMissingExpectedTransformOrDecodeError", func(ctx context.Context, t *testing.T, s storage.Interface) {
			storagetesting.RunTestDeleteWithSuggestionAndMissingExpectedTransformOrDecodeError(ctx, t, s)
		}},
		{"Watch", storagetesting.RunTestWatch},
		{"NamespaceScopedWatch", storagetesting.RunTestNamespaceScopedWatch},
		{"DeleteTriggerWatch", storagetesting.RunTestDeleteTriggerWatch},
		{"WatchFromNonZero", storagetesting.RunTestWatchFromNonZero},
		{"DelayedWatchDelivery", storagetesting.RunTestDelayedWatchDelivery},
		{"WatcherTimeout", storagetesting.RunTestWatcherTimeout},
		{"WatchDeleteEventObjectHaveLatestRV", storagetesting.RunTestWatchDeleteEventObjectHaveLatestRV},
		{"WatchInitializationSignal", storagetesting.RunTestWatchInitializationSignal},
	}
}

// serialTests must not run beside others: Get reads an object that has one second to
// live, the others set feature gates, which are global.
func serialTests() []plainTest {
	return []plainTest{
		{"Get", storagetesting.RunTestGet},
		{"SendInitialEventsBackwardCompatibility", storagetesting.RunSendInitialEventsBackwardCompatibility},
		{"WatchSemantics", storagetesting.RunWatchSemantics},
		{"WatchSemanticInitialEventsExtended", storagetesting.RunWatchSemanticInitialEventsExtended},
		{"WatchListMatchSingle", storagetesting.RunWatchListMatchSingle},
	}
}

// conformanceTests look behind the interface.
func conformanceTests() []conformanceTest {
	return []conformanceTest{
		{"Create", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestCreate(ctx, t, f.Storage, f.checkStored)
		}},
		{"List", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestList(ctx, t, f.Storage, f.compact, false, nil)
		}},
		{"ConsistentList", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestConsistentList(ctx, t, f.Storage, f.increaseRevision, false, true, false)
		}},
		{"GetListNonRecursive", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestGetListNonRecursive(ctx, t, f.increaseRevision, f.Storage)
		}},
		{"ListContinuation", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestListContinuation(ctx, t, f.Storage, f.checkCalls)
		}},
		{"ListPaginationRareObject", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestListPaginationRareObject(ctx, t, f.Storage, f.checkCalls)
		}},
		{"ListContinuationWithFilter", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestListContinuationWithFilter(ctx, t, f.Storage, f.checkCalls)
		}},
		{"ListInconsistentContinuation", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestListInconsistentContinuation(ctx, t, f.Storage, f.compact)
		}},
		{"ListResourceVersionMatch", prefixed(storagetesting.RunTestListResourceVersionMatch)},
		{"GuaranteedUpdate", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestGuaranteedUpdate(ctx, t, f, f.checkStored)
		}},
		{"GuaranteedUpdateChecksStoredData", prefixed(storagetesting.RunTestGuaranteedUpdateChecksStoredData)},
		{"TransformationFailure", prefixed(storagetesting.RunTestTransformationFailure)},
		{"Stats", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestStats(ctx, t, f.Storage, f.resource.Codec, f.transformer, false)
		}},
		{"StatsWithSizes", func(ctx context.Context, t *testing.T, f *fixture) {
			if err := f.EnableResourceSizeEstimation(noKeys); err != nil {
				t.Fatal(err)
			}
			storagetesting.RunTestStats(ctx, t, f.Storage, f.resource.Codec, f.transformer, true)
		}},
		{"CompactRevision", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestCompactRevision(ctx, t, f.Storage, f.increaseRevision, f.compact)
		}},
		{"WatchFromZero", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestWatchFromZero(ctx, t, f.Storage, f.compact)
		}},
		{"WatchError", prefixed(storagetesting.RunTestWatchError)},
		{"ProgressNotify", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunOptionalTestProgressNotify(ctx, t, f.Storage, f.increaseRevision)
		}},
		{"WatchDispatchBookmarkEvents", func(ctx context.Context, t *testing.T, f *fixture) {
			// Only the watch cache sends bookmarks that were not asked for.
			storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, f.Storage, false)
		}},
		{"KeySchema", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestKeySchema(ctx, t, f.Storage)
		}},
		{"ClusterScopedWatch", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestClusterScopedWatch(ctx, t, f.Storage)
		}},
		{"WatchContextCancel", func(ctx context.Context, t *testing.T, f *fixture) {
			storagetesting.RunTestWatchContextCancel(ctx, t, f.Storage)
		}},
		{"WatchErrorIsBlockingFurtherEvents", prefixed(storagetesting.RunWatchErrorIsBlockingFurtherEvents)},
	}
}

func noKeys(context.Context) ([]string, error) { return nil, nil }

func TestConformanceSerial(t *testing.T) {
	for _, test := range serialTests() {
		t.Run(test.name, func(t *testing.T) { test.run(context.Background(), t, newFixture(t).Storage) })
	}
}

var errBitsFlipped = &corruptError{doing: "transforming", err: errors.New("bits flipped")}

func TestConformanceErrorAggregation(t *testing.T) {
	for name, aggregate := range map[string]bool{"With": true, "Without": false} {
		t.Run(name, func(t *testing.T) {
			featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate,
				features.AllowUnsafeMalformedObjectDeletion, aggregate)
			f := newFixture(t)
			s := &transformerOverride{Interface: f.Storage, fixture: f}
			if !aggregate {
				storagetesting.RunTestGetListWithoutErrorAggregation(context.Background(), t, s, errBitsFlipped)
				return
			}
			s.Interface = &corruptionReporter{Interface: f.Storage, resource: schema.GroupResource{Resource: "pods"}}
			storagetesting.RunTestGetListWithErrorAggregation(context.Background(), t, s, errBitsFlipped)
		})
	}
}

func TestConformanceUnsafeDelete(t *testing.T) {
	t.Parallel()
	t.Run("WatchWithUnsafeDelete", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		storagetesting.RunTestWatchWithUnsafeDelete(context.Background(), t,
			&transformerOverride{Interface: f.Storage, fixture: f}, errBitsFlipped)
	})
	t.Run("TransformError", func(t *testing.T) {
		t.Parallel()
		transformer := &failingTransformer{Transformer: storagetesting.NewPrefixTransformer([]byte(transformPrefix), false)}
		f := newFixture(t, withTransformer(transformer))
		storagetesting.RunTestDeleteExpectedTransformOrDecodeError(context.Background(), t, f.Storage, transformer.failing.Store)
	})
	t.Run("DecodeError", func(t *testing.T) {
		t.Parallel()
		codec := newFailingCodec()
		f := newFixture(t, withCodec(codec))
		storagetesting.RunTestDeleteExpectedTransformOrDecodeError(context.Background(), t, f.Storage, codec.failing.Store)
	})
	t.Run("ConflictAndMissingError", func(t *testing.T) {
		t.Parallel()
		codec := newFailingCodec()
		f := newFixture(t, withCodec(codec))
		storagetesting.RunTestDeleteWithConflictAndMissingExpectedTransformOrDecodeError(
			context.Background(), t, f.Storage, codec.failing.Store)
	})
}

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

var errSynthetic = errors.New("synthetic error")

// failingTransformer cannot read anything while it fails.
type failingTransformer struct {
	value.Transformer
	failing atomic.Bool
}

func (f *failingTransformer) TransformFromStorage(
	ctx context.Context, data []byte, dataCtx value.Context,
) ([]byte, bool, error) {
	if f.failing.Load() {
		return nil, false, errSynthetic
	}
	return f.Transformer.TransformFromStorage(ctx, data, dataCtx)
}

// failingCodec cannot decode anything while it fails.
type failingCodec struct {
	runtime.Codec
	failing atomic.Bool
}

func newFailingCodec() *failingCodec {
	return &failingCodec{Codec: apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion)}
}

func (f *failingCodec) Decode(
	data []byte, defaults *schema.GroupVersionKind, into runtime.Object,
) (runtime.Object, *schema.GroupVersionKind, error) {
	if f.failing.Load() {
		return nil, nil, errSynthetic
	}
	return f.Codec.Decode(data, defaults, into)
}
