package stores

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/storage/history"
)

// clockSkew is how far a client's clock may be ahead of ours. What is further ahead is
// not past.
const clockSkew = time.Minute

// A moment is a time or a revision.
type moment struct {
	time     time.Time
	revision int64 // 0 if a time is meant
}

// momentOf reads the forms that the parameter at has.
func momentOf(at string) (moment, error) {
	if revision, err := strconv.ParseInt(at, 10, 64); err == nil && revision > 0 {
		return moment{revision: revision}, nil
	}
	when, err := time.Parse(time.RFC3339, at)
	switch {
	case err != nil:
		return moment{}, apierrors.NewBadRequest(fmt.Sprintf("at %q must be a time as in RFC 3339, such as 2006-01-02T15:04:05Z, or a resourceVersion, such as 1234", at))
	case when.After(time.Now().Add(clockSkew)):
		return moment{}, apierrors.NewBadRequest(fmt.Sprintf("at %q must not be in the future", at))
	}
	return moment{time: when}, nil
}

// of returns what was at key at the moment.
func (m moment) of(ctx context.Context, past history.Reader, key string) (*history.Revision, error) {
	if m.revision != 0 {
		return past.AtRevision(ctx, key, m.revision)
	}
	return past.At(ctx, key, m.time)
}

// revisionOf returns the store of a name as one of its revisions left it.
func revisionOf(ctx context.Context, past history.Reader, key, name, resourceVersion string) (*history.Revision, error) {
	number, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil || number <= 0 {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("resourceVersion %q must be a number: use one that stores/history lists", resourceVersion))
	}
	revision, err := past.Get(ctx, key, number)
	switch {
	case err == nil && revision.Object != nil:
		return revision, nil
	case err == nil:
		return nil, notFound(name, fmt.Sprintf("store %q was deleted at revision %d: use an earlier one that stores/history lists", name, number))
	case errors.Is(err, history.ErrNotFound):
		if _, err := past.List(ctx, key, 0, 1); err == nil {
			return nil, notFound(name, fmt.Sprintf("store %q has no revision %d in its history: use one that stores/history lists", name, number))
		}
	}
	return nil, explainPast(err, name, fmt.Sprintf("at revision %d", number))
}

// explainPast tells why there is no past: there was no such store, not yet or no
// longer, or what was is forgotten.
func explainPast(err error, name, when string) error {
	var expired *history.ExpiredError
	var absent *history.AbsentError
	switch {
	case errors.As(err, &expired):
		return apierrors.NewResourceExpired(fmt.Sprintf("the history of store %q %s is no longer kept: use a later moment, from %s (resourceVersion %d) on",
			name, when, timestamp(expired.Since), expired.Revision))
	case errors.Is(err, history.ErrExpired):
		return apierrors.NewResourceExpired(fmt.Sprintf("the history of store %q %s is no longer kept, or is another store's: use a revision that stores/history lists", name, when))
	case errors.Is(err, history.ErrFuture):
		return apierrors.NewBadRequest(fmt.Sprintf("there is no store %q %s: that revision is yet to come, use one that stores/history lists", name, when))
	case errors.As(err, &absent):
		return notFound(name, absence(absent, name, when))
	case errors.Is(err, history.ErrNotFound), storage.IsInvalidObj(err): // which no store can be called
		return notFound(name, "")
	}
	return err
}

// absence words why there was no store. It is empty if there never was one.
func absence(absent *history.AbsentError, name, when string) string {
	missing := fmt.Sprintf("there was no store %q %s: ", name, when)
	switch {
	case !absent.Deleted.IsZero() && !absent.Created.IsZero():
		return missing + fmt.Sprintf("one was deleted at %s and the next was created at %s, use a moment before or after", timestamp(absent.Deleted), timestamp(absent.Created))
	case !absent.Deleted.IsZero():
		return missing + fmt.Sprintf("it was deleted at %s, use a moment before", timestamp(absent.Deleted))
	case !absent.Created.IsZero():
		return missing + fmt.Sprintf("it was created at %s, use a moment from then on", timestamp(absent.Created))
	}
	return ""
}

func notFound(name, message string) error {
	err := apierrors.NewNotFound(platform.Resource("stores"), name)
	if message != "" {
		err.ErrStatus.Message = message
	}
	return err
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
