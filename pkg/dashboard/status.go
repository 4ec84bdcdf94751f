package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/dashboard/kube"
	"platform.dev/stores/pkg/dashboard/oidc"
	"platform.dev/stores/pkg/dashboard/session"
)

// statusClientClosed is for the metrics only, as other proxies count it.
const statusClientClosed = 499

// writeJSON answers with a value that nobody may keep.
func writeJSON(w http.ResponseWriter, code int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		code, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client has gone
}

// refuse answers with a Status, as the kube API does.
func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	writeJSON(w, code, &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})
}

func unauthorized(w http.ResponseWriter, message string) {
	refuse(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, message)
}

// fail answers for an error: refusals as what they are, and what could not be
// reached with 503, so that nobody is signed out by an outage.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var status apierrors.APIStatus
	switch {
	case errors.Is(err, session.ErrNone), errors.Is(context.Cause(r.Context()), session.ErrEnded):
		unauthorized(w, "you are not signed in, or not any more: sign in")
	case errors.Is(err, oidc.ErrRefused), kube.IsRefused(err):
		unauthorized(w, err.Error())
	case errors.Is(err, session.ErrTooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, err.Error())
	case errors.As(err, &status):
		refuse(w, int(status.Status().Code), status.Status().Reason, status.Status().Message)
	case r.Context().Err() != nil: // nobody is there to read an answer
		refuse(w, statusClientClosed, metav1.StatusReasonTimeout, "the client has gone")
	default:
		klog.FromContext(r.Context()).Error(err, "Could not answer", "path", r.URL.Path)
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable,
			"what the dashboard needs for this cannot be reached; it will try again")
	}
}
