package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// maxItemFailures bounds how many unreadable objects one list reports.
const maxItemFailures = 100

// corruptError says that stored bytes could not be turned into an object.
type corruptError struct {
	doing string // transforming or decoding
	rev   int64  // 0 if not known
	err   error
}

func (e *corruptError) Error() string {
	return fmt.Sprintf("%s the stored object at revision %d: %v", e.doing, e.rev, e.err)
}

func (e *corruptError) Unwrap() error { return e.err }

// itemFailures collects the unreadable objects of a list, or gives up at the first.
type itemFailures struct {
	collect   bool
	failed    []*storage.StorageError
	truncated bool
}

func newItemFailures() itemFailures {
	return itemFailures{collect: utilfeature.DefaultFeatureGate.Enabled(features.AllowUnsafeMalformedObjectDeletion)}
}

// add notes that key could not be read. It returns the error that ends the list, nil to
// go on.
func (f *itemFailures) add(key string, err error) error {
	var corrupt *corruptError
	switch {
	case f.collect && errors.As(err, &corrupt):
		f.failed = append(f.failed, storage.NewCorruptObjError(key, corrupt))
		f.truncated = len(f.failed) >= maxItemFailures
		if f.truncated {
			return f.result()
		}
		return nil
	case len(f.failed) > 0:
		return &corruptItemsError{failed: f.failed, aborted: err}
	default:
		return err
	}
}

// result is the error of the whole list, nil if all objects could be read.
func (f *itemFailures) result() error {
	if len(f.failed) == 0 {
		return nil
	}
	return &corruptItemsError{failed: f.failed, truncated: f.truncated}
}

// corruptItemsError names the objects of a list that could not be read.
type corruptItemsError struct {
	failed    []*storage.StorageError
	truncated bool  // there may be more
	aborted   error // what else ended the list
}

func (e *corruptItemsError) Error() string {
	return fmt.Sprintf("unable to transform or decode %d objects: %v", len(e.failed), e.failed[0])
}

// status is the error in the form the API reports it.
func (e *corruptItemsError) status(resource schema.GroupResource) error {
	causes := make([]metav1.StatusCause, 0, len(e.failed)+1)
	for _, failed := range e.failed {
		causes = append(causes, metav1.StatusCause{
			Type:    metav1.CauseTypeUnexpectedServerResponse,
			Field:   failed.Key,
			Message: failed.Error(),
		})
	}
	if e.truncated {
		causes = append(causes, metav1.StatusCause{
			Type:    metav1.CauseTypeTooMany,
			Message: "too many errors, the list is truncated",
		})
	}
	if e.aborted != nil {
		causes = append(causes, metav1.StatusCause{
			Type:    metav1.CauseTypeUnexpectedServerResponse,
			Message: e.aborted.Error(),
		})
	}
	message := fmt.Sprintf("failed to read one or more %s from the storage: %v", resource, e.failed[0])
	if n := len(e.failed) - 1; n > 0 {
		message = fmt.Sprintf("%s (and %d more)", message, n)
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusInternalServerError,
		Reason:  metav1.StatusReasonStoreReadError,
		Message: message,
		Details: &metav1.StatusDetails{Group: resource.Group, Kind: resource.Resource, Name: "list", Causes: causes},
	}}
}

// corruptionReporter turns unreadable objects into the errors by which the registry
// recognises them, so that they can be found and, on explicit request, deleted.
type corruptionReporter struct {
	storage.Interface
	resource schema.GroupResource
}

// Get implements storage.Interface.
func (r *corruptionReporter) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	err := r.Interface.Get(ctx, key, opts, out)
	var corrupt *corruptError
	if errors.As(err, &corrupt) {
		return storage.NewCorruptObjError(key, corrupt)
	}
	return err
}

// GetList implements storage.Interface.
func (r *corruptionReporter) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	err := r.Interface.GetList(ctx, key, opts, list)
	var corrupt *corruptItemsError
	if errors.As(err, &corrupt) {
		return corrupt.status(r.resource)
	}
	return err
}
