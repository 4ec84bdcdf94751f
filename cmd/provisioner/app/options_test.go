package app

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(*Options)
		want string
	}{
		"the defaults in a pod":            {func(*Options) {}, ""},
		"no metrics":                       {func(o *Options) { o.MetricsBindAddress = "" }, ""},
		"no workers":                       {func(o *Options) { o.Workers = 0 }, "--workers=0"},
		"another scheme":                   {func(o *Options) { o.StoreURLScheme = "ftp" }, `--store-url-scheme="ftp"`},
		"a port out of range":              {func(o *Options) { o.StoreURLPort = 70000 }, "--store-url-port=70000"},
		"no namespace":                     {func(o *Options) { o.PlatformNamespace = "" }, "--platform-namespace or POD_NAMESPACE"},
		"no service account":               {func(o *Options) { o.ServiceAccount = "" }, "--service-account or POD_SERVICE_ACCOUNT"},
		"no cluster role":                  {func(o *Options) { o.NamespaceClusterRole = "" }, "--namespace-cluster-role"},
		"a reader without a role":          {func(o *Options) { o.ReaderServiceAccount = "apiserver" }, "--credentials-reader-cluster-role"},
		"a lease shorter than its renewal": {func(o *Options) { o.LeaseDuration = time.Second }, "--lease-duration=1s"},
		"no shards":                        {func(o *Options) { o.Shards = 0 }, "--shards=0"},
		"no health address":                {func(o *Options) { o.HealthBindAddress = "" }, "--health-bind-address"},
		"a bad metrics address":            {func(o *Options) { o.MetricsBindAddress = "8080" }, `--metrics-bind-address="8080"`},
		"a bad storefront address":         {func(o *Options) { o.StorefrontAddress = "127.0.0.1" }, `--storefront-address="127.0.0.1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := NewOptions()
			o.PlatformNamespace, o.ServiceAccount = "stores-system", "provisioner"
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
	flags := o.Flags()
	for _, name := range []string{"workers", "store-url-scheme", "store-url-port", "engines-dir", "kubeconfig", "platform-namespace",
		"service-account", "namespace-cluster-role", "shards", "lease-duration", "health-bind-address", "metrics-bind-address", "logging-format"} {
		found := false
		for _, set := range flags.FlagSets {
			if f := set.Lookup(name); f != nil {
				found = f.Usage != ""
			}
		}
		if !found {
			t.Errorf("flag --%s is missing or not described", name)
		}
	}
}
