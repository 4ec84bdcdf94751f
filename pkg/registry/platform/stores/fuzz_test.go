package stores

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/install"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/registry/platform/registrytest"
	"platform.dev/stores/pkg/storage/history"
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return scheme
}

func FuzzStoreWrites(f *testing.F) {
	scheme := newScheme()
	registrytest.FuzzWrites(f, scheme, newStrategy(scheme, "shops.example.com"), "Store",
		`{"apiVersion":"platform.dev/v1alpha1","kind":"Store","metadata":{"name":"flowers","namespace":"shops"},"spec":{"engine":"medusa"}}`,
		`{"apiVersion":"platform.dev/v1alpha1","kind":"Store","metadata":{"generateName":"flowers-","namespace":"shops","labels":{"a":"b"},"annotations":{"a":"b"},"finalizers":["a.b/c"]},"spec":{"engine":"medusa","version":"1.0","plan":"small","displayName":"Flowers \u0026 <b>\u202e","host":"flowers.example.com","adminEmail":"a@b.c","owner":"mallory","powerState":"Hibernated","deletionPolicy":"Retain","upgradePolicy":"Automatic","suspend":true,"deletionProtection":true,"values":{"a":[1,1e400,{"b":null}]}},"status":{"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00.5Z"}]}}`,
		"apiVersion: platform.dev/v1alpha1\nkind: Store\nmetadata: {name: flowers, namespace: shops}\nspec: {engine: medusa, values: {a: 1.0, b: 0x10}}\n",
	)
}

// A selector is refused in words that name what there is, or selects the stores that
// have the value and no others.
func FuzzFieldSelectors(f *testing.F) {
	for _, seed := range []string{"spec.engine=medusa", "metadata.name!=flowers,status.ready=True", "spec.owner==a\\,b", "spec.values=1", "=", ",,", "spec.plan=\\"} {
		f.Add(seed, "medusa", "small")
	}
	scheme := newScheme()
	f.Fuzz(func(t *testing.T, text, engine, plan string) {
		selector, err := fields.ParseSelector(text)
		if err != nil {
			return
		}
		known, err := selector.Transform(func(label, value string) (string, string, error) {
			return scheme.ConvertFieldLabel(v1alpha1.SchemeGroupVersion.WithKind("Store"), label, value)
		})
		if err != nil {
			if !strings.Contains(err.Error(), v1alpha1.FieldEngine) {
				t.Errorf("%q is refused without the fields there are: %v", text, err)
			}
			return
		}
		store := &platform.Store{Spec: platform.StoreSpec{Engine: engine, Plan: plan, Owner: "alice"}}
		store.Name, store.Namespace = "flowers", "shops"
		want := true
		has := map[string]string{
			"metadata.name": "flowers", "metadata.namespace": "shops",
			v1alpha1.FieldEngine: engine, v1alpha1.FieldPlan: plan, v1alpha1.FieldOwner: "alice", v1alpha1.FieldReady: "Unknown",
		}
		for _, r := range known.Requirements() {
			value, ok := has[r.Field]
			if !ok {
				t.Fatalf("%q selects by %q, which stores do not have", text, r.Field)
			}
			want = want && (value == r.Value) == slices.Contains([]string{"=", "=="}, string(r.Operator))
		}
		predicate := match(labels.Everything(), known)
		if got, err := predicate.Matches(store); err != nil || got != want {
			t.Errorf("%q selects the store: %t, %v, want %t", text, got, err, want)
		}
	})
}

// What a request asks of a history is refused as the client's mistake, or is what the
// reader of the past is asked for.
func FuzzHistoryOptions(f *testing.F) {
	for _, seed := range []string{
		"", "limit=1&continue=7", "at=2026-01-01T00:00:00Z", "resourceVersion=12", "resourceVersion=-1", "limit=9999999999999999999",
		"at=0000-01-01T00:00:00Z", "at=9999-12-31T23:59:59.999999999%2B23:59", "continue=18446744073709551615", "limit=1&limit=2", "at=a&resourceVersion=b",
		"at=12", "at=-12", "at=18446744073709551615",
	} {
		f.Add(seed)
	}
	scheme := newScheme()
	parameters := runtime.NewParameterCodec(scheme)
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		options := &platform.StoreHistoryOptions{}
		if err := parameters.DecodeParameters(values, v1alpha1.SchemeGroupVersion, options); err != nil {
			return // answered with 400
		}
		encoded, err := parameters.EncodeParameters(options, v1alpha1.SchemeGroupVersion)
		if err != nil {
			t.Fatalf("encoding %+v: %v", options, err)
		}
		again := &platform.StoreHistoryOptions{}
		if err := parameters.DecodeParameters(encoded, v1alpha1.SchemeGroupVersion, again); err != nil {
			t.Fatalf("decoding %q: %v", encoded, err)
		}
		if diff := cmp.Diff(options, again); diff != "" {
			t.Errorf("options do not survive a request (-before +after):\n%s", diff)
		}
		past := &askedPast{}
		answer := NewHistoryREST(&REST{Store: &genericregistry.Store{KeyFunc: func(_ context.Context, name string) (string, error) {
			return "/stores/" + name, nil
		}}}, past, scheme)
		if _, err := answer.Get(t.Context(), "flowers", options); err != nil && !apierrors.IsBadRequest(err) {
			t.Errorf("%q is refused with %v, want BadRequest", query, err)
		}
		if past.bad != "" {
			t.Errorf("%q reads %s", query, past.bad)
		}
	})
}

// askedPast notes what no reader of the past should be asked for.
type askedPast struct {
	history.Reader
	bad string
}

func (p *askedPast) List(_ context.Context, key string, upTo int64, limit int) ([]history.Revision, error) {
	if key != "/stores/flowers" || upTo < 0 || limit < 1 || limit > maxRevisions+1 {
		p.bad = fmt.Sprintf("%d revisions of %q up to %d", limit, key, upTo)
	}
	return nil, nil
}

func (p *askedPast) Get(_ context.Context, key string, revision int64) (*history.Revision, error) {
	if key != "/stores/flowers" || revision < 1 {
		p.bad = fmt.Sprintf("revision %d of %q", revision, key)
	}
	return &history.Revision{Object: &platform.Store{}}, nil
}

func (p *askedPast) AtRevision(ctx context.Context, key string, revision int64) (*history.Revision, error) {
	return p.Get(ctx, key, revision)
}

func (p *askedPast) At(_ context.Context, key string, at time.Time) (*history.Revision, error) {
	if year := at.UTC().Year(); key != "/stores/flowers" || year < -1 || year > 10_000 {
		p.bad = fmt.Sprintf("%q at %s", key, at)
	}
	return &history.Revision{Object: &platform.Store{}}, nil
}

// The changes between two objects are none for equal ones and some for others, and the
// other way about they are the same with before and after exchanged.
func FuzzChanges(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"spec":{"plan":"small"}}`, `{"spec":{"plan":"large"}}`},
		{`{"a":[{"name":"x","v":1}]}`, `{"a":[{"name":"x","v":2},{"type":"y"}]}`},
		{`{"a.b":1,"a":{"b":2}}`, `{"a":{"b":3}}`},
		{`{}`, `{"a":{}}`}, {`{"a":null}`, `{}`}, {`{"a":[]}`, `{"a":[{"name":""}]}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		var from, to map[string]any
		if json.Unmarshal([]byte(before), &from) != nil || json.Unmarshal([]byte(after), &to) != nil || from == nil || to == nil {
			return
		}
		found := changes(from, to)
		if equal := cmp.Equal(from, to); equal != (len(found) == 0) {
			t.Errorf("equal: %t, changes: %+v", equal, found)
		}
		back := changes(to, from)
		for i := range back {
			back[i].From, back[i].To = back[i].To, back[i].From
		}
		if diff := cmp.Diff(found, back); diff != "" {
			t.Errorf("the way back is another (-there +back):\n%s", diff)
		}
		for i, change := range found {
			if change.From == nil && change.To == nil {
				t.Errorf("change of nothing: %+v", change)
			}
			cut(&found[i])
			for _, value := range []*string{found[i].From, found[i].To} {
				if value != nil && len([]rune(*value)) > maxText+2 {
					t.Errorf("a value of %d characters is shown", len([]rune(*value)))
				}
			}
		}
	})
}
