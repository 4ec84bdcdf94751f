package apiserver

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/registry/platform/retryafter"
)

// remoteUserHeader is in every request that the cluster's API server forwards.
const remoteUserHeader = "X-Remote-User"

// frontProxyRetry is when to come again with what was forwarded too early. The
// certificate authority is read within a moment of the server's start, unless the
// cluster's API server starts, too.
const frontProxyRetry = time.Second

var errFrontProxy = errors.New("the certificate authority of the forwarding API server has not been read yet")

// frontProxyRead returns an error while the server cannot know the users of forwarded
// requests.
func frontProxyRead(config *genericapiserver.Config) error {
	proxy := config.Authentication.RequestHeaderConfig
	if proxy != nil && len(proxy.CAContentProvider.CurrentCABundleContent()) == 0 {
		return errFrontProxy
	}
	return nil
}

// chainWithFrontProxy is the handler chain of generic servers behind awaitFrontProxy,
// with the source of each request, and handlers that can tell when to come again.
func chainWithFrontProxy(handler http.Handler, config *genericapiserver.Config) http.Handler {
	chain := genericapiserver.DefaultBuildHandlerChain(retryafter.WithHeader(handler), config)
	return withSource(awaitFrontProxy(chain, func() error { return frontProxyRead(config) }))
}

// awaitFrontProxy refuses forwarded requests until it is ready for them. Their users
// would count as anonymous, and be told for good that they may not.
func awaitFrontProxy(handler http.Handler, ready func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(remoteUserHeader) != "" {
			if err := ready(); err != nil {
				w.Header().Set("Retry-After", strconv.Itoa(int(frontProxyRetry.Seconds())))
				refusal := apierrors.NewServiceUnavailable("the server is starting, try again in a second: " + err.Error())
				responsewriters.ErrorNegotiated(refusal, Codecs, v1alpha1.SchemeGroupVersion, w, r)
				return
			}
		}
		handler.ServeHTTP(w, r)
	})
}
