package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/provisioner"
)

// servers are the process's own HTTP endpoints.
type servers []*http.Server

// serve answers on the health and the metrics address until close. A replica
// that has no share of the stores yet is ready: it is there to take one.
func serve(o *Options, controller *provisioner.Controller) (servers, error) {
	health := http.NewServeMux()
	health.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	health.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !controller.HasSynced() {
			http.Error(w, "the stores have not been read yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok"))
	})
	var started servers
	for address, handler := range map[string]http.Handler{
		o.HealthBindAddress:  health,
		o.MetricsBindAddress: metricsMux(o.Profiling),
	} {
		if address == "" {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			started.close()
			return nil, fmt.Errorf("listening: %w", err)
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		started = append(started, server)
		go func() {
			if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
				klog.Background().Error(err, "Serving", "address", address)
			}
		}()
	}
	return started, nil
}

func metricsMux(profiling bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", legacyregistry.Handler())
	if profiling {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// close ends all servers after the requests under way.
func (s servers) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, server := range s {
		_ = server.Shutdown(ctx)
	}
}
