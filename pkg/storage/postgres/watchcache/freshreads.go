package watchcache

import (
	"context"
	"reflect"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
)

// freshReads answers from the cache also the gets that must not be out of date: it asks
// the storage for the revision only, which many gets do in one query, and lets the cache
// get there.
type freshReads struct {
	*cacher.CacheDelegator
	cache   *cacher.Cacher
	storage storage.Interface
}

// Get implements storage.Interface.
func (r *freshReads) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	if opts.ResourceVersion != "" || !r.cache.Ready() {
		return r.CacheDelegator.Get(ctx, key, opts, out)
	}
	rev, err := r.storage.GetCurrentResourceVersion(ctx)
	if err != nil {
		return err
	}
	cached := opts
	cached.ResourceVersion = strconv.FormatUint(rev, 10)
	err = r.cache.Get(ctx, key, cached, out)
	if storage.IsTooLargeResourceVersion(err) {
		// The cache does not keep up.
		return r.storage.Get(ctx, key, opts, out)
	}
	if err != nil {
		return err
	}
	// What comes from the cache is shared with it, but who gets an object that is not
	// out of date has always been free to change it.
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(out.DeepCopyObject()).Elem())
	return nil
}
