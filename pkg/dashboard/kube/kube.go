// Package kube reaches the kube API for users. It has no identity of its own, so
// that a request without a user's token is nobody's.
package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	// reviewTimeout bounds what a sign-in waits for the kube API.
	reviewTimeout = 10 * time.Second
	// answerSize bounds what is read of an answer.
	answerSize = 1 << 20
	// anonymous is whom the kube API takes a request without a token for.
	anonymous = "system:anonymous"
)

// API is the kube API as anybody reaches it.
type API struct {
	URL *url.URL
	// Transport is for requests of users that the API knows.
	Transport http.RoundTripper
	// strangers is for those that it may not know. It ends their HTTP/2 connections after
	// an answer, and with them what others have under way; by HTTP/1.1 they share none.
	strangers http.RoundTripper
}

// New returns the kube API at a URL whose certificate an authority of caFile has
// signed; an empty caFile means the system's authorities. The file is read again
// when it changes.
func New(address, caFile string) (*API, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("reading the address of the kube API: %w", err)
	}
	if parsed.Path == "" {
		parsed.Path = "/" // what is joined to no path at all is not absolute
	}
	api := &API{URL: parsed}
	config := &rest.Config{Host: address, TLSClientConfig: rest.TLSClientConfig{CAFile: caFile}}
	if api.Transport, err = rest.TransportFor(config); err != nil {
		return nil, fmt.Errorf("preparing connections to the kube API: %w", err)
	}
	config.NextProtos = []string{"http/1.1"}
	if api.strangers, err = rest.TransportFor(config); err != nil {
		return nil, fmt.Errorf("preparing connections of strangers to the kube API: %w", err)
	}
	return api, nil
}

// Who asks the kube API whom a token belongs to. A refusal is an APIStatus error.
func (a *API) Who(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	review := &authenticationv1.SelfSubjectReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "SelfSubjectReview"},
	}
	body, err := json.Marshal(review)
	if err != nil {
		return nil, fmt.Errorf("encoding a review: %w", err)
	}
	address := a.URL.JoinPath("/apis/authentication.k8s.io/v1/selfsubjectreviews").String()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking who a token belongs to: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	answer, status, err := a.do(request)
	if err != nil {
		return nil, err
	}
	if status >= http.StatusBadRequest {
		return nil, refusal(status, answer)
	}
	if err := json.Unmarshal(answer, review); err != nil {
		return nil, fmt.Errorf("reading who a token belongs to: %w", err)
	}
	user := &review.Status.UserInfo
	if user.Username == "" || user.Username == anonymous {
		return nil, apierrors.NewUnauthorized("the kube API does not know the token")
	}
	return user, nil
}

// Reachable returns an error unless the kube API answers. Being refused is an answer.
func (a *API) Reachable(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL.JoinPath("/version").String(), nil)
	if err != nil {
		return fmt.Errorf("asking for the version of the kube API: %w", err)
	}
	_, status, err := a.do(request)
	if err == nil && status >= http.StatusInternalServerError {
		return fmt.Errorf("the kube API answers %d %s", status, http.StatusText(status))
	}
	return err
}

func (a *API) do(request *http.Request) (answer []byte, status int, err error) {
	response, err := a.strangers.RoundTrip(request)
	if err != nil {
		return nil, 0, fmt.Errorf("reaching the kube API: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if answer, err = io.ReadAll(io.LimitReader(response.Body, answerSize)); err != nil {
		return nil, 0, fmt.Errorf("reading an answer of the kube API: %w", err)
	}
	return answer, response.StatusCode, nil
}

// refusal returns the Status that the kube API answered with as an error.
func refusal(code int, answer []byte) error {
	status := metav1.Status{}
	if err := json.Unmarshal(answer, &status); err != nil || status.Kind != "Status" || status.Code != int32(code) {
		return apierrors.NewGenericServerResponse(code, "review", authenticationv1.Resource("selfsubjectreviews"), "", http.StatusText(code), 0, true)
	}
	return &apierrors.StatusError{ErrStatus: status}
}

// IsRefused is true if the kube API knows no user of the token.
func IsRefused(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && apierrors.IsUnauthorized(err)
}
