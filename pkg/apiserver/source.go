package apiserver

import (
	"net/http"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	"platform.dev/stores/pkg/storage/history"
)

// maxSources bounds what a request can have noted of the way that it claims it came.
// The last addresses are the ones that can be believed.
const maxSources = 4

// withSource has what requests write noted with where they came from, as audit logs
// tell it.
func withSource(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var addresses []string
		for _, ip := range utilnet.SourceIPs(r) {
			addresses = append(addresses, ip.String())
		}
		addresses = addresses[max(0, len(addresses)-maxSources):]
		handler.ServeHTTP(w, r.WithContext(history.WithSource(r.Context(), addresses)))
	})
}
