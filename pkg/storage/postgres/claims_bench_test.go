package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"

	"platform.dev/stores/pkg/storage/claims"
)

// withStoreClaims has a pod claim what a store does: two names that it alone may hold, a
// place of its owner and one creation by the owner. Others have no owner and claim nothing.
func withStoreClaims(r *Resource) {
	owner := func(obj runtime.Object) string { return obj.(*example.Pod).Labels["owner"] }
	r.Claims = &claims.Rules{
		Holding: func(obj runtime.Object) claims.Holding {
			if owner(obj) == "" {
				return claims.Holding{}
			}
			name := obj.(*example.Pod).Name
			return claims.Holding{Unique: []string{"host/" + name, "host/www." + name}, Counted: []string{"owner/" + owner(obj)}}
		},
		Limits: func(_ context.Context, obj runtime.Object) (claims.Limits, error) {
			if owner(obj) == "" {
				return claims.Limits{}, nil
			}
			return claims.Limits{
				Counts: []claims.Limit{{Name: "owner/" + owner(obj), Max: 20}},
				Rates:  []claims.Rate{{Name: "creates/" + owner(obj), Count: 20, Window: time.Hour}},
			}, nil
		},
	}
}

// BenchmarkClaims creates objects with and without claims, alone and among updates,
// which change none.
func BenchmarkClaims(b *testing.B) {
	for _, clients := range []int{1, 64} {
		for _, updates := range []int{0, 15} { // per create
			for _, claiming := range []bool{false, true} {
				b.Run(fmt.Sprintf("clients=%d/updates=%d/claims=%t", clients, updates, claiming), func(b *testing.B) {
					f := newFixture(b, withTransformer(nil), withStoreClaims)
					template := largePod("")
					updated := createPods(b, f, clients)
					b.ResetTimer()
					concurrently(b, clients, func(i int) error {
						if i%(updates+1) != 0 {
							return f.step(updated)
						}
						pod := template.DeepCopy()
						pod.Name = fmt.Sprintf("new-%d", i)
						if claiming {
							pod.Labels = map[string]string{"owner": fmt.Sprint(i / 10)}
						}
						return f.Create(context.Background(), podKey(pod.Name), pod, &example.Pod{}, 0)
					})
				})
			}
		}
	}
}
