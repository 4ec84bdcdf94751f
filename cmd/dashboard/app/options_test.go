package app

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(*Options)
		want string
	}{
		"the defaults in a pod":             {func(*Options) {}, ""},
		"behind an ingress":                 {func(o *Options) { o.ExternalURL = "https://dashboard.example.com/" }, ""},
		"the local cluster":                 {func(o *Options) { o.ExternalURL = "http://dashboard.localhost:8080" }, ""},
		"plain HTTP in a lab":               {func(o *Options) { o.ExternalURL, o.AllowPlainHTTP = "http://10.0.0.1", true }, ""},
		"no metrics":                        {func(o *Options) { o.MetricsBindAddress = "" }, ""},
		"an issuer on this machine":         {func(o *Options) { o.OIDCIssuerURL, o.OIDCClientID = "http://127.0.0.1:5556", "stores" }, ""},
		"no kube API":                       {func(o *Options) { o.KubeURL = "" }, "--kube-url"},
		"a kube API without a scheme":       {func(o *Options) { o.KubeURL = "10.0.0.1:443" }, "--kube-url"},
		"plain HTTP":                        {func(o *Options) { o.ExternalURL = "http://dashboard.example.com" }, "unencrypted"},
		"a host that looks like this one":   {func(o *Options) { o.ExternalURL = "http://localhost.example.com" }, "unencrypted"},
		"a path":                            {func(o *Options) { o.ExternalURL = "https://example.com/dashboard" }, "without a path"},
		"another scheme":                    {func(o *Options) { o.ExternalURL = "ftp://example.com" }, "--external-url"},
		"a certificate without its key":     {func(o *Options) { o.TLSCertFile = "tls.crt" }, "go together"},
		"a certificate for plain HTTP":      {func(o *Options) { o.TLSCertFile, o.TLSKeyFile = "tls.crt", "tls.key" }, "must be https"},
		"a session of no length":            {func(o *Options) { o.MaxSession = 0 }, "--max-session"},
		"watches of no length":              {func(o *Options) { o.MaxStream = 0 }, "--max-stream"},
		"a delay that is over":              {func(o *Options) { o.ShutdownDelay = -time.Second }, "--shutdown-delay-duration"},
		"an issuer that is not encrypted":   {func(o *Options) { o.OIDCIssuerURL, o.OIDCClientID = "http://login.example.com", "stores" }, "--oidc-issuer-url"},
		"an issuer without a client":        {func(o *Options) { o.OIDCIssuerURL = "https://login.example.com" }, "--oidc-client-id"},
		"no address":                        {func(o *Options) { o.BindAddress = "" }, "--bind-address"},
		"no health address":                 {func(o *Options) { o.HealthBindAddress = "" }, "--health-bind-address"},
		"a metrics address without a colon": {func(o *Options) { o.MetricsBindAddress = "8080" }, "--metrics-bind-address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := NewOptions()
			o.KubeURL = "https://10.0.0.1:443"
			tc.edit(o)
			err := o.Validate()
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestEveryFlagIsDescribed(t *testing.T) {
	t.Parallel()
	o := NewOptions()
	for _, set := range o.Flags().FlagSets {
		set.VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("flag --%s is not described", f.Name)
			}
		})
	}
}
