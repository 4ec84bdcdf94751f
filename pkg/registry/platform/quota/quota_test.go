package quota

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/storage/claims"
)

type listed []platform.StoreQuota

func (l listed) List(context.Context, *metainternalversion.ListOptions) (runtime.Object, error) {
	return &platform.StoreQuotaList{Items: l}, nil
}

type broken struct{ error }

func (b broken) List(context.Context, *metainternalversion.ListOptions) (runtime.Object, error) {
	return nil, b.error
}

// quotaFor makes a quota of a subject; a number or rate of 0 is left out.
func quotaFor(name string, kind platform.QuotaSubjectKind, subject string, stores, perMinute int32) platform.StoreQuota {
	quota := platform.StoreQuota{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       platform.StoreQuotaSpec{Subjects: []platform.QuotaSubject{{Kind: kind, Name: "other"}, {Kind: kind, Name: subject}}},
	}
	if stores > 0 {
		quota.Spec.Hard.Stores = &stores
	}
	if perMinute > 0 {
		quota.Spec.CreateRate = &platform.CreateRate{Count: perMinute, WindowSeconds: 60}
	}
	return quota
}

func TestQuotasFor(t *testing.T) {
	t.Parallel()
	const byUser, byGroup, byNamespace = platform.QuotaSubjectUser, platform.QuotaSubjectGroup, platform.QuotaSubjectNamespace
	owner := func(limit int64, source string) claims.Limit {
		return claims.Limit{Name: "stores/owner/alice", Max: limit, Source: source}
	}
	rate := func(name string, count int64, window time.Duration, source string) claims.Rate {
		return claims.Rate{Name: name, Count: count, Window: window, Source: source}
	}
	defaultRate := rate("stores/owner/alice", 5, time.Hour, "default")
	tests := []struct {
		name   string
		quotas listed
		want   claims.Limits
	}{
		{"none", nil, claims.Limits{Counts: []claims.Limit{owner(3, "default")}, Rates: []claims.Rate{defaultRate}}},
		{"somebody else's", listed{quotaFor("q", byUser, "bob", 1, 1), quotaFor("r", byGroup, "alice", 1, 1), quotaFor("s", byNamespace, "alice", 1, 1)},
			claims.Limits{Counts: []claims.Limit{owner(3, "default")}, Rates: []claims.Rate{defaultRate}}},
		{"a group's, smaller than the default", listed{quotaFor("q", byGroup, "staff", 1, 0)},
			claims.Limits{Counts: []claims.Limit{owner(1, "StoreQuota/q")}, Rates: []claims.Rate{defaultRate}}},
		{"the largest of the groups'", listed{quotaFor("q", byGroup, "staff", 7, 1), quotaFor("r", byGroup, "vip", 8, 0), quotaFor("s", byGroup, "vip", 6, 2)},
			claims.Limits{Counts: []claims.Limit{owner(8, "StoreQuota/r")}, Rates: []claims.Rate{rate("stores/owner/alice", 2, time.Minute, "StoreQuota/s")}}},
		{"the user's before the groups'", listed{quotaFor("q", byGroup, "staff", 9, 9), quotaFor("r", byUser, "alice", 2, 0)},
			claims.Limits{Counts: []claims.Limit{owner(2, "StoreQuota/r")}, Rates: []claims.Rate{rate("stores/owner/alice", 9, time.Minute, "StoreQuota/q")}}},
		{"every one of the namespace's besides", listed{quotaFor("q", byNamespace, "shops", 20, 2), quotaFor("r", byNamespace, "shops", 30, 1)},
			claims.Limits{
				Counts: []claims.Limit{owner(3, "default"), {Name: "stores/namespace/shops", Max: 20, Source: "StoreQuota/q"}},
				Rates: []claims.Rate{
					defaultRate, rate("stores/namespace/shops", 2, time.Minute, "StoreQuota/q"), rate("stores/namespace/shops", 1, time.Minute, "StoreQuota/r"),
				},
			}},
	}
	alice := &user.DefaultInfo{Name: "alice", Groups: []string{"staff", "vip"}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			quotas := Quotas{Defaults: Defaults{StoresPerOwner: 3, CreateCount: 5, CreateWindow: time.Hour}, Lister: test.quotas}
			bounds, err := quotas.For(t.Context(), alice, "shops")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, bounds.Limits()); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoDefaultsAreNoBounds(t *testing.T) {
	t.Parallel()
	bounds, err := (&Quotas{Lister: listed{}}).For(t.Context(), &user.DefaultInfo{Name: "alice"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(claims.Limits{}, bounds.Limits()); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

// Quotas that cannot be read do not let everything through.
func TestUnreadableQuotasAreAnError(t *testing.T) {
	t.Parallel()
	cause := errors.New("no database")
	if _, err := (&Quotas{Lister: broken{cause}}).For(t.Context(), &user.DefaultInfo{Name: "alice"}, ""); !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
}
