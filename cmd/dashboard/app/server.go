package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"platform.dev/stores/cmd/internal/command"
	ui "platform.dev/stores/dashboard"
	"platform.dev/stores/pkg/dashboard"
	"platform.dev/stores/pkg/dashboard/assets"
	"platform.dev/stores/pkg/dashboard/kube"
	"platform.dev/stores/pkg/dashboard/oidc"
	"platform.dev/stores/pkg/dashboard/session"
)

// NewCommand returns the command that serves the dashboard until it gets SIGTERM
// or SIGINT.
func NewCommand() *cobra.Command {
	o := NewOptions()
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Serve the user interface of the platform",
		Long: `Serve the user interface, and for it the part of the kube API that it needs.
Every call to the kube API carries the token of the user who is signed in. The
dashboard has no token of its own, and so no rights.`,
		SilenceUsage: true,
		Args:         cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.Begin(cmd, o.Logs, nil); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return run(ctx, o)
		},
	}
	command.AddFlags(cmd, o.Flags())
	return cmd
}

// run serves until ctx is done.
func run(ctx context.Context, o *Options) error {
	handler, err := newDashboard(o)
	if err != nil {
		return err
	}
	metrics := http.NewServeMux()
	metrics.Handle("/metrics", legacyregistry.Handler())
	return serve(ctx, o, handler, health(handler.Ready), metrics)
}

func newDashboard(o *Options) (*dashboard.Server, error) {
	external, err := url.Parse(o.ExternalURL)
	if err != nil {
		return nil, fmt.Errorf("reading the external URL: %w", err)
	}
	files, err := assets.New(ui.FS())
	if err != nil {
		return nil, err
	}
	api, err := kube.New(o.KubeURL, o.KubeCAFile)
	if err != nil {
		return nil, err
	}
	keys, err := sessionKeys(o.SessionKeyFile)
	if err != nil {
		return nil, err
	}
	var provider *oidc.Provider
	if o.OIDCIssuerURL != "" {
		provider, err = oidc.New(oidc.Config{
			IssuerURL: o.OIDCIssuerURL, ClientID: o.OIDCClientID, ClientSecretFile: o.OIDCClientSecretFile,
			CAFile: o.OIDCCAFile, Scopes: o.OIDCScopes,
			RedirectURL: strings.TrimSuffix(o.ExternalURL, "/") + "/login/callback",
		}, time.Now)
		if err != nil {
			return nil, err
		}
	}
	return dashboard.New(dashboard.Config{
		API: api, Assets: files, OIDC: provider, ExternalURL: external,
		Cookies:    &session.Cookies{Keys: keys, Secure: external.Scheme == "https", Now: time.Now},
		MaxSession: o.MaxSession, MaxStream: o.MaxStream,
		DefaultNamespace: o.DefaultNamespace, StoreDomain: o.StoreDomain, Now: time.Now,
	}), nil
}

func sessionKeys(file string) (session.Keys, error) {
	if file == "" {
		klog.Background().Info("No --session-key-file: everybody has to sign in again after a restart")
		return session.RandomKeys()
	}
	return session.ReadKeys(file)
}

// health answers that the process lives, and apart from that whether the kube API
// does: an outage of the API must not restart what only waits for it.
func health(ready func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok"))
	})
	return mux
}
