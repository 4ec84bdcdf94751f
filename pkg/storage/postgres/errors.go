package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/claims"
)

// errClosed is what a Database answers after Close.
var errClosed = errors.New("the database is closed")

// PostgreSQL error codes this package acts on.
const (
	codeDivisionByZero        = "22012"
	codeCheckViolation        = "23514" // also: no partition for a row
	codeReadOnly              = "25006" // the server is a standby
	codeUniqueViolation       = "23505"
	codeDeadlock              = "40P01"
	codeNoSchema              = "3F000" // or none that the role may see
	codeInsufficientPrivilege = "42501"
	codeDiskFull              = "53100"
	codeOutOfMemory           = "53200"
	codeTooManyConnections    = "53300"
	codeLockNotAvailable      = "55P03"
	codeWrongState            = "55000" // the server is a standby
	codeQueryCanceled         = "57014" // by somebody, or by statement_timeout
)

// Classes of PostgreSQL error codes, which start with them.
const (
	classConnection = "08"
	classRollback   = "40" // deadlock, serialization failure
	classResources  = "53"
	classOperator   = "57" // shutdown, start-up, cancellation
)

// unavailable tells the client that the database cannot do now what it was asked and that
// nothing was changed. The retry hint makes client-go and kubectl try again on their own.
func unavailable(err error) error {
	status := apierrors.NewServiceUnavailable(fmt.Sprintf("the database is not available: %s; nothing was changed, try again", cause(err)))
	status.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	return status
}

// cause leaves user, host and SQL out of what a client gets to read.
func cause(err error) string {
	var pgErr *pgconn.PgError
	var netErr *net.OpError
	switch {
	case errors.As(err, &pgErr) && trouble(pgErr.Code) != "":
		return trouble(pgErr.Code)
	case errors.As(err, &netErr):
		return netErr.Err.Error()
	case errors.Is(err, errClosed):
		return errClosed.Error()
	case errors.As(err, new(*pgconn.ConnectError)):
		return "cannot connect"
	default:
		return "connection lost"
	}
}

// trouble says in a few words what an error code means that may pass, else nothing.
func trouble(code string) string {
	switch code {
	case codeDiskFull:
		return "its disk is full"
	case codeOutOfMemory:
		return "it is out of memory"
	case codeTooManyConnections:
		return "it has too many connections"
	case codeReadOnly, codeWrongState:
		return "it is read-only, as a standby is"
	case codeLockNotAvailable:
		return "a lock was held for too long"
	case codeQueryCanceled:
		return "the statement was canceled, or took longer than statement_timeout"
	}
	switch code[:min(2, len(code))] {
	case classConnection:
		return "connection lost"
	case classRollback:
		return "the transaction was in the way of another"
	case classResources:
		return "it is out of resources"
	case classOperator:
		return "it is shutting down or starting"
	default:
		return ""
	}
}

// translate turns an error of the driver into one of the API: a timeout, a retriable
// unavailability, or an internal error. Callers map the outcomes that have a meaning
// (conflict, not found) before.
func translate(ctx context.Context, doing, key string, err error) error {
	var status *apierrors.StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status), errors.As(err, new(*storage.StorageError)), storage.IsInternalError(err), claims.IsRefusal(err):
		return err
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return storage.NewTimeoutError(key, doing+" did not complete within the requested timeout")
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case isUnavailable(err), isRolledBack(err):
		return unavailable(err)
	default:
		return storage.NewInternalError(fmt.Errorf("%s: %w", doing, err))
	}
}

// isUnavailable reports whether trying again later may help.
func isUnavailable(err error) bool {
	var pgErr *pgconn.PgError
	switch {
	case errors.Is(err, errClosed), errors.As(err, new(*pgconn.ConnectError)):
		return true
	case errors.As(err, &pgErr):
		return trouble(pgErr.Code) != "" && !isRolledBack(err)
	default:
		return isConnectionLoss(err)
	}
}

// isRolledBack reports whether a transaction made way for another: unlike when the server
// is unavailable, the same one may succeed at once.
func isRolledBack(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && strings.HasPrefix(pgErr.Code, classRollback)
}

// isConnectionLoss reports whether err tells nothing about what the server did.
func isConnectionLoss(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		// The server says goodbye: it may have committed just before.
		return pgErr.SeverityUnlocalized == "FATAL" || pgErr.SeverityUnlocalized == "PANIC"
	}
	return errors.As(err, new(*pgconn.ConnectError)) || errors.As(err, new(net.Error)) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// isConflict reports whether a batch failed because the condition of a write did not
// hold: a key exists already, or statements counted fewer matches than writes.
func isConflict(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) &&
		(pgErr.Code == codeDivisionByZero || pgErr.Code == codeUniqueViolation && pgErr.TableName == "head")
}

func hasCode(err error, codes ...string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && slices.Contains(codes, pgErr.Code)
}

const (
	listExpired     = "The resourceVersion for the provided list is too old."
	continueExpired = "The provided continue parameter is too old to display a consistent list result. " +
		"You can start a new list without the continue parameter."
	continueInconsistent = "The provided continue parameter is too old to display a consistent list result. " +
		"You can start a new list without the continue parameter, or use the continue token in this response " +
		"to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent " +
		"list - objects that were created, modified, or deleted between the time the first chunk was returned " +
		"and now may show up in the list."
	watchExpired = "The resourceVersion for the provided watch is too old."
)

// continueExpiredError answers a continue token whose revision is compacted. Its own
// token continues after the same key at the latest revision (revision -1).
func continueExpiredError(continueKey, keyPrefix string) error {
	token, err := storage.EncodeContinue(continueKey, keyPrefix, -1)
	if err != nil {
		return apierrors.NewResourceExpired(continueExpired)
	}
	expired := apierrors.NewResourceExpired(continueInconsistent)
	expired.ErrStatus.Continue = token
	return expired
}

// impossibleRevision answers a resource version that no object can have.
func impossibleRevision(version string) error {
	return apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %s is larger than any can be, use one that the server has given", version))
}

// tooLarge rejects an object no request could have carried.
func tooLarge(what string, size, limit int) error {
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("%s has %d bytes and must have at most %d", what, size, limit))
}

// corruptRead is how a watch ends at an object that cannot be read.
func corruptRead(err error) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusInternalServerError,
		Reason:  metav1.StatusReasonStoreReadError,
		Message: fmt.Sprintf("saw a DELETED event, but object data is corrupt - %v", err),
	}}
}
