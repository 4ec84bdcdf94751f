package faults

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// perform makes a call.
func perform(ctx context.Context, s storage.Interface, r request) result {
	ctx, cancel := context.WithTimeout(ctx, r.Deadline)
	defer cancel()
	res := result{Number: r.Number}
	var err error
	switch r.Kind {
	case create:
		res.After, err = performCreate(ctx, s, r)
	case update:
		res.Before, res.After, err = performUpdate(ctx, s, r)
	case remove:
		res.Before, res.After, err = performDelete(ctx, s, r)
	case get:
		res.After, err = performGet(ctx, s, r)
		res.Before = res.After
	}
	if res.Outcome = outcomeOf(err); err != nil {
		res.Err = err.Error()
	}
	return res
}

// outcomeOf takes errors at their word: all but a timeout promise that nothing was
// written.
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return done
	case storage.IsNotFound(err):
		return absent
	case storage.IsExist(err):
		return exists
	case storage.IsInvalidObj(err), storage.IsConflict(err):
		return conflict
	case storage.IsRequestTimeout(err), apierrors.IsTimeout(err),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unknown
	default:
		return failed
	}
}

// errBroken is of an object that is not what anybody wrote.
var errBroken = errors.New("the object is broken")

func read(pod *example.Pod) (item, error) {
	i, whole := itemOf(pod)
	if !whole {
		return i, fmt.Errorf("%w: %v", errBroken, pod)
	}
	return i, nil
}

func performCreate(ctx context.Context, s storage.Interface, r request) (after item, err error) {
	out := &example.Pod{}
	after = item{Key: r.Key, Value: r.Value + ".1"}
	if err := s.Create(ctx, prefix+r.Key, newPod(r.Key, after.Value), out, r.Seconds); err != nil {
		return after, err
	}
	return read(out)
}

// suggestion is the object the caller believes to be there, nil if it has no idea.
func (r request) suggestion() runtime.Object {
	if r.Hint == "" {
		return nil
	}
	pod := newPod(r.Key, r.Hint)
	pod.ResourceVersion = strconv.FormatInt(r.HintRev, 10)
	return pod
}

func performUpdate(ctx context.Context, s storage.Interface, r request) (before, after item, err error) {
	tries := 0
	out := &example.Pod{}
	err = s.GuaranteedUpdate(ctx, prefix+r.Key, out, false, nil,
		func(obj runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			var err error
			if before, err = read(obj.(*example.Pod)); err != nil {
				return nil, nil, err
			}
			after = before
			if r.Keep {
				return obj, nil, nil
			}
			tries++
			after = item{Key: r.Key, Value: fmt.Sprintf("%s.%d", r.Value, tries)}
			return newPod(r.Key, after.Value), nil, nil
		}, r.suggestion())
	if err != nil {
		return before, after, err
	}
	after, err = read(out)
	return before, after, err
}

func performDelete(ctx context.Context, s storage.Interface, r request) (before, after item, err error) {
	var preconditions *storage.Preconditions
	if r.Expect != 0 {
		rev := strconv.FormatInt(r.Expect, 10)
		preconditions = &storage.Preconditions{ResourceVersion: &rev}
	}
	after = item{Key: r.Key}
	out := &example.Pod{}
	err = s.Delete(ctx, prefix+r.Key, out, preconditions, func(_ context.Context, obj runtime.Object) (err error) {
		before, err = read(obj.(*example.Pod))
		return err
	}, r.suggestion(), storage.DeleteOptions{})
	if err != nil {
		return before, after, err
	}
	last, err := read(out)
	if last.Value != before.Value {
		return before, after, fmt.Errorf("%w: %q was deleted, %q validated", errBroken, last.Value, before.Value)
	}
	after.Rev = last.Rev
	return before, after, err
}

func performGet(ctx context.Context, s storage.Interface, r request) (item, error) {
	out := &example.Pod{}
	if err := s.Get(ctx, prefix+r.Key, storage.GetOptions{}, out); err != nil {
		return item{Key: r.Key}, err
	}
	return read(out)
}

// list reads the pods under a key, consistent or at an exact revision.
func list(ctx context.Context, s storage.Interface, key string, p storage.SelectionPredicate, exact int64) ([]item, int64, error) {
	opts := storage.ListOptions{Recursive: true, Predicate: p}
	if exact != 0 {
		opts.ResourceVersion = strconv.FormatInt(exact, 10)
		opts.ResourceVersionMatch = metav1.ResourceVersionMatchExact
	}
	pods := &example.PodList{}
	if err := s.GetList(ctx, key, opts, pods); err != nil {
		return nil, 0, err
	}
	rev, err := strconv.ParseInt(pods.ResourceVersion, 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("revision of a list: %w", err)
	}
	items := make([]item, len(pods.Items))
	for n := range pods.Items {
		if items[n], err = read(&pods.Items[n]); err != nil {
			return nil, 0, err
		}
	}
	return items, rev, nil
}
